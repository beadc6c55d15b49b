internal import Net
internal import Synchronization

/// What one worker counts beside the traffic of its tunnels. The worker alone counts; others may read at
/// any time.
public final class WorkerMeter: Sendable {
  /// An answer that a request got.
  public struct Answer: Hashable, Sendable {
    /// `nil` where none matched.
    public let route: String?
    /// 101, a refusal's, or a server's own; 0 where the client got none.
    public let status: Int
    /// The word of a refusal; `nil` where it was none.
    public let error: String?

    /// An answer.
    public init(route: String?, status: Int, error: String?) {
      self.route = route
      self.status = status
      self.error = error
    }
  }

  /// A TLS handshake with a client that came to its end.
  public struct Handshake: Hashable, Sendable {
    /// As in `TLSv1.3`; `nil` where it failed.
    public let version: String?
    /// Whether it resumed a session.
    public let isResumed: Bool

    /// A handshake.
    public init(version: String?, isResumed: Bool) {
      self.version = version
      self.isResumed = isResumed
    }
  }

  /// Connections that were accepted.
  public let accepted = Counter()
  /// Octets that wait for slow peers now.
  public let queuedByteCount = Counter()
  /// Turns of the loop, and how long they took: what waits for its turn waits so long.
  public let turnCount = Counter()
  /// All turns together, in nanoseconds.
  public let turnNanoseconds = Counter()
  /// The longest turn of the present second, and of the one before, in nanoseconds.
  private let longestNow = Counter()
  private let longestBefore = Counter()
  private let second = Counter()

  /// HTTP/2 connections, and their streams.
  public let http2 = HTTP2Meter()
  /// Connections that a PROXY header was owed on and that did not begin with one.
  public let refusedProxyHeaders = Counter()
  /// Ordinary requests that went out on a connection to a server that an earlier one had left.
  public let reusedServers = Counter()

  /// Requests, by what they were answered.
  public let answers = AnswerTally()
  /// Handshakes.
  public let handshakes = Tally<Handshake>()
  /// From the accept to the end of the TLS handshake.
  public let handshakeLatency = LatencyMeter()
  /// From the end of the request's head to the decision that it may pass.
  public let admissionLatency = LatencyMeter()
  /// From the receipt of a peer's message to its way out to another peer.
  public let relayLatency = LatencyMeter()
  /// From the accept to the 101.
  public let upgradeLatency = LatencyMeter()
  /// From the end of an ordinary request's head to the head of the server's answer.
  public let answerLatency = LatencyMeter()
  /// From the first packet to a server until it is connected, by upstream.
  private let connects = Mutex<[String: Histogram]>([:])

  /// Nothing counted yet.
  public init() {}

  /// A server of this upstream was connected.
  public func connected(_ upstream: String, in duration: Duration) {
    self.connects.withLock {
      $0[upstream, default: Histogram()].record(seconds: duration.milliseconds / 1000)
    }
  }

  /// How long connections to servers took, by upstream.
  public var connectLatency: [String: Histogram] { self.connects.withLock { $0 } }

  /// A turn of the loop is over.
  ///
  /// - Parameters:
  ///   - nanoseconds: how long it took.
  ///   - instant: the monotonic clock's reading.
  public func turned(nanoseconds: UInt64, at instant: UInt64) {
    self.turnCount.raise()
    self.turnNanoseconds.raise(by: nanoseconds)
    let second = instant / 1_000_000_000
    if second != self.second.value {
      self.longestBefore.set(to: second == self.second.value + 1 ? self.longestNow.value : 0)
      self.longestNow.set(to: nanoseconds)
      self.second.set(to: second)
    } else if nanoseconds > self.longestNow.value {
      self.longestNow.set(to: nanoseconds)
    }
  }

  /// The longest turn of the last one or two seconds, in nanoseconds; 0 where there was none.
  ///
  /// - Parameter instant: the monotonic clock's reading.
  public func longestTurn(at instant: UInt64) -> UInt64 {
    let age = instant / 1_000_000_000 &- self.second.value
    switch age {
    case 0: return max(self.longestNow.value, self.longestBefore.value)
    case 1: return self.longestNow.value
    default: return 0
    }
  }
}
