public import Net
internal import Synchronization

/// One address of one server: what a tunnel connects to, and what load and health are known for.
public final class Endpoint: Sendable {
  /// The server as configured, for records.
  public let url: ServerURL
  /// Where it is.
  public let address: SocketAddress
  /// A number for the server and the address that is the same in every process and version: cookies
  /// carry it, and hashing chooses by it.
  public let stableID: UInt64

  private struct Condition {
    var health: Health
    var probeDetail: String?
  }

  /// Tunnels and attempts that live now. Every worker changes it, at the begin and end of a tunnel.
  private let connections = Atomic<Int>(0)
  /// Workers change it after each attempt, the prober after each probe; each pick reads it.
  private let condition: Mutex<Condition>

  /// - Parameter warmingSince: when it was added to a group that others serve already.
  init(url: ServerURL, address: SocketAddress, warmingSince: Deadline? = nil) {
    self.url = url
    self.address = address
    self.stableID = hashKey(of: "\(url)|\(address)".utf8)
    self.condition = Mutex(Condition(health: Health(warmingSince: warmingSince)))
  }

  /// Tunnels and attempts that live now.
  public var connectionCount: Int { self.connections.load(ordering: .relaxed) }

  /// Counts one more. Every call is matched by one of ``end()``.
  public func begin() { self.connections.wrappingAdd(1, ordering: .relaxed) }

  /// Counts one less.
  public func end() { self.connections.wrappingSubtract(1, ordering: .relaxed) }
}

extension Endpoint {
  /// What probes and attempts have shown so far.
  public var health: Health { self.condition.withLock { $0.health } }

  /// What the last probe came to, in words, for the admin page; `nil` before the first one.
  public var probeDetail: String? { self.condition.withLock { $0.probeDetail } }

  /// Takes the result of one probe.
  ///
  /// - Parameter detail: the result in words, such as `200 in 3 ms`.
  public func noteProbe(
    _ succeeded: Bool, detail: String, rules: HealthRules, now: Deadline = .now()
  ) -> Health.Change? {
    self.condition.withLock { condition in
      condition.probeDetail = detail
      return condition.health.probed(succeeded, rules: rules, now: now)
    }
  }

  /// Takes the result of one client's attempt.
  ///
  /// - Parameter rules: the group's; `nil` where nobody is ejected.
  public func noteAttempt(
    _ succeeded: Bool, rules: EjectionRules?, now: Deadline = .now()
  ) -> Health.Change? {
    self.condition.withLock { $0.health.attempted(succeeded, rules: rules, now: now) }
  }

  /// What a pick goes by.
  ///
  /// - Parameter rules: the group's: what they do not ask for counts for nothing.
  public func standing(
    now: Deadline = .now(), under rules: GroupRules? = nil
  ) -> Health.Standing {
    if let rules, rules.healthCheck == nil, rules.eject == nil { return .healthy }
    return self.condition.withLock { $0.health.standing(now: now, under: rules) }
  }

  /// How much of its server's weight it takes, 0.1 to 1.
  public func share(now: Deadline = .now(), slowStart: Duration?) -> Double {
    self.condition.withLock { $0.health.share(now: now, slowStart: slowStart) }
  }

  /// Drops what these rules did not ask for: it has not been looked at for as long as they held.
  func forgetWhat(isNotAskedForBy rules: GroupRules) {
    self.condition.withLock { condition in
      if rules.healthCheck == nil {
        condition.health.forgetProbes()
        condition.probeDetail = nil
      }
      if rules.eject == nil { condition.health.forgetAttempts() }
    }
  }
}

extension Endpoint {
  /// The URL's host, which TLS verifies and the Host field may carry.
  public var host: String {
    switch self.url.target {
    case .name(let name, _): name
    case .address(.ip(let address, _)): address.description
    case .address(.unix): "localhost"
    }
  }

  /// The server, and the address where its URL has a name: `ws://chat:9000 (10.0.0.7:9000)`.
  public var label: String {
    if case .name = self.url.target { "\(self.url) (\(self.address))" } else { "\(self.url)" }
  }
}
