import HTTP
import Upstream

/// `upstreams[].health_check`
struct HealthCheckSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case path, request, statuses, interval, timeout
    case unhealthyAfter = "unhealthy_after"
    case healthyAfter = "healthy_after"
    case onUnhealthy = "on_unhealthy"
  }

  /// How a server is asked.
  enum Request: String, CaseIterable { case http, upgrade }

  let rules: HealthRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = HealthRules()
    rules.request = Self.request(section)
    if let interval = section[.interval]?.duration(in: .milliseconds(100) ... .seconds(3600)) {
      rules.interval = interval
    }
    if let timeout = section[.timeout]?.duration(in: .milliseconds(10) ... .seconds(300)) {
      rules.timeout = timeout
    }
    if let count = section[.unhealthyAfter]?.integer(in: 1...100) { rules.unhealthyAfter = count }
    if let count = section[.healthyAfter]?.integer(in: 1...100) { rules.healthyAfter = count }
    if let action = section[.onUnhealthy]?.choice(HealthRules.OnUnhealthy.self) {
      rules.onUnhealthy = action
    }
    self.rules = rules
  }

  private static func request(_ section: Section<Keys>) -> HealthRules.Probe {
    let path = section[.path].flatMap(Self.path) ?? "/"
    guard section[.request]?.choice(Request.self) == .upgrade else {
      return .http(path: path, statuses: section[.statuses].flatMap(Self.statuses) ?? 200...399)
    }
    section[.statuses]?.refuse("contradiction: an upgrade is answered with 101 or it fails")
    return .upgrade(path: path)
  }

  private static func path(_ entry: Entry) -> String? {
    guard let text = entry.text("a path") else { return nil }
    let isTarget = text.hasPrefix("/") && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    guard isTarget, !text.contains("#") else {
      entry.refuse("\"\(text)\" is not a path: one begins with \"/\" and has no spaces")
      return nil
    }
    return text
  }

  /// `204` or `200-399`.
  private static func statuses(_ entry: Entry) -> ClosedRange<Int>? {
    guard let scalar = entry.scalar("statuses") else { return nil }
    let parts = scalar.characters.split(separator: "-", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in
      part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
    }
    guard (1...2).contains(parts.count), numbers.count == parts.count, let low = numbers.first,
      let high = numbers.last, low <= high, (100...599).contains(low), (100...599).contains(high)
    else {
      entry.refuse("\(entry.quotation(of: scalar)) are no statuses (as 200-399 or 204)")
      return nil
    }
    return low...high
  }
}

/// `upstreams[].eject`
struct EjectionSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case consecutiveFailures = "consecutive_failures"
    case duration = "for"
  }

  let rules: EjectionRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = EjectionRules()
    if let count = section[.consecutiveFailures]?.integer(in: 1...1000) {
      rules.consecutiveFailures = count
    }
    if let duration = section[.duration]?.duration(in: .seconds(1) ... .seconds(3600)) {
      rules.duration = duration
    }
    self.rules = rules
  }
}

/// `upstreams[].sticky_cookie`
struct StickyCookieSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case name, ttl
    case sameSite = "same_site"
  }

  let rules: StickyCookieRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let name = section[.name]?.text("the name of a cookie") ?? "sluice_server"
    if !Fields.isName(name) { section[.name]?.refuse("\"\(name)\" is not the name of a cookie") }
    let ttl = section[.ttl]?.duration(in: .seconds(1) ... .seconds(365 * 86_400)) ?? .seconds(3600)
    var rules = StickyCookieRules(name: name, ttl: ttl)
    if let sameSite = section[.sameSite]?.choice(StickyCookieRules.SameSite.self) {
      rules.sameSite = sameSite
    }
    self.rules = rules
  }
}
