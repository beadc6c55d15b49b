import Admission
import HTTP
import Signaling
import Tunnel

/// `routes[]`
struct RouteSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case name, match, origins, auth, limits, heartbeat, compression, headers, rewrite, upstream
    case rooms, http, cors
    case requireOrigin = "require_origin"
    case idleTimeout = "idle_timeout"
    case stallTimeout = "stall_timeout"
    case maxLifetime = "max_lifetime"
  }

  let rules: RouteRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let name = section.required(.name)?.name(as: .route)
    let match = section.required(.match, "which requests it answers")?.part(MatchSection.self)?
      .match
    let limits = section[.limits]?.part(RouteLimitsSection.self)
    let admission = Self.admission(section, limits)
    let tunnel = Self.tunnel(section, limits)
    let headers = section[.headers]?.part(HeadersSection.self)?.rules ?? HeaderRules()
    let rewrite = section[.rewrite]?.part(RewriteSection.self)
    let rooms = section[.rooms]?.part(RoomsSection.self)
    let destination = Self.destination(section, rooms)
    let http = Self.http(section, admission)
    Self.checkIdentity(section, headers, admission)
    if let match, let rewrite { Self.checkRewrite(section, rewrite, match) }
    if section.hasRooms { Self.checkRooms(section, rooms, match, tunnel) }
    guard let name, let match, let destination else { throw Refused() }
    var rules = RouteRules(
      name: name, match: match, admission: admission, tunnel: tunnel, headers: headers,
      stripPrefix: rewrite?.stripPrefix, setPrefix: rewrite?.setPrefix, destination: destination,
      http: http)
    rules.webhook = rooms?.webhook
    rules.fingerprint = section.fingerprint
    self.rules = rules
  }

  private static func destination(
    _ section: Section<Keys>, _ rooms: RoomsSection?
  ) -> RouteRules.Destination? {
    switch (section[.upstream], section[.rooms]) {
    case (let entry?, nil):
      guard let name = entry.text("the name of an upstream") else { return nil }
      entry.reading.mention(upstream: name, at: entry.place)
      return .upstream(name)
    case (nil, _?):
      return rooms.map { .rooms($0.rules) }
    case (nil, nil):
      section.entry.refuse("upstream or rooms is needed: its WebSockets would lead nowhere")
    case (let entry?, _?):
      entry.refuse("contradiction: rooms are given too; leave one of the two out")
    }
    return nil
  }

  private static func admission(
    _ section: Section<Keys>, _ limits: RouteLimitsSection?
  ) -> AdmissionRules {
    let origins = section.required(
      .origins, "`any`, or a list of the origins that may connect (there is no default)")
    // Where the list cannot be read the file is refused, so that the stand-in is never used.
    var rules = AdmissionRules(origins: origins?.originRule() ?? .listed([]))
    rules.requireOrigin = section[.requireOrigin]?.flag() ?? false
    rules.credentials = section[.auth]?.part(AuthSection.self)?.rules
    rules.connectionsPerClient = limits?.connectionsPerClient
    rules.upgradesPerClient = limits?.upgradesPerClient
    rules.requestsPerClient = limits?.requestsPerClient
    return rules
  }

  private static func tunnel(
    _ section: Section<Keys>, _ limits: RouteLimitsSection?
  ) -> TunnelRules {
    var rules = TunnelRules()
    rules.messageByteCountMax = Self.messageByteCountMax(section, limits)
    rules.messages = limits?.messages
    rules.bytes = limits?.bytes
    if let heartbeat = section[.heartbeat] { rules.heartbeat = heartbeat.heartbeat() }
    if let timeout = section[.idleTimeout]?.duration(in: .seconds(1) ... .seconds(7 * 86_400)) {
      rules.idleTimeout = timeout
    }
    if let timeout = section[.stallTimeout]?.duration(in: .seconds(1) ... .seconds(3600)) {
      rules.stallTimeout = timeout
    }
    rules.lifetimeMax = section[.maxLifetime]?.duration(in: .seconds(1) ... .seconds(30 * 86_400))
    if let compression = section[.compression]?.choice(TunnelRules.Compression.self) {
      rules.compression = compression
    }
    return rules
  }

  private static func messageByteCountMax(
    _ section: Section<Keys>, _ limits: RouteLimitsSection?
  ) -> UInt64? {
    let range = section.hasRooms ? Self.roomMessageByteCounts : 1...1 << 40
    let byteCount = limits?.messageSize?.byteCount(in: range)
    let standard = section.hasRooms ? RoomRules.messageByteCountMax : nil
    return (byteCount ?? standard).map(UInt64.init)
  }
}

// MARK: - What contradicts what

extension RouteSection {
  /// A field that tells the server who the client is must come from the token or the service alone.
  private static func checkIdentity(
    _ section: Section<Keys>, _ headers: HeaderRules, _ admission: AdmissionRules
  ) {
    let identity = admission.credentials?.identityFieldNames.map { $0.lowercased() } ?? []
    let forwarded = admission.credentials?.forward?.fields.map { $0.lowercased() } ?? []
    let place = section.entry.place.appending(Keys.headers)
    for (name, list) in headers.set.map({ ($0.name, HeadersSection.Keys.set) })
      + headers.remove.map({ ($0, HeadersSection.Keys.remove) })
    where identity.contains(name.lowercased()) {
      let source = forwarded.contains(name.lowercased()) ? "auth.forward" : "forward_claims"
      section.entry.reading.refuse(
        "contradiction: \(source) sets \(name)", at: place.appending(list))
    }
  }

  /// What is stripped must be there for every path of the route.
  private static func checkRewrite(
    _ section: Section<Keys>, _ rewrite: RewriteSection, _ match: RouteMatch
  ) {
    guard let strip = rewrite.stripPrefix else { return }
    let path = match.path.description
    // The pattern is decoded already; the prefix is compared as requests will be.
    let whole = strip.hasSuffix("/") ? String(strip.dropLast()) : strip
    let prefix = ComparablePath(whole).map { String(decoding: $0.octets, as: UTF8.self) } ?? whole
    guard path != prefix, !path.hasPrefix(prefix + "/") else { return }
    section.entry.reading.refuse(
      "contradiction: the route's path \"\(path)\" does not begin with \"\(strip)\"",
      at: section.entry.place.appending(Keys.rewrite).appending(RewriteSection.Keys.stripPrefix))
  }
}

extension RouteMatch {
  /// Whether every request that `other` matches is matched here too.
  func covers(_ other: RouteMatch) -> Bool {
    guard self.path.covers(other.path) else { return false }
    guard !self.hosts.isEmpty else { return true }
    return !other.hosts.isEmpty
      && other.hosts.allSatisfy { host in self.hosts.contains { $0.covers(host) } }
  }
}

extension PathPattern {
  fileprivate func covers(_ other: PathPattern) -> Bool {
    switch (self, other) {
    case (.exact(let path), .exact(let other)): path == other
    case (.exact, .prefix): false
    case (.prefix(let path), .exact(let other)), (.prefix(let path), .prefix(let other)):
      other.utf8.starts(with: path.utf8)
    }
  }
}

extension HostPattern {
  /// By the patterns' normal form, in which `*.` stands for everything below a name.
  fileprivate func covers(_ other: HostPattern) -> Bool {
    let (wide, narrow) = (self.description, other.description)
    guard wide != narrow else { return true }
    return wide.hasPrefix("*.") && narrow.hasSuffix(wide.dropFirst())
  }
}

// MARK: - The smaller parts of a route

extension Entry {
  /// `any`, or a list of origins.
  fileprivate func originRule() -> OriginRule? {
    if self.writtenScalar != nil {
      guard let scalar = self.scalar("`any` or a list of origins") else { return nil }
      if scalar.characters == "any" { return .any }
      self.refuse("`any` or a list of origins is expected, \(self.kind)")
      return nil
    }
    let patterns = self.list()?.compactMap { entry in
      entry.parsed("an origin") { text throws(PatternError) in
        guard text != "any" else {
          throw PatternError(message: "`any` stands alone, as in `origins: any`")
        }
        return try OriginPattern(parsing: text)
      }
    }
    return patterns.map(OriginRule.listed)
  }
}

/// `routes[].match`
struct MatchSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case hosts, path }

  let match: RouteMatch

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    if section[.hosts] == nil, section[.path] == nil {
      section.entry.refuse("hosts, a path or both are needed (`path: /` matches every request)")
      throw Refused()
    }
    let hosts = (section[.hosts]?.list() ?? []).map { entry in
      entry.parsed("a host pattern") { text throws(PatternError) in
        try HostPattern(parsing: text)
      }
    }
    let path = section[.path].map { entry in
      entry.parsed("a path pattern") { text throws(PatternError) in
        try PathPattern(parsing: text)
      }
    }
    // Without the hosts that cannot be read it would match, and be said to hide, other requests.
    guard let path = path ?? .prefix("/"), !hosts.contains(nil),
      section[.hosts] == nil || !hosts.isEmpty
    else { throw Refused() }
    self.match = RouteMatch(hosts: hosts.compactMap(\.self), path: path)
  }
}

/// `routes[].limits`
struct RouteLimitsSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case connectionsPerClient = "connections_per_client"
    case upgradesPerClient = "upgrades_per_client"
    case requestsPerClient = "requests_per_client"
    case messageSize = "message_size"
    case messages, bytes
  }

  let connectionsPerClient: Int?
  let upgradesPerClient: Rate?
  let requestsPerClient: Rate?
  /// What it may be depends on where the route leads.
  let messageSize: Entry?
  let messages: TunnelRules.RateLimit?
  let bytes: TunnelRules.RateLimit?

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    self.connectionsPerClient = section[.connectionsPerClient]?.integer(in: 1...1_000_000)
    self.upgradesPerClient = section[.upgradesPerClient]?.rate()
    self.requestsPerClient = section[.requestsPerClient]?.rate()
    self.messageSize = section[.messageSize]
    self.messages = section[.messages]?.part(MessageLimitSection.self)?.limit
    self.bytes = section[.bytes]?.part(ByteLimitSection.self)?.limit
  }
}

/// `routes[].limits.upgrades_per_client` and `requests_per_client`, where they are more than a rate.
struct RateSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case rate, burst }

  let rate: Rate

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let permitsPerSecond = section.required(.rate)?.permitsPerSecond()
    let burst = section[.burst]?.integer(in: 1...1_000_000)
    guard let permitsPerSecond else { throw Refused() }
    // Without a burst, what a second allows may come at once.
    self.rate = Rate(
      permitsPerSecond: permitsPerSecond, burst: burst.map(Double.init) ?? max(1, permitsPerSecond))
  }
}

extension Entry {
  /// A rate alone, or with a burst.
  fileprivate func rate() -> Rate? {
    guard self.writtenScalar != nil else { return self.part(RateSection.self)?.rate }
    // What a second allows may come at once.
    return self.permitsPerSecond().map { Rate(permitsPerSecond: $0, burst: max(1, $0)) }
  }
}

/// `routes[].rewrite`
struct RewriteSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case stripPrefix = "strip_prefix"
    case setPrefix = "set_prefix"
  }

  let stripPrefix: String?
  let setPrefix: String?

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    if section[.stripPrefix] == nil, section[.setPrefix] == nil {
      section.entry.refuse("strip_prefix, set_prefix or both are needed")
    }
    self.stripPrefix = section[.stripPrefix].flatMap(Self.prefix)
    self.setPrefix = section[.setPrefix].flatMap(Self.prefix)
  }

  private static func prefix(_ entry: Entry) -> String? {
    guard let text = entry.text("the beginning of a path") else { return nil }
    // A space or a control character would end the request line early.
    let isPath = text.hasPrefix("/") && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard isPath, !text.contains(where: { "?#".contains($0) }) else {
      entry.refuse(
        "\"\(text)\" is not the beginning of a path: that begins with \"/\" and is plain ASCII "
          + "without spaces, \"?\" and \"#\"")
      return nil
    }
    return text
  }
}
