internal import Net

/// The endpoints of each server of a group, in the order of the rules, and who is next.
struct Roster {
  /// For each server, none where its name is not known.
  private(set) var endpoints: [[Endpoint]]
  /// Endpoints that left while tunnels to them live: their address left its name, or their server
  /// the configuration. Should they come back, their load is known.
  private(set) var retired: [Endpoint]
  /// Whether tunnels have been asked for, here or in the group that was replaced.
  var isInUse: Bool
  var balancer: Balancer

  /// - Parameters:
  ///   - urls: the servers, in the order of the rules.
  ///   - legacy: what the group that is replaced had.
  init(_ urls: [ServerURL], _ balancer: Balancer, inheriting legacy: Legacy, now: Deadline) {
    let warmingSince = legacy.isEmpty ? nil : now
    let endpoints = urls.map { url in
      legacy.current.first { $0.url == url }?.endpoints
        ?? Self.first(of: url, known: legacy.retired, warmingSince)
    }
    let kept = endpoints.flatMap { $0 }
    self.endpoints = endpoints
    self.retired = legacy.all.filter { endpoint in
      endpoint.connectionCount > 0 && !kept.contains { $0 === endpoint }
    }
    self.isInUse = !legacy.isEmpty
    self.balancer = balancer
  }

  /// What a server begins with: an address is there at once.
  private static func first(
    of url: ServerURL, known: [Endpoint], _ warmingSince: Deadline?
  ) -> [Endpoint] {
    guard case .address(let address) = url.target else { return [] }
    let endpoint = known.first { $0.url == url }
    return [endpoint ?? Endpoint(url: url, address: address, warmingSince: warmingSince)]
  }

  /// From when on endpoints that come now take less than their weight; `nil` where there is nobody
  /// to take the rest. Before the first tunnel nobody is warmer than they are: the names of a group
  /// are resolved one after the other.
  func warmingSince(of now: Deadline) -> Deadline? {
    self.isInUse && self.endpoints.contains { !$0.isEmpty } ? now : nil
  }

  /// The endpoint, where there is only one; `nil` otherwise.
  var onlyEndpoint: Endpoint? {
    self.endpoints.count == 1 && self.endpoints[0].count == 1 ? self.endpoints[0][0] : nil
  }

  /// Gives the server at `index` these addresses instead of those it had.
  mutating func replace(
    _ index: Int, _ url: ServerURL, _ addresses: [SocketAddress], _ warmingSince: Deadline?
  ) {
    let known = self.endpoints[index] + self.retired.filter { $0.url == url }
    let current = addresses.map { address in
      known.first { $0.address == address }
        ?? Endpoint(url: url, address: address, warmingSince: warmingSince)
    }
    let left = known.filter { endpoint in !current.contains { $0 === endpoint } }
    self.retired.removeAll { $0.url == url }
    self.retired += left.filter { $0.connectionCount > 0 }
    self.endpoints[index] = current
  }
}

/// What a group leaves to the one that replaces it.
struct Legacy {
  /// The endpoints of each server.
  var current: [(url: ServerURL, endpoints: [Endpoint])] = []
  var retired: [Endpoint] = []

  /// Every endpoint, those included that only live for their tunnels.
  var all: [Endpoint] { self.current.flatMap(\.endpoints) + self.retired }

  /// Whether nobody served before.
  var isEmpty: Bool { self.current.allSatisfy(\.endpoints.isEmpty) }
}
