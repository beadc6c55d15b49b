internal import Admission
internal import Configuration
internal import HTTP2
internal import Logging
internal import Net
internal import Signaling
internal import Telemetry
internal import Tunnel
internal import Upstream

/// A configuration as the workers use it: immutable, shared, swapped as a whole.
final class Snapshot: Sendable {
  let limits: Configuration.Limits
  /// Over how long the closes of tunnels are paced that this snapshot has no place for.
  let drainOver: Duration
  let trustedProxies: [AddressRange]
  /// Whether requests are followed over several systems.
  let traces: Bool
  /// In the order of the file: the first that matches answers.
  let routes: [Route]
  /// All groups, for the resolver.
  let groups: [Group]
  /// Whether servers are told of clients by PROXY headers.
  let tellsServers: Bool
  let log: Logger
  let access: AccessLog
  private let routesByName: [String: Route]
  /// Whether any route is for certain hosts.
  private let goesByHost: Bool

  /// - Parameters:
  ///   - earlierGroups: those of earlier snapshots: servers keep their load and their health.
  ///   - earlierRoutes: those of earlier snapshots, whose counts go on.
  ///   - workerCount: how many workers count.
  init(
    _ configuration: Configuration, groups earlierGroups: [Group] = [],
    routes earlierRoutes: [Route] = [], workerCount: Int, log: Logger
  ) {
    self.limits = configuration.limits
    self.drainOver = configuration.drainOver
    self.trustedProxies = configuration.trustedProxies
    self.traces = configuration.traces
    self.log = log
    self.access = AccessLog(log, isOn: configuration.log.access)
    let groups = configuration.upstreams.map { rules in
      Group(rules, inheriting: earlierGroups.first { $0.rules.name == rules.name })
    }
    self.groups = groups
    self.tellsServers = groups.contains { $0.rules.proxyProtocol != nil }
    self.routes = configuration.routes.compactMap { rules in
      let earlier = earlierRoutes.first { $0.rules.name == rules.name }
      return Route.Service(rules, groups).map {
        Route(rules, $0, inheriting: earlier, workerCount: workerCount)
      }
    }
    self.goesByHost = self.routes.contains { !$0.rules.match.hosts.isEmpty }
    self.routesByName = Dictionary(
      self.routes.map { ($0.rules.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The route that answers for this host and path.
  func route(host: String, path: String) -> Route? {
    let place = RequestPlace(host: self.goesByHost ? host : nil, path: path)
    return self.routes.first { $0.rules.match.matches(place) }
  }

  /// Whether a route is this snapshot's own.
  func has(_ route: Route) -> Bool { self.routesByName[route.rules.name] === route }

  /// What becomes of a tunnel of an earlier snapshot.
  enum Fate {
    /// It goes on, under the terms of this route.
    case stays(Route)
    case ends(Cause)
  }

  /// A tunnel goes on where its route still leads to its server, whatever else has changed.
  func fate(ofTunnelOn route: Route, to endpoint: Endpoint) -> Fate {
    guard let present = self.routesByName[route.rules.name] else { return .ends(.routeRemoved) }
    guard case .upstream(let group) = present.service else { return .ends(.routeRemoved) }
    return group.has(endpoint.url) ? .stays(present) : .ends(.serverRemoved)
  }

  /// A peer stays where its route still has rooms: that route.
  func place(ofPeerOn route: Route) -> Route? {
    guard let present = self.routesByName[route.rules.name], present.hall != nil else { return nil }
    return present
  }

  /// What HTTP/2 connections are held to. Every route serves WebSockets.
  var sessionRules: SessionRules {
    SessionRules(
      headByteCountMax: self.limits.headByteCountMax,
      targetByteCountMax: Limits.targetByteCountMax, streamCountMax: self.limits.streamCountMax,
      streamWindowByteCount: Limits.streamWindowByteCount,
      connectionWindowByteCount: Limits.connectionWindowByteCount,
      offersWebSocket: !self.routes.isEmpty)
  }

  /// Whether a route leads to rooms.
  var hasRooms: Bool { self.routes.contains { $0.hall != nil } }

  /// The route of this name.
  func route(named name: String) -> Route? { self.routesByName[name] }
}

/// A route and where it leads.
final class Route: Sendable {
  /// Where a route leads.
  enum Service {
    /// To the servers of a group.
    case upstream(Group)
    /// To rooms.
    case rooms(Hall)

    /// `nil` where the rules name a group that is not there.
    init?(_ rules: RouteRules, _ groups: [Group]) {
      switch rules.destination {
      case .upstream(let name):
        guard let group = groups.first(where: { $0.rules.name == name }) else { return nil }
        self = .upstream(group)
      case .rooms(let rooms): self = .rooms(Hall(rules, rooms))
      }
    }
  }

  let rules: RouteRules
  /// What the edge says to browsers about pages of other origins; `nil` where that is left to servers.
  let cors: CORSRules?
  /// Whether it carries ordinary requests too.
  let carriesRequests: Bool
  /// The fields under which servers are told who the client is.
  let identityFieldNames: [String]
  let service: Service
  /// What holds for its tunnels.
  let terms: TunnelTerms
  /// What its tunnels, or its peers, carried, by worker. Outlives the snapshot.
  let meters: [TrafficMeter]
  /// What happened in its rooms, by the worker that has them. Outlives the snapshot.
  let roomMeters: [RoomMeter]
  /// How many rooms and peers it has. Outlives the snapshot.
  let roomOccupancy: RoomOccupancy

  /// What holds for its rooms; `nil` where it has none.
  var hall: Hall? { if case .rooms(let hall) = self.service { hall } else { nil } }

  init(_ rules: RouteRules, _ service: Service, inheriting earlier: Route?, workerCount: Int) {
    self.rules = rules
    self.cors = rules.http?.cors
    self.carriesRequests = rules.http != nil
    self.identityFieldNames = rules.admission.credentials?.identityFieldNames ?? []
    self.service = service
    self.meters = earlier?.meters ?? (0..<workerCount).map { _ in TrafficMeter() }
    self.roomOccupancy = earlier?.roomOccupancy ?? RoomOccupancy()
    self.roomMeters = earlier?.roomMeters ?? (0..<workerCount).map { _ in RoomMeter() }
    if let terms = earlier?.terms, terms.rules == rules.tunnel {
      self.terms = terms
    } else {
      self.terms = TunnelTerms(
        rules.tunnel, closeTimeout: Limits.closeTimeout,
        halfClosedTimeout: Limits.halfClosedTimeout)
    }
  }
}
