public import Net
public import Upstream

/// What a running edge does: a file, read and checked to the last leaf, or the same made in code.
///
/// Immutable once made and shared by all workers. Every part is already what its user needs:
/// nothing is parsed, opened or checked again later.
public struct Configuration: Sendable {
  /// How many threads carry connections, 1 to 1024; `nil`: one for each core.
  public var workers: Int?
  /// Where connections are accepted. At least one.
  public var listeners: [ListenerRules]
  /// Over how long the closes of a shutdown are paced, before what is left is cut.
  public var shutdownGrace: Duration
  /// Over how long the closes of tunnels are paced whose route or server a reload takes away.
  public var drainOver: Duration
  /// The proxies whose X-Forwarded-For is believed.
  public var trustedProxies: [AddressRange]
  /// What bounds the process and every connection.
  public var limits: Limits
  /// In order: the first one that matches a request answers for it. At least one; names differ.
  public var routes: [RouteRules]
  /// The groups that routes name, and perhaps others; none where no route names one. Names differ.
  public var upstreams: [GroupRules]
  /// What is logged, and how.
  public var log: LogRules
  /// Where operators talk to the edge; `nil` where they do not.
  public var admin: AdminRules?
  /// Whether requests are followed over several systems: a `traceparent` is made or passed on.
  public var traces = false
  /// The file as JSON, without its secrets; empty for a configuration made in code.
  public var text = ""
  /// What the files held when they were read: the configuration's own, and those that it names.
  public var files: [FileStamp] = []

  /// A configuration made in code. What a file is checked for is the caller's to see to here.
  public init(
    workers: Int? = nil, listeners: [ListenerRules], shutdownGrace: Duration = .seconds(30),
    drainOver: Duration = .seconds(30), trustedProxies: [AddressRange] = [],
    limits: Limits = Limits(), routes: [RouteRules], upstreams: [GroupRules],
    log: LogRules = LogRules()
  ) {
    self.workers = workers
    self.listeners = listeners
    self.shutdownGrace = shutdownGrace
    self.drainOver = drainOver
    self.trustedProxies = trustedProxies
    self.limits = limits
    self.routes = routes
    self.upstreams = upstreams
    self.log = log
  }

  /// What bounds the process and every connection.
  public struct Limits: Hashable, Sendable {
    /// Connections of the whole process, 1 to 10,000,000; beyond it 503.
    public var connections: Int
    /// From accept to the end of the request head, TLS handshake included; 100 ms to 10 min.
    public var handshakeTimeout: Duration
    /// Octets of a request head, 1 KiB to 1 MiB; beyond it 431.
    public var headByteCountMax: Int
    /// Octets that may wait in the edge for slow peers, all workers together; 1 MiB to 1 TiB.
    public var queuedByteCountMax: Int
    /// How long a client's connection may be idle between requests; 1 s to 1 h.
    public var keepAliveTimeout: Duration
    /// HTTP/2 streams that one connection may have open, 1 to 1000.
    public var streamCountMax: Int

    /// The limits that a file has where it says nothing.
    public init(
      connections: Int = 100_000, handshakeTimeout: Duration = .seconds(10),
      headByteCountMax: Int = 16 * 1024, queuedByteCountMax: Int = 256 * 1024 * 1024,
      keepAliveTimeout: Duration = .seconds(75), streamCountMax: Int = 128
    ) {
      self.connections = connections
      self.handshakeTimeout = handshakeTimeout
      self.headByteCountMax = headByteCountMax
      self.queuedByteCountMax = queuedByteCountMax
      self.keepAliveTimeout = keepAliveTimeout
      self.streamCountMax = streamCountMax
    }
  }
}
