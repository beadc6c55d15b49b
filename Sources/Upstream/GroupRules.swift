public import TLS

/// How a group picks a server for a new tunnel.
public enum Balance: String, Sendable, CaseIterable {
  /// In turn, as often as the weights say, evenly spread.
  case roundRobin = "round_robin"
  /// The server with the fewest tunnels for its weight, counted over the whole process.
  case leastConnections = "least_connections"
  /// The less busy of two servers picked at random ("power of two choices").
  case randomTwo = "random_two"
}

/// One server of a group as it is configured.
public struct ServerRules: Sendable {
  /// Where it listens.
  public var url: ServerURL
  /// 1 to 1000; a server of weight 2 takes twice the tunnels of one of weight 1.
  public var weight: Int

  /// A server that takes `weight` parts of its group's tunnels.
  public init(url: ServerURL, weight: Int = 1) {
    self.url = url
    self.weight = weight
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
  /// How servers with the scheme wss are verified; `nil` where the group has none.
  public var tls: ClientContext?
  /// From the first packet to a server until it is connected, TLS handshake included, each attempt.
  public var connectTimeout: Duration
  /// How many further servers are tried before the client sees anything.
  public var retries: Int

  /// A group whose parts have been checked: weights in their range, TLS where a server asks for it.
  public init(
    name: String, servers: [ServerRules], balance: Balance = .roundRobin,
    tls: ClientContext? = nil, connectTimeout: Duration = .seconds(3), retries: Int = 2
  ) {
    self.name = name
    self.servers = servers
    self.balance = balance
    self.tls = tls
    self.connectTimeout = connectTimeout
    self.retries = retries
  }
}
