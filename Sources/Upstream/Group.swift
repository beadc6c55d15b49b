public import Net
internal import Synchronization

/// The servers that a route's tunnels go to. Shared by all workers.
public final class Group: Sendable {
  /// What the group was made from.
  public let rules: GroupRules
  /// The rules' servers, in their order.
  public let servers: [Server]

  private let roster: Mutex<Roster>

  /// Servers with an address are ready at once, those with a name when the resolver knows it.
  ///
  /// - Parameters:
  ///   - previous: the group that this one replaces. Servers with the same URL take its endpoints
  ///     over, load and health included, and keep what an operator has overridden where their rules
  ///     are the same.
  ///   - now: from when on slow start counts for servers that `previous` does not have.
  public init(_ rules: GroupRules, inheriting previous: Group? = nil, now: Deadline = .now()) {
    let legacy = previous?.legacy() ?? Legacy()
    // Nothing that `previous` goes by is touched: it is in use, and may have to stay so.
    if let previous {
      for endpoint in legacy.all { endpoint.forgetWhat(isNotAskedForBy: previous.rules) }
    }
    self.rules = rules
    self.servers = rules.servers.map { server in
      previous?.servers.first { $0.rules == server } ?? Server(server)
    }
    let roster = Roster(
      rules.servers.map(\.url), Balancer(rules.balance), inheriting: legacy, now: now)
    self.roster = Mutex(roster)
  }

  /// What a group that replaces this one takes over.
  private func legacy() -> Legacy {
    self.roster.withLock { roster in
      Legacy(
        current: zip(self.servers, roster.endpoints).map { ($0.rules.url, $1) },
        retired: roster.retired)
    }
  }

  /// The names that the resolver keeps for this group.
  public var names: Set<String> {
    Set(
      self.rules.servers.compactMap { server in
        if case .name(let name, _) = server.url.target { name } else { nil }
      })
  }

  /// Whether a server of this URL is configured.
  public func has(_ url: ServerURL) -> Bool { self.rules.servers.contains { $0.url == url } }

  /// Puts the addresses that `name` has now in the place of those it had. Endpoints whose address
  /// stays, or comes back, keep their load; all addresses are used.
  ///
  /// - Parameter now: from when on slow start counts for new addresses.
  public func update(_ name: String, to addresses: [IPAddress], now: Deadline = .now()) {
    self.roster.withLock { roster in
      let warmingSince = roster.warmingSince(of: now)
      for (index, server) in self.rules.servers.enumerated() {
        guard case .name(name, let port) = server.url.target else { continue }
        let addresses = addresses.map { SocketAddress.ip($0, port: port) }
        roster.replace(index, server.url, addresses, warmingSince)
      }
    }
  }
}

extension Group {
  /// What of a request speaks for one endpoint.
  public struct Preference: Sendable, Equatable {
    /// Where the client was before, as its sticky cookie says: ``Endpoint/stableID``.
    public var stickyID: UInt64?
    /// What ``Balance/hash`` goes by: ``hashKey(of:)``.
    public var hashKey: UInt64?

    /// Nothing speaks for any.
    public static let none = Preference()

    /// What is known of the request.
    public init(stickyID: UInt64? = nil, hashKey: UInt64? = nil) {
      self.stickyID = stickyID
      self.hashKey = hashKey
    }
  }

  /// An endpoint for a new tunnel; `nil` where none is left. Its load counts the tunnel from here
  /// on: ``Endpoint/end()`` is the caller's to call.
  ///
  /// Servers that drain and endpoints that are unhealthy are never picked, ejected endpoints only
  /// where nothing else is left. Where the client was before comes before any balance.
  ///
  /// - Parameters:
  ///   - tried: endpoints that have failed the request and are not picked again.
  ///   - preference: what of the request speaks for one endpoint.
  public func pick(
    avoiding tried: [Endpoint], preferring preference: Preference = .none,
    now: Deadline = .now(), using chance: inout some RandomNumberGenerator
  ) -> Endpoint? {
    self.roster.withLock { roster in
      roster.isInUse = true
      if let only = roster.onlyEndpoint { return self.pick(only: only, avoiding: tried, now) }
      let places = self.places(roster)
      let eligible = self.eligible(places, avoiding: tried, now)
      if let id = preference.stickyID, let known = eligible.healthy.first(where: { $0.has(id) }) {
        known.endpoint.begin()
        return known.endpoint
      }
      let left = eligible.healthy.isEmpty ? eligible.ejected : eligible.healthy
      let candidates = left.map { $0.candidate(now, slowStart: self.rules.slowStart) }
      guard
        let index = roster.balancer.pick(
          from: candidates, hashKey: preference.hashKey, using: &chance)
      else { return nil }
      places[index].endpoint.begin()
      return places[index].endpoint
    }
  }

  /// Of one there is nothing to choose.
  private func pick(
    only endpoint: Endpoint, avoiding tried: [Endpoint], _ now: Deadline
  ) -> Endpoint? {
    guard self.servers[0].takesNewTunnels, !tried.contains(where: { $0 === endpoint }),
      endpoint.standing(now: now, under: self.rules) != .unhealthy
    else { return nil }
    endpoint.begin()
    return endpoint
  }

  /// Those that take a new tunnel, by what is known of them.
  private func eligible(
    _ places: [Place], avoiding tried: [Endpoint], _ now: Deadline
  ) -> (healthy: [Place], ejected: [Place]) {
    var eligible: (healthy: [Place], ejected: [Place]) = ([], [])
    for place in places where place.server.takesNewTunnels {
      guard !tried.contains(where: { $0 === place.endpoint }) else { continue }
      switch place.endpoint.standing(now: now, under: self.rules) {
      case .healthy: eligible.healthy.append(place)
      case .ejected: eligible.ejected.append(place)
      case .unhealthy: break
      }
    }
    return eligible
  }

  private func places(_ roster: Roster) -> [Place] {
    var places: [Place] = []
    for (server, endpoints) in zip(self.servers, roster.endpoints) {
      for endpoint in endpoints {
        places.append(Place(index: places.count, server: server, endpoint: endpoint))
      }
    }
    return places
  }
}

extension Group {
  /// How many endpoints the group has at present.
  public var endpointCount: Int {
    self.roster.withLock { $0.endpoints.reduce(0) { $0 + $1.count } }
  }

  /// The servers and the endpoints that each has at present, for the admin page and the prober.
  public func listing() -> [(server: Server, endpoints: [Endpoint])] {
    self.roster.withLock { Array(zip(self.servers, $0.endpoints)) }
      .map { (server: $0, endpoints: $1) }
  }

  /// Whether a new tunnel would find an endpoint, if only one that is ejected.
  public func hasHealthyServer(now: Deadline = .now()) -> Bool {
    self.listing().contains { server, endpoints in
      server.takesNewTunnels
        && endpoints.contains { $0.standing(now: now, under: self.rules) != .unhealthy }
    }
  }
}

/// An endpoint with its server, and its place among all of the group.
private struct Place {
  let index: Int
  let server: Server
  let endpoint: Endpoint

  func has(_ id: UInt64) -> Bool { self.endpoint.stableID == id }

  /// Weights are scaled by 100, so that also a server of weight 1 can take less.
  func candidate(_ now: Deadline, slowStart: Duration?) -> Balancer.Candidate {
    let share = self.endpoint.share(now: now, slowStart: slowStart)
    let weight = Int((Double(self.server.weight * 100) * share).rounded())
    return Balancer.Candidate(
      index: self.index, weight: max(weight, 1), load: self.endpoint.connectionCount,
      stableID: self.endpoint.stableID)
  }
}
