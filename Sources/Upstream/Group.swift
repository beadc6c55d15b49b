public import Net
internal import Synchronization

/// The servers that a route's tunnels go to. Shared by all workers.
public final class Group: Sendable {
  /// What the group was made from.
  public let rules: GroupRules

  /// The endpoints of each server, in the order of the rules, and who is next.
  private struct Roster {
    var endpoints: [[Endpoint]]
    /// Endpoints whose address has left its name while tunnels to it live. Should it come back, its
    /// load is known.
    var retired: [Endpoint] = []
    var balancer: Balancer
  }

  private let roster: Mutex<Roster>

  /// Servers with an address are ready at once, those with a name when the resolver knows it.
  public init(_ rules: GroupRules) {
    self.rules = rules
    let endpoints = rules.servers.map { server in
      guard case .address(let address) = server.url.target else { return [Endpoint]() }
      return [Endpoint(url: server.url, address: address, weight: server.weight)]
    }
    self.roster = Mutex(Roster(endpoints: endpoints, balancer: Balancer(rules.balance)))
  }

  /// The names that the resolver keeps for this group.
  public var names: Set<String> {
    Set(
      self.rules.servers.compactMap { server in
        if case .name(let name, _) = server.url.target { name } else { nil }
      })
  }

  /// Puts the addresses that `name` has now in the place of those it had. Endpoints whose address
  /// stays, or comes back, keep their load; all addresses are used.
  public func update(_ name: String, to addresses: [IPAddress]) {
    self.roster.withLock { roster in
      for (index, server) in self.rules.servers.enumerated() {
        guard case .name(name, let port) = server.url.target else { continue }
        let known = roster.endpoints[index] + roster.retired.filter { $0.url == server.url }
        let current = addresses.map { address in
          let address = SocketAddress.ip(address, port: port)
          return known.first { $0.address == address }
            ?? Endpoint(url: server.url, address: address, weight: server.weight)
        }
        let left = known.filter { endpoint in !current.contains { $0 === endpoint } }
        roster.retired.removeAll { $0.url == server.url }
        roster.retired += left.filter { $0.connectionCount > 0 }
        roster.endpoints[index] = current
      }
    }
  }

  /// An endpoint for a new tunnel, none of `tried`; `nil` where none is left. Its load counts the
  /// tunnel from here on: ``Endpoint/end()`` is the caller's to call.
  public func pick(
    avoiding tried: [Endpoint], using chance: inout some RandomNumberGenerator
  ) -> Endpoint? {
    self.roster.withLock { roster in
      let endpoints = roster.endpoints.flatMap { $0 }
      let candidates = endpoints.enumerated().compactMap { index, endpoint in
        tried.contains { $0 === endpoint }
          ? nil
          : Balancer.Candidate(
            index: index, weight: endpoint.weight, load: endpoint.connectionCount)
      }
      guard let index = roster.balancer.pick(from: candidates, using: &chance) else { return nil }
      endpoints[index].begin()
      return endpoints[index]
    }
  }

  /// How many endpoints the group has at present.
  public var endpointCount: Int {
    self.roster.withLock { $0.endpoints.reduce(0) { $0 + $1.count } }
  }
}
