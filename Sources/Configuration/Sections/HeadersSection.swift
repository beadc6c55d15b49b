import HTTP

/// `routes[].headers`
struct HeadersSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case set, remove }

  let rules: HeaderRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    if section[.set] == nil, section[.remove] == nil {
      section.entry.refuse("set, remove or both are needed")
    }
    var rules = HeaderRules()
    var names = FieldNames()
    for (name, entry) in (try section[.set]?.members()) ?? [] {
      guard names.take(name, at: entry), let value = Self.value(of: name, at: entry) else {
        continue
      }
      if name.lowercased() == "host" { rules.host = value } else { rules.set.append((name, value)) }
    }
    for entry in section[.remove]?.list() ?? [] {
      guard let name = entry.text("the name of a field"), names.take(name, at: entry) else {
        continue
      }
      if name.lowercased() == "host" {
        entry.refuse("Host can be set but not removed: every request has one (RFC 9112 §3.2)")
      }
      rules.remove.append(name)
    }
    self.rules = rules
  }

  /// The value of a field; that of Host is no secret, and no list of anything.
  private static func value(of name: String, at entry: Entry) -> String? {
    // Values may be credentials for the server.
    guard let value = entry.secretly.textOrEmpty("the value of a field") else { return nil }
    if name.lowercased() == "host" {
      guard
        value.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"/?#@,\"\\<>".utf8.contains($0) }),
        !value.isEmpty
      else {
        entry.refuse("\"\(value)\" is not a host, perhaps with a port")
        return nil
      }
    }
    guard Fields.isValue(value) else {
      entry.refuse(
        "not the value of a field: it has control characters, or spaces at its ends (RFC 9110 §5.5)"
      )
      return nil
    }
    return value
  }
}

/// The names of fields that a part of a file gives, each of them once.
struct FieldNames {
  private var seen = Set<String>()

  init() {}

  /// Whether `name` can be a field that a route sets, removes or fills from a token, and comes for
  /// the first time; records why not.
  mutating func take(_ name: String, at entry: Entry) -> Bool {
    guard entry.isFieldName(name) else { return false }
    guard self.seen.insert(name.lowercased()).inserted else {
      entry.refuse("contradiction: \(name) stands here twice")
      return false
    }
    return true
  }
}

extension Entry {
  /// Whether `name` names a field that is a route's to touch; records why not.
  func isFieldName(_ name: String) -> Bool {
    guard Fields.isName(name) else {
      self.refuse("\"\(name)\" is not the name of a field (RFC 9110 §5.1)")
      return false
    }
    guard !Forwarding.isReserved(name) else {
      self.refuse("\(name) makes the handshake or frames the message: it is the edge's alone")
      return false
    }
    return true
  }
}
