internal import Configuration
internal import Edge
internal import Net
internal import Signaling
internal import Telemetry
internal import Upstream
internal import WebSocket

/// What the dashboard and `sluice top` show: everything at one moment, as JSON. Keys are written in
/// snake case.
struct Stats: Codable, Sendable {
  var time: String
  var version: String
  var pid: Int32
  var uptimeSeconds: Double
  var draining: Bool
  var connections: Connections
  var tunnels: Tunnels
  var messages: Pair
  var octets: Pair
  var refusals: [Refusal]
  var closes: [Close]
  var latency: Latency
  var queuedOctets: UInt64
  var throttledSeconds: Double
  var heartbeatFailures: Int
  var loopLagSeconds: [Double]
  var memoryOctets: Int
  var descriptors: Descriptors
  var listeners: [Listener]
  var routes: [Route]
  var upstreams: [Upstream]
  var reload: Reload?

  struct Connections: Codable, Sendable {
    var open: Int
    var limit: Int
    var total: UInt64
  }

  struct Tunnels: Codable, Sendable {
    var open: Int
    var total: UInt64
  }

  /// From clients, and from servers.
  struct Pair: Codable, Sendable {
    var `in`: UInt64
    var out: UInt64
  }

  struct Refusal: Codable, Sendable {
    var error: String
    var status: Int
    var count: Int
  }

  struct Close: Codable, Sendable {
    var reason: String
    var count: Int
  }

  struct Latency: Codable, Sendable {
    var bounds: [Double]
    var handshake: [Int]
    var admission: [Int]
    var upstreamConnect: [Int]
    var upgrade: [Int]
    var relay: [Int]
  }

  struct Descriptors: Codable, Sendable {
    var open: Int
    var limit: Int
  }

  struct Listener: Codable, Sendable {
    var address: String
    var scheme: String
  }

  /// A route, its tunnels and its peers' connections.
  struct Route: Codable, Sendable {
    enum Destination: String, Codable {
      case upstream, rooms
    }

    var name: String
    var leadsTo: Destination
    /// Where it leads to one.
    var upstream: String?
    /// Where it leads to rooms.
    var rooms: Rooms?
    /// Whether the configuration has it no more.
    var gone: Bool
    var open: Int
    var total: UInt64
    var messagesIn: UInt64
    var messagesOut: UInt64
    var octetsIn: UInt64
    var octetsOut: UInt64
  }

  /// The rooms of a route.
  struct Rooms: Codable, Sendable {
    var open: Int
    var opened: UInt64
    var peers: Int
    var joins: UInt64
    var refused: UInt64
    /// Messages from one peer to another, or to all others, as they came in.
    var relayed: UInt64
    /// The same as they went out.
    var delivered: UInt64
  }

  struct Upstream: Codable, Sendable {
    var name: String
    var balance: String
    var servers: [Server]
  }

  struct Server: Codable, Sendable {
    var url: String
    var weight: Int
    var drain: Bool
    var overridden: Bool
    var endpoints: [Endpoint]
  }

  struct Endpoint: Codable, Sendable {
    var address: String
    var standing: String
    var open: Int
    var probe: String?
  }

  struct Reload: Codable, Sendable {
    var at: String
    var good: Bool
    var trigger: String
    var changes: String
    var problems: [String]
  }
}

extension Stats {
  init(
    _ reading: EdgeReading, _ process: ProcessReading, _ listeners: [Listener],
    _ last: Reloader.History.Entry?
  ) {
    let now = WallClock.now()
    let routes = reading.routes
    self.time = now.timestamp
    self.version = process.version
    self.pid = process.pid
    self.uptimeSeconds = now.secondsSince1970 - process.startSecond
    self.draining = reading.isDraining
    self.connections = Connections(
      open: reading.connectionCount, limit: reading.connectionCountMax,
      total: reading.acceptedCount)
    self.tunnels = Tunnels(
      open: routes.reduce(0) { $0 + $1.openCount },
      total: routes.reduce(0) { $0 &+ $1.begunCount })
    self.messages = Pair(
      in: routes.reduce(0) { $0 &+ $1.inbound.frames.messages },
      out: routes.reduce(0) { $0 &+ $1.outbound.frames.messages })
    self.octets = Pair(
      in: routes.reduce(0) { $0 &+ $1.inbound.octetCount },
      out: routes.reduce(0) { $0 &+ $1.outbound.octetCount })
    self.refusals = Self.refusals(reading)
    self.closes = Self.closes(routes)
    self.latency = Latency(reading)
    self.queuedOctets = reading.workers.reduce(0) { $0 &+ $1.queuedByteCount }
    self.throttledSeconds = routes.reduce(0) { $0 + $1.throttledSeconds }
    self.heartbeatFailures = self.closes.first { $0.reason == "heartbeat" }?.count ?? 0
    self.loopLagSeconds = reading.workers.map(\.longestTurnSeconds)
    self.memoryOctets = process.residentByteCount
    self.descriptors = Descriptors(
      open: process.descriptorCount, limit: process.descriptorCountMax)
    self.listeners = listeners
    self.routes = routes.map(Route.init)
    self.upstreams = reading.upstreams.map(Upstream.init)
    self.reload = last.map(Reload.init)
  }

  private static func refusals(_ reading: EdgeReading) -> [Refusal] {
    var counts: [String: Refusal] = [:]
    for (answer, count) in reading.answers {
      guard let error = answer.error else { continue }
      counts[error, default: Refusal(error: error, status: answer.status, count: 0)].count += count
    }
    return counts.values.sorted { $0.error < $1.error }
  }

  private static func closes(_ routes: [EdgeReading.Route]) -> [Close] {
    let counts = routes.flatMap(\.ends).reduce(into: [:]) { counts, end in
      counts[end.key.reason, default: 0] += end.value
    }
    return counts.map(Close.init).sorted { $0.reason < $1.reason }
  }
}

extension Stats.Latency {
  fileprivate init(_ reading: EdgeReading) {
    let connects = reading.upstreams.map(\.connectLatency).reduce(Histogram(), +)
    self.init(
      bounds: Histogram.bounds, handshake: reading.handshakeLatency.counts,
      admission: reading.admissionLatency.counts, upstreamConnect: connects.counts,
      upgrade: reading.upgradeLatency.counts, relay: reading.relayLatency.counts)
  }
}

extension Stats.Route {
  init(_ route: EdgeReading.Route) {
    self.init(
      name: route.name, leadsTo: route.rooms == nil ? .upstream : .rooms, upstream: route.upstream,
      rooms: route.rooms.map(Stats.Rooms.init), gone: !route.isPresent, open: route.openCount,
      total: route.begunCount, messagesIn: route.inbound.frames.messages,
      messagesOut: route.outbound.frames.messages, octetsIn: route.inbound.octetCount,
      octetsOut: route.outbound.octetCount)
  }
}

extension Stats.Rooms {
  fileprivate init(_ rooms: EdgeReading.Rooms) {
    let counts = rooms.counts
    self.init(
      open: counts.roomCount, opened: counts.roomsOpened, peers: counts.peerCount,
      joins: counts.joins, refused: counts.refusals,
      relayed: counts.signals.reduce(counts.broadcasts, &+), delivered: counts.deliveries)
  }
}

extension Stats.Upstream {
  init(_ upstream: EdgeReading.Upstream) {
    self.init(
      name: upstream.rules.name, balance: upstream.rules.balance.rawValue,
      servers: upstream.servers.map { server, endpoints in
        Stats.Server(
          url: "\(server.rules.url)", weight: server.weight, drain: !server.takesNewTunnels,
          overridden: server.isOverridden,
          endpoints: endpoints.map { Stats.Endpoint($0, upstream.rules) })
      })
  }
}

extension Stats.Endpoint {
  fileprivate init(_ endpoint: Endpoint, _ rules: GroupRules) {
    let standing =
      switch endpoint.standing(under: rules) {
      case .healthy: "healthy"
      case .ejected: "ejected"
      case .unhealthy: "unhealthy"
      }
    self.init(
      address: "\(endpoint.address)", standing: standing, open: endpoint.connectionCount,
      probe: endpoint.probeDetail)
  }
}

extension Stats.Reload {
  fileprivate init(_ entry: Reloader.History.Entry) {
    self.init(
      at: entry.time, good: entry.isGood, trigger: entry.trigger.rawValue,
      changes: entry.outcome.changes, problems: entry.outcome.problems)
  }
}

extension Reloader.Outcome {
  /// What has changed, in one line; empty where it was refused.
  var changes: String { if case .adopted(let changes) = self { "\(changes)" } else { "" } }

  /// What is wrong; nothing where it was adopted.
  var problems: [String] { if case .refused(let problems) = self { problems } else { [] } }
}

extension WallClock {
  /// As a number.
  var secondsSince1970: Double { Double(self.seconds) + Double(self.nanoseconds) / 1e9 }
}

/// A tunnel in a list, as JSON.
struct ListedTunnel: Codable, Sendable {
  var id: String
  var route: String
  var subject: String?
  var client: String
  var upstream: String
  var ageSeconds: Double
  var octetsIn: UInt64
  var octetsOut: UInt64
  var messagesIn: UInt64
  var messagesOut: UInt64
  var tls: String?
  var requestId: String

  init(_ listing: TunnelListing) {
    self.id = "\(listing.id)"
    self.route = listing.route
    self.subject = listing.subject
    self.client = listing.client
    self.upstream = listing.upstream
    self.ageSeconds = listing.age.milliseconds / 1000
    self.octetsIn = listing.inboundByteCount
    self.octetsOut = listing.outboundByteCount
    self.messagesIn = listing.inboundMessageCount
    self.messagesOut = listing.outboundMessageCount
    self.tls = listing.tls
    self.requestId = listing.requestID
  }
}

/// A list of tunnels, as JSON.
struct TunnelList: Codable, Sendable {
  /// How many the filter lets pass.
  var total: Int
  /// The first of them.
  var connections: [ListedTunnel]
}
