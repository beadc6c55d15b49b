internal import Configuration
internal import Net
public import Signaling
internal import Synchronization
public import Telemetry
public import Upstream
public import WebSocket

/// What an edge has, and what it has done so far. Numbers that only grow are those of the process's life;
/// those of a route end with its last tunnel once the route is gone.
public struct EdgeReading: Sendable {
  /// A route and what its tunnels carried.
  public struct Route: Sendable {
    /// Its name.
    public let name: String
    /// The upstream that it leads to; `nil` for one that leads to rooms.
    public let upstream: String?
    /// What happened in its rooms; `nil` for one that leads to an upstream.
    public let rooms: Rooms?
    /// Whether it is in the configuration; if not, its tunnels live on.
    public let isPresent: Bool
    /// Tunnels that live.
    public let openCount: Int
    /// Tunnels that began.
    public let begunCount: UInt64
    /// What came from clients, and how much of it.
    public let inbound: Flow
    /// What came from servers.
    public let outbound: Flow
    /// For how long peers were not read because they were too fast.
    public let throttledSeconds: Double
    /// Tunnels that ended, by how.
    public let ends: [TrafficMeter.End: Int]
  }

  /// The rooms of a route.
  public struct Rooms: Sendable {
    /// What happened in them.
    public internal(set) var counts = RoomCounts()
    /// Messages that were held back because they came too fast.
    public internal(set) var throttledCount: UInt64 = 0
  }

  /// What came from one side.
  public struct Flow: Sendable {
    /// Frames by kind.
    public let frames: FrameCounts
    /// Octets that were passed on.
    public let octetCount: UInt64
  }

  /// A worker.
  public struct Worker: Sendable {
    /// Octets that wait on it for slow peers.
    public let queuedByteCount: UInt64
    /// Turns of its loop.
    public let turnCount: UInt64
    /// All of them together.
    public let turnSeconds: Double
    /// The longest of the last second or two: what was ready waited so long.
    public let longestTurnSeconds: Double
  }

  /// An upstream, whether or not a route leads to it.
  public struct Upstream: Sendable {
    /// What it was made from.
    public let rules: GroupRules
    /// Its servers in the order of the file.
    public let servers: [(server: Server, endpoints: [Endpoint])]
    /// Whether a tunnel could be opened.
    public let isServing: Bool
    /// How long connections took.
    public let connectLatency: Histogram
  }

  /// Present routes in the order of the file, then those that are gone.
  public internal(set) var routes: [Route] = []
  /// One for each worker.
  public internal(set) var workers: [Worker] = []
  /// In the order of the file.
  public internal(set) var upstreams: [Upstream] = []
  /// Clients' connections that live, tunnels among them.
  public internal(set) var connectionCount = 0
  /// How many may.
  public internal(set) var connectionCountMax = 0
  /// Connections that were accepted.
  public internal(set) var acceptedCount: UInt64 = 0
  /// Requests by what they were answered.
  public internal(set) var answers: [WorkerMeter.Answer: Int] = [:]
  /// TLS handshakes with clients.
  public internal(set) var handshakes: [WorkerMeter.Handshake: Int] = [:]
  /// From the accept to the end of the TLS handshake.
  public internal(set) var handshakeLatency = Histogram()
  /// From the end of the request's head to the decision.
  public internal(set) var admissionLatency = Histogram()
  /// From the accept to the 101.
  public internal(set) var upgradeLatency = Histogram()
  /// From the receipt of a peer's message to its way out to another peer.
  public internal(set) var relayLatency = Histogram()
  /// From the end of an ordinary request's head to the head of the server's answer.
  public internal(set) var answerLatency = Histogram()
  /// Ordinary requests that went out on a connection to a server that an earlier one had left.
  public internal(set) var reusedServerCount: UInt64 = 0
  /// Clients' connections that began with HTTP/2.
  public internal(set) var http2ConnectionCount: UInt64 = 0
  /// Streams of those.
  public internal(set) var http2StreamCount: UInt64 = 0
  /// HTTP/2 connections that were ended for what their client did, by its name.
  public internal(set) var http2Faults: [String: Int] = [:]
  /// Connections that a PROXY header was owed on and that did not begin with one.
  public internal(set) var refusedProxyHeaderCount: UInt64 = 0
  /// Whether it is about to stop, or to give way to another process.
  public internal(set) var isDraining = false
}

extension Edge {
  /// Reads all counters. It disturbs no worker.
  public func read() -> EdgeReading {
    let state = self.state.withLock { $0 }
    let meters = self.workers.map(\.meter)
    var reading = EdgeReading()
    reading.routes =
      state.snapshot.routes.map { $0.reading(isPresent: true) }
      + state.retired.map { $0.reading(isPresent: false) }
    let now = Deadline.now()
    reading.workers = meters.map { $0.reading(now) }
    let connects = meters.map(\.connectLatency)
    reading.upstreams = state.snapshot.groups.map { group in
      let latencies = connects.compactMap { $0[group.rules.name] }
      return group.reading(now, latencies.reduce(Histogram(), +))
    }
    reading.connectionCount = self.commons.occupancy.connectionCount
    reading.connectionCountMax = state.configuration.limits.connections
    reading.isDraining = state.isDraining
    for meter in meters { reading.add(meter) }
    return reading
  }
}

extension EdgeReading {
  fileprivate mutating func add(_ meter: WorkerMeter) {
    self.acceptedCount &+= meter.accepted.value
    self.answers.merge(meter.answers.counts, uniquingKeysWith: +)
    self.handshakes.merge(meter.handshakes.counts, uniquingKeysWith: +)
    self.handshakeLatency = self.handshakeLatency + meter.handshakeLatency.reading
    self.admissionLatency = self.admissionLatency + meter.admissionLatency.reading
    self.upgradeLatency = self.upgradeLatency + meter.upgradeLatency.reading
    self.relayLatency = self.relayLatency + meter.relayLatency.reading
    self.answerLatency = self.answerLatency + meter.answerLatency.reading
    self.reusedServerCount &+= meter.reusedServers.value
    self.http2ConnectionCount &+= meter.http2.connections.value
    self.http2StreamCount &+= meter.http2.streams.value
    self.http2Faults.merge(meter.http2.faults.counts, uniquingKeysWith: +)
    self.refusedProxyHeaderCount &+= meter.refusedProxyHeaders.value
  }
}

extension WorkerMeter {
  fileprivate func reading(_ now: Deadline) -> EdgeReading.Worker {
    EdgeReading.Worker(
      queuedByteCount: self.queuedByteCount.value, turnCount: self.turnCount.value,
      turnSeconds: Double(self.turnNanoseconds.value) / 1e9,
      longestTurnSeconds: Double(self.longestTurn(at: now.nanoseconds)) / 1e9)
  }
}

extension Group {
  fileprivate func reading(_ now: Deadline, _ latency: Histogram) -> EdgeReading.Upstream {
    EdgeReading.Upstream(
      rules: self.rules, servers: self.listing(), isServing: self.hasHealthyServer(now: now),
      connectLatency: latency)
  }
}

extension Route {
  fileprivate func reading(isPresent: Bool) -> EdgeReading.Route {
    EdgeReading.Route(
      name: self.rules.name, upstream: self.rules.upstream,
      rooms: self.hall == nil ? nil : EdgeReading.Rooms(self.roomMeters), isPresent: isPresent,
      openCount: self.meters.reduce(0) { $0 + $1.openCount },
      begunCount: self.meters.reduce(0) { $0 &+ $1.begun.value },
      inbound: Self.flow(self.meters.map(\.fromDownstream)),
      outbound: Self.flow(self.meters.map(\.fromUpstream)),
      throttledSeconds: self.meters.reduce(0) { $0 + Double($1.throttledNanoseconds.value) / 1e9 },
      ends: self.meters.reduce(into: [:]) { $0.merge($1.ends.counts, uniquingKeysWith: +) })
  }

  private static func flow(_ meters: [FlowMeter]) -> EdgeReading.Flow {
    var frames = FrameCounts()
    for counts in meters.map(\.counts) {
      for (_, path) in FrameCounts.kinds { frames[keyPath: path] &+= counts[keyPath: path] }
    }
    return EdgeReading.Flow(
      frames: frames, octetCount: meters.reduce(0) { $0 &+ $1.octetCount })
  }
}

extension EdgeReading.Rooms {
  fileprivate init(_ meters: [RoomMeter]) {
    for meter in meters {
      self.throttledCount &+= meter.throttled.value
      self.counts.add(meter.reading)
    }
  }
}

extension RoomCounts {
  fileprivate mutating func add(_ other: RoomCounts) {
    let paths: [WritableKeyPath<RoomCounts, UInt64>] = [
      \.joins, \.refusals, \.departures, \.resumesWon, \.resumesLapsed, \.resumesAfresh,
      \.broadcasts, \.deliveries, \.undelivered, \.held, \.faults, \.credentialsMinted,
      \.roomsOpened, \.roomsClosed,
    ]
    for path in paths { self[keyPath: path] &+= other[keyPath: path] }
    for (kind, count) in other.signals.enumerated() { self.signals[kind] &+= count }
  }
}
