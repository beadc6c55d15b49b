import Net

@testable import Upstream

extension Deadline {
  /// So many seconds after the start of a test's own clock.
  static func at(_ seconds: Int) -> Deadline {
    Deadline(nanoseconds: 1_000_000_000_000 + UInt64(seconds) * 1_000_000_000)
  }
}

extension ServerRules {
  init(_ url: String, weight: Int = 1, drain: Bool = false) throws {
    self.init(url: try ServerURL(parsing: url), weight: weight, drain: drain)
  }
}

extension GroupRules {
  /// Rules for servers of these URLs, which are probed and may be ejected.
  init(_ urls: [String], _ balance: Balance = .roundRobin) throws {
    self.init(
      name: "chat", servers: try urls.map { try ServerRules($0) }, balance: balance,
      healthCheck: HealthRules(), eject: EjectionRules())
  }
}

extension Group {
  /// Servers of these URLs.
  convenience init(
    _ urls: String..., balance: Balance = .roundRobin, inheriting previous: Group? = nil
  ) throws {
    self.init(try GroupRules(urls, balance), inheriting: previous, now: .at(0))
  }

  /// What a test picks at the start of its clock, if it does not say otherwise.
  func picked(
    avoiding tried: [Endpoint] = [], preferring preference: Preference = .none,
    now: Deadline = .at(0), seed: UInt64 = 1
  ) -> Endpoint? {
    var chance = SplitMix(seed: seed)
    return self.pick(avoiding: tried, preferring: preference, now: now, using: &chance)
  }

  /// All endpoints, in the order of the servers.
  var endpoints: [Endpoint] { self.listing().flatMap(\.endpoints) }

  /// Their URLs, for tests in which each server has one address.
  func urls(of picks: [Endpoint?]) -> [String] { picks.map { $0?.url.description ?? "nobody" } }
}

extension Endpoint {
  /// Fails as many probes or attempts as it takes.
  func becomeUnhealthy(now: Deadline = .at(0)) {
    _ = self.noteProbe(
      false, detail: "refused", rules: HealthRules(unhealthyAfter: 1), now: now)
  }

  func becomeEjected(for duration: Duration = .seconds(30), now: Deadline = .at(0)) {
    let rules = EjectionRules(consecutiveFailures: 1, duration: duration)
    _ = self.noteAttempt(false, rules: rules, now: now)
  }
}

/// Addresses as a name server gives them.
func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress(parsing: $0) } }
