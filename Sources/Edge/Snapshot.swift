internal import Admission
internal import Configuration
internal import Net
internal import Tunnel
internal import Upstream

/// A configuration as the workers use it: immutable, shared, swapped as a whole.
final class Snapshot: Sendable {
  let limits: Configuration.Limits
  let trustedProxies: [AddressRange]
  /// In the order of the file: the first that matches answers.
  let routes: [Route]
  /// All groups, for the resolver.
  let groups: [Group]

  init(_ configuration: Configuration) {
    self.limits = configuration.limits
    self.trustedProxies = configuration.trustedProxies
    let groups = configuration.upstreams.map { Group($0) }
    self.groups = groups
    self.routes = configuration.routes.enumerated().compactMap { index, rules in
      groups.first { $0.rules.name == rules.upstream }.map { Route(rules, $0, index: index) }
    }
  }

  /// The route that answers for this host and path.
  func route(host: String, path: String) -> Route? {
    self.routes.first { $0.rules.match.matches(host: host, path: path) }
  }
}

/// A route and the servers it leads to. Tunnels keep the one they were admitted under.
final class Route: Sendable {
  let rules: RouteRules
  let group: Group
  /// What holds for its tunnels.
  let terms: TunnelTerms
  /// Its place among the snapshot's routes, for the workers' meters.
  let index: Int

  init(_ rules: RouteRules, _ group: Group, index: Int) {
    self.rules = rules
    self.group = group
    self.index = index
    self.terms = TunnelTerms(
      rules.tunnel, closeTimeout: Limits.closeTimeout, halfClosedTimeout: Limits.halfClosedTimeout)
  }
}
