internal import Net

/// One of the two peers of a tunnel.
@frozen public enum Side: Sendable, CaseIterable {
  /// The client.
  case downstream
  /// The server.
  case upstream

  /// The peer at the other end of the tunnel.
  public var other: Side { self == .downstream ? .upstream : .downstream }
}

/// One value for each side.
public struct Pair<Value> {
  /// The client's.
  public var downstream: Value
  /// The server's.
  public var upstream: Value

  /// Two values.
  @inlinable
  public init(_ downstream: Value, _ upstream: Value) {
    self.downstream = downstream
    self.upstream = upstream
  }

  /// The same value twice.
  @inlinable
  public init(both value: Value) { self.init(value, value) }

  /// One side's value.
  @inlinable
  public subscript(side: Side) -> Value {
    get { side == .downstream ? self.downstream : self.upstream }
    // Two places to yield make a frame on the heap: not for what every message changes.
    _modify {
      switch side {
      case .downstream: yield &self.downstream
      case .upstream: yield &self.upstream
      }
    }
  }
}

extension Pair: Sendable where Value: Sendable {}

extension OwnedPair where Value: ~Copyable {
  /// One side's value, in place.
  subscript(side: Side) -> Value {
    @inline(__always) _read { yield self[isSecond: side == .upstream] }
    @inline(__always) _modify { yield &self[isSecond: side == .upstream] }
  }
}
