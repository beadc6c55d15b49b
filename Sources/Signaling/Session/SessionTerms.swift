internal import Net

/// What holds for every connection of a route's peers.
public final class SessionTerms: Sendable {
  /// How fast something may come.
  public struct Rate: Sendable, Equatable {
    /// What is allowed each second, above 0.
    public var perSecond: Double
    /// What may come at once, at least 1.
    public var burst: Double
    /// Whether more ends the connection; it is read more slowly otherwise.
    public var closes: Bool

    /// A rate.
    public init(perSecond: Double, burst: Double, closes: Bool) {
      self.perSecond = perSecond
      self.burst = burst
      self.closes = closes
    }

    /// A full bucket of it.
    func bucket(now: Deadline) -> TokenBucket {
      TokenBucket(perSecond: self.perSecond, burst: self.burst, now: now)
    }
  }

  /// When a client is asked whether it lives, and how long it may take to show it.
  public struct Heartbeat: Sendable, Equatable {
    /// After this silence it is sent a ping.
    public var interval: Duration
    /// After this silence behind the ping it is dead.
    public var timeout: Duration

    /// A heartbeat.
    public init(interval: Duration, timeout: Duration) {
      self.interval = interval
      self.timeout = timeout
    }
  }

  let messages: Rate?
  let octets: Rate?
  let heartbeat: Heartbeat?
  let stallTimeout: Duration
  let lifetimeMax: Duration?
  let outboxByteCountMax: Int
  let joinTimeout: Duration
  let closeTimeout: Duration
  /// Octets of a message.
  public let messageByteCountMax: UInt64

  /// Terms of a route.
  public init(
    messageByteCountMax: UInt64, messages: Rate?, octets: Rate?, heartbeat: Heartbeat?,
    stallTimeout: Duration, lifetimeMax: Duration?, outboxByteCountMax: Int,
    joinTimeout: Duration = .seconds(10), closeTimeout: Duration = .seconds(5)
  ) {
    self.messageByteCountMax = messageByteCountMax
    self.messages = messages
    self.octets = octets
    self.heartbeat = heartbeat
    self.stallTimeout = stallTimeout
    self.lifetimeMax = lifetimeMax
    self.outboxByteCountMax = outboxByteCountMax
    self.joinTimeout = joinTimeout
    self.closeTimeout = closeTimeout
  }
}
