public import HTTP

/// A token in a request, before anybody judged it.
enum FoundToken: Equatable {
  case absent
  case token(String)
  /// There is something where a token belongs, and it cannot be one.
  case unusable(reason: String)
}

/// The marker in front of a token in Sec-WebSocket-Protocol.
let subprotocolMarker = "bearer"

/// Looks through the sources in order; the first that holds anything decides.
func findToken(
  in head: RequestHead, subprotocols: [String], sources: [TokenSource]
) -> FoundToken {
  for source in sources {
    let found =
      switch source {
      case .authorization: authorizationToken(head.fields)
      case .subprotocol: subprotocolToken(subprotocols)
      case .cookie(let name): cookieToken(head.fields, name: name)
      case .query(let name): queryToken(head.query, name: name)
      }
    if found != .absent { return found }
  }
  return .absent
}

/// RFC 6750 §2.1. Another scheme is none of ours: it may be meant for the backend.
private func authorizationToken(_ fields: Fields) -> FoundToken {
  let tokens = fields.values("Authorization").compactMap(bearerCredentials)
  guard let token = tokens.first else { return .absent }
  guard tokens.count == 1 else {
    return .unusable(reason: "The request carries more than one bearer token.")
  }
  guard !token.isEmpty else {
    return .unusable(reason: "The Authorization field names no token behind Bearer.")
  }
  return .token(token)
}

/// What stands behind `Bearer`; `nil` where the scheme is another.
func bearerCredentials(_ value: String) -> String? {
  let scheme = value.utf8.prefix { !$0.isWhitespace }
  guard Substring(scheme).equalsIgnoringASCIICase("Bearer") else { return nil }
  return String(value[scheme.endIndex...].trimmed)
}

private func subprotocolToken(_ subprotocols: [String]) -> FoundToken {
  let marker = subprotocols.firstIndex { $0.equalsIgnoringASCIICase(subprotocolMarker) }
  guard let marker else { return .absent }
  guard marker + 1 < subprotocols.count else {
    return .unusable(reason: "The subprotocol list names no token behind bearer.")
  }
  return .token(subprotocols[marker + 1])
}

private func cookieToken(_ fields: Fields, name: String) -> FoundToken {
  cookie(name, in: fields).map { .token($0) } ?? .absent
}

/// The value of the first cookie of this name that has one. RFC 6265 §5.4: of two cookies of one name
/// the more specific comes first.
public func cookie(_ name: String, in fields: Fields) -> String? {
  for line in fields.values("Cookie") {
    for pair in line[...].pieces(separatedBy: ";") {
      guard let (before, behind) = pair.parts(aroundFirst: "="), before.trimmed.hasOctets(of: name)
      else { continue }
      let value = behind.trimmed.unquoted
      if !value.isEmpty { return String(value) }
    }
  }
  return nil
}

/// The decoded octets of the first parameter of this name in a query (RFC 3986 §3.4).
public func queryParameter(_ name: String, in query: String?) -> [UInt8]? {
  query?[...].pieces(separatedBy: "&").lazy.map(QueryParameter.init)
    .first { $0.isNamed(name) }.flatMap { percentDecoded($0.value) }
}

private func queryToken(_ query: String?, name: String) -> FoundToken {
  guard let query else { return .absent }
  let parameters = query[...].pieces(separatedBy: "&").map(QueryParameter.init)
    .filter { $0.isNamed(name) }
  guard let parameter = parameters.first, !parameter.value.isEmpty else { return .absent }
  guard parameters.count == 1 else {
    return .unusable(reason: "The query carries more than one token.")
  }
  guard let octets = percentDecoded(parameter.value),
    let token = String(validating: octets, as: UTF8.self)
  else { return .unusable(reason: "The token in the query is not encoded correctly.") }
  return .token(token)
}

/// One `name=value` of a query, as it stands in the target.
struct QueryParameter {
  let encodedName: Substring
  let value: Substring

  init(_ text: Substring) {
    (self.encodedName, self.value) = text.parts(aroundFirst: "=") ?? (text, "")
  }

  /// Names compare decoded: `access%5Ftoken` is `access_token` to every backend.
  func isNamed(_ name: String) -> Bool { self.name?.elementsEqual(name.utf8) == true }

  /// As ``isNamed(_:)``, whatever the case: for the log, where a token too few is no harm.
  func isNamedIgnoringCase(_ name: String) -> Bool {
    self.name?.elementsEqual(name.utf8) { $0.asciiLowercased == $1.asciiLowercased } == true
  }

  private var name: [UInt8]? { percentDecoded(self.encodedName) }
}
