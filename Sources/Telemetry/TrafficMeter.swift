public import Logging
internal import Synchronization
public import WebSocket

/// What the tunnels of one route carried on one worker. The worker alone counts; others may read at
/// any time, and get a number that was true a moment ago.
public final class TrafficMeter: Sendable {
  /// The client's frames and octets.
  public let fromDownstream = FlowMeter()
  /// The server's.
  public let fromUpstream = FlowMeter()
  /// Tunnels that ended, by reason. Off the hot path.
  private let ends = Mutex<[String: Int]>([:])

  /// Tunnels that began.
  private let begun = Atomic<Int>(0)

  /// Nothing counted yet.
  public init() {}

  /// A tunnel has begun.
  public func began() { self.begun.wrappingAdd(1, ordering: .relaxed) }

  /// Tunnels that live now, as of a moment ago.
  public var openCount: Int {
    let ended = self.ends.withLock { $0.values.reduce(0, +) }
    return max(0, self.begun.load(ordering: .relaxed) - ended)
  }

  /// A tunnel has ended for this reason, a word of the access log.
  public func ended(_ reason: String) { self.ends.withLock { $0[reason, default: 0] += 1 } }

  /// Tunnels that ended, by the reason of the access log.
  public var endCounts: [String: Int] { self.ends.withLock { $0 } }
}

/// What came from one side.
public final class FlowMeter: Sendable {
  private let text = Atomic<UInt64>(0)
  private let binary = Atomic<UInt64>(0)
  private let continuation = Atomic<UInt64>(0)
  private let close = Atomic<UInt64>(0)
  private let ping = Atomic<UInt64>(0)
  private let pong = Atomic<UInt64>(0)
  private let octets = Atomic<UInt64>(0)

  fileprivate init() {}

  /// Adds frames, and octets that were passed on. Called by one thread alone, so that no addition has to
  /// be atomic.
  public func add(_ counts: FrameCounts, octetCount: Int) {
    self.octets.raise(by: UInt64(octetCount))
    self.text.raise(by: counts.text)
    self.binary.raise(by: counts.binary)
    guard counts.hasOthers else { return }
    self.continuation.raise(by: counts.continuation)
    self.close.raise(by: counts.close)
    self.ping.raise(by: counts.ping)
    self.pong.raise(by: counts.pong)
  }

  /// Octets that were passed on, headers of frames included.
  public var octetCount: UInt64 { self.octets.load(ordering: .relaxed) }

  /// Frames by kind.
  public var counts: FrameCounts {
    var counts = FrameCounts()
    counts.text = self.text.load(ordering: .relaxed)
    counts.binary = self.binary.load(ordering: .relaxed)
    counts.continuation = self.continuation.load(ordering: .relaxed)
    counts.close = self.close.load(ordering: .relaxed)
    counts.ping = self.ping.load(ordering: .relaxed)
    counts.pong = self.pong.load(ordering: .relaxed)
    return counts
  }
}

extension Atomic<UInt64> {
  /// One writer: a load and a store, not a locked addition.
  fileprivate func raise(by count: UInt64) {
    guard count > 0 else { return }
    self.store(self.load(ordering: .relaxed) &+ count, ordering: .relaxed)
  }
}

extension TrafficMeter {
  /// What the meters of one route on all workers came to, for the log.
  public static func metadata(route: String, _ meters: [TrafficMeter]) -> Logger.Metadata {
    var metadata: Logger.Metadata = ["route": "\(route)"]
    for (name, flows) in [
      ("in", meters.map(\.fromDownstream)), ("out", meters.map(\.fromUpstream)),
    ] {
      let counts = flows.map(\.counts)
      metadata["octets_\(name)"] = "\(flows.reduce(0) { $0 &+ $1.octetCount })"
      metadata["messages_\(name)"] = "\(counts.reduce(0) { $0 &+ $1.messages })"
      for (kind, path) in Self.kinds {
        metadata["\(kind)_\(name)"] = "\(counts.reduce(0) { $0 &+ $1[keyPath: path] })"
      }
    }
    let ends = meters.reduce(into: [:]) { $0.merge($1.endCounts, uniquingKeysWith: +) }
    for (reason, count) in ends { metadata["ended_\(reason)"] = "\(count)" }
    return metadata
  }

  private static var kinds: [(String, KeyPath<FrameCounts, UInt64>)] {
    [
      ("text", \.text), ("binary", \.binary), ("continuation", \.continuation),
      ("close", \.close), ("ping", \.ping), ("pong", \.pong),
    ]
  }
}
