public import Logging
internal import Synchronization
public import WebSocket

/// What the tunnels of one route carried on one worker. The worker alone counts; others may read at
/// any time, and get a number that was true a moment ago.
public final class TrafficMeter: Sendable {
  /// How a tunnel ended.
  public struct End: Hashable, Sendable {
    /// A word of the access log.
    public let reason: String
    /// Who began it.
    public let closer: AccessRecord.Closer
    /// The first close frame's code; 1006 where there was none.
    public let closeCode: UInt16

    /// An end.
    public init(reason: String, closer: AccessRecord.Closer, closeCode: UInt16) {
      self.reason = reason
      self.closer = closer
      self.closeCode = closeCode
    }
  }

  /// The client's frames and octets.
  public let fromDownstream = FlowMeter()
  /// The server's.
  public let fromUpstream = FlowMeter()
  /// Tunnels that began.
  public let begun = Counter()
  /// For how long peers were not read because they were too fast, in nanoseconds, all tunnels together.
  public let throttledNanoseconds = Counter()
  /// Tunnels that ended.
  public let ended = Counter()
  /// Tunnels that ended, by how. Off the hot path.
  public let ends = Tally<End>()

  /// Nothing counted yet.
  public init() {}

  /// A tunnel has ended so.
  public func ended(_ end: End) {
    self.ended.raise()
    self.ends.raise(end)
  }

  /// Tunnels that live now, as of a moment ago.
  public var openCount: Int {
    let ended = self.ended.value
    return Int(clamping: self.begun.value &- min(ended, self.begun.value))
  }
}

/// What came from one side.
public final class FlowMeter: Sendable {
  private let text = Counter()
  private let binary = Counter()
  private let continuation = Counter()
  private let close = Counter()
  private let ping = Counter()
  private let pong = Counter()
  private let octets = Counter()

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
  public var octetCount: UInt64 { self.octets.value }

  /// Frames by kind.
  public var counts: FrameCounts {
    var counts = FrameCounts()
    counts.text = self.text.value
    counts.binary = self.binary.value
    counts.continuation = self.continuation.value
    counts.close = self.close.value
    counts.ping = self.ping.value
    counts.pong = self.pong.value
    return counts
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
      for (kind, path) in FrameCounts.kinds {
        metadata["\(kind)_\(name)"] = "\(counts.reduce(0) { $0 &+ $1[keyPath: path] })"
      }
    }
    for (end, count) in meters.flatMap(\.ends.counts) {
      let key = "ended_\(end.reason)"
      metadata[key] = "\((metadata[key].flatMap { Int("\($0)") } ?? 0) + count)"
    }
    return metadata
  }
}
