/// What holds for every tunnel of a route.
public struct TunnelRules: Sendable, Equatable {
  /// The most octets of an inflated message where ``compression`` is `offload` and
  /// ``messageByteCountMax`` says nothing: deflate packs a thousand octets into one, and a few
  /// frames would fill a memory.
  public static let offloadMessageByteCountMax: UInt64 = 16 * 1024 * 1024

  /// The most payload octets of a message, summed over its fragments, as they stand on the wire
  /// (inflated, where ``compression`` is `offload`); `nil` for no limit.
  public var messageByteCountMax: UInt64?
  /// How many messages a peer may send.
  public var messages: RateLimit?
  /// How many octets a peer may send, headers of frames included.
  public var bytes: RateLimit?
  /// When peers are asked whether they are alive; `nil` for never.
  public var heartbeat: Heartbeat?
  /// A tunnel on which nothing has come from either side for this long is closed.
  public var idleTimeout: Duration
  /// A peer that takes nothing for this long of what waits for it is closed.
  public var stallTimeout: Duration
  /// How long a tunnel may live; `nil` for any time.
  public var lifetimeMax: Duration?
  /// What becomes of permessage-deflate.
  public var compression: Compression

  /// The rules of a route that says nothing about its tunnels.
  public init(
    messageByteCountMax: UInt64? = nil, messages: RateLimit? = nil, bytes: RateLimit? = nil,
    heartbeat: Heartbeat? = Heartbeat(), idleTimeout: Duration = .seconds(600),
    stallTimeout: Duration = .seconds(30), lifetimeMax: Duration? = nil,
    compression: Compression = .pass
  ) {
    self.messageByteCountMax = messageByteCountMax
    self.messages = messages
    self.bytes = bytes
    self.heartbeat = heartbeat
    self.idleTimeout = idleTimeout
    self.stallTimeout = stallTimeout
    self.lifetimeMax = lifetimeMax
    self.compression = compression
  }

  /// One peer of a tunnel or both.
  public enum Peers: String, Sendable, CaseIterable {
    /// The client alone.
    case client
    /// The server alone.
    case server
    /// Each of them, by itself.
    case both

    /// Whether the peer on this side is meant.
    public func includes(_ side: Side) -> Bool {
      switch self {
      case .client: side == .downstream
      case .server: side == .upstream
      case .both: true
      }
    }
  }

  /// How fast a peer may send.
  public struct RateLimit: Sendable, Equatable {
    /// What becomes of a peer that is faster.
    public enum Excess: String, Sendable, CaseIterable {
      /// It is read more slowly: nothing is lost.
      case throttle
      /// Its tunnel is closed (1008).
      case close
    }

    /// Messages or octets that are allowed each second, above 0.
    public var perSecond: Double
    /// Messages or octets that may come at once, at least 1.
    public var burst: Double
    /// What becomes of more.
    public var excess: Excess
    /// Whose messages or octets are counted.
    public var from: Peers

    /// A limit.
    public init(
      perSecond: Double, burst: Double, excess: Excess = .throttle, from: Peers = .client
    ) {
      self.perSecond = perSecond
      self.burst = burst
      self.excess = excess
      self.from = from
    }
  }

  /// When peers are asked whether they are alive, and how long they may take to show it.
  public struct Heartbeat: Sendable, Equatable {
    /// A peer from which nothing has come for this long is sent a ping.
    public var interval: Duration
    /// A peer from which nothing has come for this long since the ping is dead.
    public var timeout: Duration
    /// Who is asked.
    public var to: Peers

    /// The heartbeat of a route that says nothing about it keeps tunnels through networks that
    /// forget silent connections after 30 s or more.
    public init(
      interval: Duration = .seconds(25), timeout: Duration = .seconds(10), to: Peers = .client
    ) {
      self.interval = interval
      self.timeout = timeout
      self.to = to
    }
  }

  /// What becomes of permessage-deflate (RFC 7692).
  public enum Compression: String, Sendable, CaseIterable {
    /// Client and server negotiate it with each other.
    case pass
    /// It is left out of the handshake: nobody compresses.
    case off
    /// The edge compresses towards the client and speaks plainly to the server.
    case offload
  }
}
