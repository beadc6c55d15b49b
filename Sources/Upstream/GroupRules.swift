public import Net
public import TLS

/// How a group picks a server for a new tunnel.
public enum Balance: String, Sendable, CaseIterable {
  /// In turn, as often as the weights say, evenly spread.
  case roundRobin = "round_robin"
  /// The server with the fewest tunnels for its weight, counted over the whole process.
  case leastConnections = "least_connections"
  /// The less busy of two servers picked at random ("power of two choices").
  case randomTwo = "random_two"
  /// The one that ``GroupRules/hashOn`` decides on, the same for the same client in every process;
  /// as `random_two` for a request that has nothing to hash.
  case hash
}

/// One server of a group as it is configured.
public struct ServerRules: Sendable, Equatable {
  /// Where it listens.
  public var url: ServerURL
  /// 1 to 1000; a server of weight 2 takes twice the tunnels of one of weight 1.
  public var weight: Int
  /// Whether it takes no new tunnels and keeps those that it has.
  public var drain: Bool

  /// A server that takes `weight` parts of its group's tunnels.
  public init(url: ServerURL, weight: Int = 1, drain: Bool = false) {
    self.url = url
    self.weight = weight
    self.drain = drain
  }
}

/// How a group's endpoints are probed.
public struct HealthRules: Sendable, Equatable {
  /// What a probe asks, and what it takes for a good answer.
  public enum Probe: Sendable, Equatable {
    /// GET, answered with one of the statuses.
    case http(path: String, statuses: ClosedRange<Int> = 200...399)
    /// A WebSocket handshake, completed.
    case upgrade(path: String)
  }

  /// What becomes of the tunnels of an endpoint that is declared dead.
  public enum OnUnhealthy: String, Sendable, CaseIterable {
    /// They are closed, so that clients come back and find a server that lives.
    case close
    /// They are left alone.
    case keep
  }

  /// Failed probes in a row until an endpoint is unhealthy, at least 1.
  public var unhealthyAfter: Int
  /// Good probes in a row until it is healthy again, at least 1.
  public var healthyAfter: Int
  /// From one probe to the next.
  public var interval: Duration
  /// Of one probe, from the first packet to the answer.
  public var timeout: Duration
  /// What is asked.
  public var request: Probe
  /// What becomes of the tunnels.
  public var onUnhealthy: OnUnhealthy

  /// Rules whose parts have been checked.
  public init(
    unhealthyAfter: Int = 3, healthyAfter: Int = 2, interval: Duration = .seconds(5),
    timeout: Duration = .seconds(2), request: Probe = .http(path: "/"),
    onUnhealthy: OnUnhealthy = .close
  ) {
    self.unhealthyAfter = unhealthyAfter
    self.healthyAfter = healthyAfter
    self.interval = interval
    self.timeout = timeout
    self.request = request
    self.onUnhealthy = onUnhealthy
  }
}

/// When an endpoint that fails its clients is passed over for a while.
public struct EjectionRules: Sendable, Equatable {
  /// Failed attempts in a row, at least 1.
  public var consecutiveFailures: Int
  /// How long; twice as long each time that it fails again right afterwards, at most
  /// ``Health/ejectionFactorMax`` times as long.
  public var duration: Duration

  /// Rules whose parts have been checked.
  public init(consecutiveFailures: Int = 5, duration: Duration = .seconds(30)) {
    self.consecutiveFailures = consecutiveFailures
    self.duration = duration
  }
}

/// How connections to servers are kept for further requests. WebSockets never share one.
public struct KeepAliveRules: Sendable, Equatable {
  /// Idle connections that each worker keeps to each address of a server, at least 1; beyond it the
  /// one that has been idle longest is closed.
  public var connectionCountMax: Int
  /// An idle connection is closed after this time. It should be shorter than the server's own, which
  /// may otherwise close just when a request is on its way.
  public var idleTimeout: Duration

  /// Rules whose parts have been checked.
  public init(connectionCountMax: Int = 64, idleTimeout: Duration = .seconds(60)) {
    self.connectionCountMax = connectionCountMax
    self.idleTimeout = idleTimeout
  }
}

/// A group of servers as it is configured.
public struct GroupRules: Sendable {
  /// What routes call it.
  public var name: String
  /// At least one.
  public var servers: [ServerRules]
  /// How one of the servers is picked.
  public var balance: Balance
  /// What ``Balance/hash`` goes by; `nil` where the group balances otherwise.
  public var hashOn: HashKey?
  /// How servers with the scheme wss are verified; `nil` where the group has none.
  public var tls: ClientContext?
  /// From the first packet to a server until it is connected, TLS handshake included, each attempt.
  public var connectTimeout: Duration
  /// How many further servers are tried before the client sees anything.
  public var retries: Int
  /// How endpoints are probed; `nil` where they are not.
  public var healthCheck: HealthRules?
  /// When endpoints are ejected; `nil` where they never are.
  public var eject: EjectionRules?
  /// How long an endpoint that comes, or comes back, takes less than its weight; `nil` for not at
  /// all.
  public var slowStart: Duration?
  /// The cookie that leads a client back to its server; `nil` where there is none.
  public var stickyCookie: StickyCookieRules?
  /// How connections are used again; `nil` where each request gets its own.
  public var keepAlive: KeepAliveRules?
  /// With which header servers are told of the client; `nil` where they are not. The header speaks
  /// for a whole connection, so that none is kept for another client then: ``keepAlive`` is `nil`.
  public var proxyProtocol: ProxyHeader.Version?
  /// What the configuration's text of the group came to; used to tell what a reload changed.
  public var fingerprint: String

  /// A group whose parts have been checked: weights in their range, TLS where a server asks for it.
  public init(
    name: String, servers: [ServerRules], balance: Balance = .roundRobin, hashOn: HashKey? = nil,
    tls: ClientContext? = nil, connectTimeout: Duration = .seconds(3), retries: Int = 2,
    healthCheck: HealthRules? = nil, eject: EjectionRules? = nil, slowStart: Duration? = nil,
    stickyCookie: StickyCookieRules? = nil, keepAlive: KeepAliveRules? = KeepAliveRules(),
    proxyProtocol: ProxyHeader.Version? = nil, fingerprint: String = ""
  ) {
    self.name = name
    self.servers = servers
    self.balance = balance
    self.hashOn = hashOn
    self.tls = tls
    self.connectTimeout = connectTimeout
    self.retries = retries
    self.healthCheck = healthCheck
    self.eject = eject
    self.slowStart = slowStart
    self.stickyCookie = stickyCookie
    self.keepAlive = proxyProtocol == nil ? keepAlive : nil
    self.proxyProtocol = proxyProtocol
    self.fingerprint = fingerprint
  }
}
