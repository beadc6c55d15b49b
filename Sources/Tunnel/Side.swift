/// One of the two peers of a tunnel.
@frozen public enum Side: Int, Sendable {
  /// The client.
  case downstream
  /// The server.
  case upstream

  /// The peer at the other end of the tunnel.
  public var other: Side { self == .downstream ? .upstream : .downstream }
}

/// One value for each side.
public struct Pair<Value> {
  /// A choice between two stored properties would be a coroutine, which allocates for each access.
  @usableFromInline var values: InlineArray<2, Value>

  /// Two values.
  @inlinable
  public init(_ downstream: Value, _ upstream: Value) { self.values = [downstream, upstream] }

  /// The same value twice.
  @inlinable
  public init(both value: Value) { self.init(value, value) }

  /// One side's value, in place.
  @inlinable
  public subscript(side: Side) -> Value {
    @inline(__always) _read { yield self.values[side.rawValue] }
    @inline(__always) _modify { yield &self.values[side.rawValue] }
  }
}

extension Pair: Sendable where Value: Sendable {}
