import Logging
import Net
import Telemetry
import Tunnel
import Upstream

/// The whole file.
struct ConfigurationSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case workers, listeners, limits, routes, upstreams, log, admin, trace
    case shutdownGrace = "shutdown_grace"
    case drainOver = "drain_over"
    case trustedProxies = "trusted_proxies"
  }

  let configuration: Configuration

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let listeners = section.required(.listeners, "where connections are accepted")?.list()
    let routes = section.required(.routes, "which requests are answered, and how")?.list()
    var configuration = Configuration(
      workers: section[.workers].flatMap(Self.workers),
      listeners: listeners?.compactMap { $0.part(ListenerSection.self)?.rules } ?? [],
      routes: Self.routes(routes ?? []), upstreams: Self.upstreams(section))
    if let grace = section[.shutdownGrace]?.duration(in: .zero ... .seconds(3600)) {
      configuration.shutdownGrace = grace
    }
    if let span = section[.drainOver]?.duration(in: .zero ... .seconds(3600)) {
      configuration.drainOver = span
    }
    configuration.trustedProxies = section[.trustedProxies]?.addressRanges() ?? []
    if let limits = section[.limits]?.part(LimitsSection.self) {
      configuration.limits = limits.limits
    }
    configuration.admin = section[.admin]?.part(AdminSection.self)?.rules
    configuration.traces = section[.trace]?.flag() ?? false
    if let log = section[.log]?.part(LogSection.self) { configuration.log = log.rules }
    Self.checkQueues(section, configuration)
    configuration.files = section.entry.reading.files.map(\.stamp)
    self.configuration = configuration
  }

  private static func workers(_ entry: Entry) -> Int? {
    guard let scalar = entry.scalar("auto or a whole number from 1 to 1024") else { return nil }
    return scalar.characters == "auto" ? nil : entry.integer(in: 1...1024)
  }

  /// A worker that cannot hold what one slow tunnel has waiting would close every slow peer.
  private static func checkQueues(_ section: Section<Keys>, _ configuration: Configuration) {
    let tunnelByteCount = 2 * Watermarks.standard.highByteCount
    guard let workers = configuration.workers,
      configuration.limits.queuedByteCountMax / workers < tunnelByteCount
    else { return }
    section.entry.reading.refuse(
      "contradiction: each of the \(workers) workers needs "
        + "\(Quantity.text(ofByteCount: tunnelByteCount)) of it",
      at: section.entry.place.appending(Keys.limits).appending(LimitsSection.Keys.queued))
  }

  private static func routes(_ entries: [Entry]) -> [RouteRules] {
    let routes = entries.map { (place: $0.place, rules: $0.part(RouteSection.self)?.rules) }
    for (index, route) in routes.enumerated() {
      let earlier = routes[..<index].first { earlier in
        guard let wider = earlier.rules?.match, let match = route.rules?.match else { return false }
        return wider.covers(match)
      }
      guard let earlier, let name = earlier.rules?.name else { continue }
      entries[index].reading.refuse(
        "never reached: \(earlier.place), \"\(name)\", stands before it and matches all of this",
        at: Place(route.place.steps + [.key(RouteSection.Keys.match.stringValue)]))
    }
    return routes.compactMap(\.rules)
  }

  private static func upstreams(_ section: Section<Keys>) -> [GroupRules] {
    // Routes with rooms alone send nowhere.
    if section.entry.reading.mentionsUpstreams {
      _ = section.required(.upstreams, "where routes send to")
    }
    guard let entries = section[.upstreams]?.list() else { return [] }
    let groups = entries.compactMap { $0.part(UpstreamSection.self)?.rules }
    section.entry.reading.checkUpstreamMentions()
    return groups
  }
}

/// `limits`
struct LimitsSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case connections, queued, streams
    case handshakeTimeout = "handshake_timeout"
    case headSize = "head_size"
    case keepAliveTimeout = "keepalive_timeout"
  }

  let limits: Configuration.Limits

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var limits = Configuration.Limits()
    if let count = section[.connections]?.integer(in: 1...10_000_000) { limits.connections = count }
    if let timeout = section[.handshakeTimeout]?.duration(in: .milliseconds(100) ... .seconds(600))
    {
      limits.handshakeTimeout = timeout
    }
    if let count = section[.headSize]?.byteCount(in: 1 << 10...1 << 20) {
      limits.headByteCountMax = count
    }
    if let count = section[.queued]?.byteCount(in: 1 << 20...1 << 40) {
      limits.queuedByteCountMax = count
    }
    if let timeout = section[.keepAliveTimeout]?.duration(in: .seconds(1) ... .seconds(3600)) {
      limits.keepAliveTimeout = timeout
    }
    if let count = section[.streams]?.integer(in: 1...1000) { limits.streamCountMax = count }
    self.limits = limits
  }
}

/// `log`
struct LogSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case format, level, access }

  let rules: LogRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = LogRules()
    if let format = section[.format]?.choice(LogFormat.self) { rules.format = format }
    if let level = section[.level]?.choice(Logger.Level.self) { rules.level = level }
    if let access = section[.access]?.flag() { rules.access = access }
    self.rules = rules
  }
}
