import Net
import TLS
import Upstream

/// `upstreams[]`
struct UpstreamSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case name, servers, balance, tls, retries, eject, keepalive
    case connectTimeout = "connect_timeout"
    case hashOn = "hash_on"
    case healthCheck = "health_check"
    case slowStart = "slow_start"
    case stickyCookie = "sticky_cookie"
    case proxyProtocol = "proxy_protocol"
  }

  let rules: GroupRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let name = section.required(.name)?.name(as: .upstream)
    let entries = section.required(.servers)?.list()
    let servers = Self.servers(entries ?? [])
    var rules = GroupRules(name: name ?? "", servers: servers)
    if let balance = section[.balance]?.choice(Balance.self) { rules.balance = balance }
    if let timeout = section[.connectTimeout]?.duration(in: .milliseconds(10) ... .seconds(300)) {
      rules.connectTimeout = timeout
    }
    if let retries = section[.retries]?.integer(in: 0...10) { rules.retries = retries }
    rules.tls = Self.tls(section, servers)
    rules.healthCheck = section[.healthCheck]?.part(HealthCheckSection.self)?.rules
    rules.eject = section[.eject]?.part(EjectionSection.self)?.rules
    rules.slowStart = section[.slowStart]?.duration(in: .seconds(1) ... .seconds(3600))
    rules.stickyCookie = section[.stickyCookie]?.part(StickyCookieSection.self)?.rules
    rules.hashOn = Self.hashOn(section, rules.balance)
    rules.proxyProtocol = section[.proxyProtocol]?.choice(ProxyHeader.Version.self)
    rules.keepAlive = Self.keepAlive(section)
    rules.fingerprint = section.fingerprint
    self.rules = rules
  }

  private static func keepAlive(_ section: Section<Keys>) -> KeepAliveRules? {
    let rules = section[.keepalive].map { $0.switched(KeepAliveSection.self) }
    guard section[.proxyProtocol] != nil else { return rules ?? KeepAliveRules() }
    if let rules, rules != nil {
      section[.keepalive]?.refuse(
        "contradiction: the header of proxy_protocol speaks for one client, and so does its "
          + "connection")
    }
    return nil
  }

  private static func hashOn(_ section: Section<Keys>, _ balance: Balance) -> HashKey? {
    if balance == .hash, section[.hashOn] == nil {
      section.entry.reading.refuse(
        "missing: what decides on the server (as cookie:session or client_address)",
        at: section.entry.place.appending(Keys.hashOn))
    }
    guard let entry = section[.hashOn] else { return nil }
    if balance != .hash { entry.refuse("contradiction: it goes with balance: hash") }
    return entry.parsed("what is hashed") { text throws(HashKeyError) in
      try HashKey(parsing: text)
    }
  }

  private static func servers(_ entries: [Entry]) -> [ServerRules] {
    var places: [ServerURL: Place] = [:]
    return entries.compactMap { entry in
      let rules =
        entry.writtenScalar == nil
        ? entry.part(ServerSection.self)?.rules
        : entry.serverURL().map { ServerRules(url: $0) }
      guard let rules else { return nil }
      if let earlier = places.updateValue(entry.place, forKey: rules.url) {
        entry.refuse(
          "duplicate: \(rules.url) is also \(earlier) (give one of them a weight instead)")
      }
      return rules
    }
  }

  private static func tls(_ section: Section<Keys>, _ servers: [ServerRules]) -> ClientContext? {
    let isNeeded = servers.contains { $0.url.scheme == .wss }
    guard let entry = section[.tls] else {
      return isNeeded ? section.entry.clientContext(ca: nil, serverName: nil) : nil
    }
    let context = entry.part(UpstreamTLSSection.self)?.context
    if !isNeeded, !servers.isEmpty {
      entry.refuse("contradiction: no server has the scheme wss or https")
    }
    return context
  }
}

/// `upstreams[].servers[]`, where it is more than a URL.
struct ServerSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case url, weight, drain }

  let rules: ServerRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let url = section.required(.url)?.serverURL()
    let weight = section[.weight]?.integer(in: 1...1000) ?? 1
    guard let url else { throw Refused() }
    self.rules = ServerRules(url: url, weight: weight, drain: section[.drain]?.flag() ?? false)
  }
}

/// `upstreams[].keepalive`
struct KeepAliveSection: SwitchedSection {
  enum Keys: String, CodingKey, CaseIterable { case connections, timeout }

  static var standard: KeepAliveRules { KeepAliveRules() }
  let rules: KeepAliveRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = Self.standard
    if let count = section[.connections]?.integer(in: 1...10_000) {
      rules.connectionCountMax = count
    }
    if let timeout = section[.timeout]?.duration(in: .seconds(1) ... .seconds(3600)) {
      rules.idleTimeout = timeout
    }
    self.rules = rules
  }
}

/// `upstreams[].tls`
struct UpstreamTLSSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case ca
    case serverName = "server_name"
  }

  let context: ClientContext

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let ca = section[.ca]?.path()
    let serverName = section[.serverName]?.text("a host name")
    do {
      self.context = try ClientContext(ca: ca, serverName: serverName)
    } catch {
      let entry =
        switch error.part {
        case .ca: section[.ca]
        case .serverName: section[.serverName]
        default: nil as Entry?
        }
      (entry ?? section.entry).refuse(error.message)
      throw Refused()
    }
  }
}

extension Entry {
  /// Where a server is; the path of a socket is seen from the folder of the configuration file.
  fileprivate func serverURL() -> ServerURL? {
    self.parsed("the URL of a server") { text throws(ServerURLError) in
      try ServerURL(parsing: self.resolvingSocketPath(text))
    }
  }

  fileprivate func clientContext(ca: String?, serverName: String?) -> ClientContext? {
    do {
      return try ClientContext(ca: ca, serverName: serverName)
    } catch {
      self.refuse(error.message)
      return nil
    }
  }

  /// A name that no other of its kind has: 1 to 64 letters, digits, `-`, `_` and `.`.
  func name(as naming: Naming) -> String? {
    guard let name = self.text("a name") else { return nil }
    let isWord = name.utf8.allSatisfy { octet in
      (0x30...0x39).contains(octet) || (0x41...0x5A).contains(octet)
        || (0x61...0x7A).contains(octet) || [0x2D, 0x2E, 0x5F].contains(octet)
    }
    guard isWord, name.utf8.count <= 64 else {
      self.refuse("\"\(name)\" is not a name: 1 to 64 letters, digits, \"-\", \"_\" and \".\" are")
      return nil
    }
    self.reading.claim(name, as: naming, at: self.place)
    return name
  }
}
