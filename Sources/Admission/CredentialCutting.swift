public import HTTP

/// The head without anything that shows who the client is, for the backend: every place that the
/// rules name is cleaned, not just the one that was used. What remains is as it was sent, octet for
/// octet.
public func withoutCredentials(_ head: RequestHead, rules: CredentialRules) -> RequestHead {
  var head = head
  let sources = rules.jwt?.sources ?? []
  for case .query(let name) in sources {
    head.target = targetWithout(parameter: name, head.target)
  }
  let cutting = FieldCutting(sources: sources, keyField: rules.apiKeys?.header)
  head.fields = cutting.cut(head.fields)
  return head
}

/// The target as a log may show it: the values of parameters that carry tokens are replaced. Names
/// under which tokens usually travel count always, whatever the rules say, because a client that is
/// wrong about the place sends a real token all the same.
public func loggedTarget(_ target: String, rules: CredentialRules?) -> String {
  var names = ["access_token", "token", "jwt", "api_key", "password", "resume"]
  for case .query(let name) in rules?.jwt?.sources ?? [] { names.append(name) }
  guard let (path, query) = target[...].parts(aroundFirst: "?") else { return target }
  let logged = query.pieces(separatedBy: "&").map { text -> String in
    let parameter = QueryParameter(text)
    guard !parameter.value.isEmpty, names.contains(where: parameter.isNamedIgnoringCase) else {
      return String(text)
    }
    return "\(parameter.encodedName)=[redacted]"
  }
  return "\(path)?\(logged.joined(separator: "&"))"
}

/// The target without a query parameter, and without its `?` where nothing is left behind it.
private func targetWithout(parameter name: String, _ target: String) -> String {
  guard let (path, query) = target[...].parts(aroundFirst: "?") else { return target }
  let parameters = query.pieces(separatedBy: "&")
  let kept = parameters.filter { !QueryParameter($0).isNamed(name) }
  guard kept.count < parameters.count else { return target }
  return kept.isEmpty ? String(path) : "\(path)?\(kept.joined(separator: "&"))"
}

/// Copies fields line by line and leaves the credentials out.
private struct FieldCutting {
  /// Values are taken apart as octets: other cookies need not be UTF-8.
  private typealias Octets = ArraySlice<UInt8>

  private let cutsAuthorization: Bool
  private let cutsSubprotocol: Bool
  private let cookieNames: [String]
  private let keyField: String?

  init(sources: [TokenSource], keyField: String?) {
    self.cutsAuthorization = sources.contains(.authorization)
    self.cutsSubprotocol = sources.contains(.subprotocol)
    self.cookieNames = sources.compactMap { if case .cookie(let name) = $0 { name } else { nil } }
    self.keyField = keyField
  }

  func cut(_ fields: Fields) -> Fields {
    var kept = Fields()
    // The marker may end one line and the token begin the next: the lines are one list.
    var isTokenNext = false
    for field in fields {
      if let keyField = self.keyField, field.isNamed(keyField) { continue }
      if self.cutsAuthorization, field.isNamed("Authorization") {
        if bearerCredentials(field.value) == nil { kept.append(field) }
      } else if self.cutsSubprotocol, field.isNamed("Sec-WebSocket-Protocol") {
        let value = Self.withoutToken(field.valueOctets, isTokenNext: &isTokenNext)
        Self.append(field, with: value, to: &kept)
      } else if !self.cookieNames.isEmpty, field.isNamed("Cookie") {
        Self.append(field, with: self.withoutCookies(field.valueOctets), to: &kept)
      } else {
        kept.append(field)
      }
    }
    return kept
  }

  /// The field as it was where nothing was cut (`nil`), with what is left, or not at all.
  private static func append(_ field: Fields.Field, with value: Octets?, to fields: inout Fields) {
    guard let value else { return fields.append(field) }
    if !value.isEmpty { fields.append(nameOctets: field.nameOctets, valueOctets: value) }
  }

  private static func withoutToken(_ value: Octets, isTokenNext: inout Bool) -> Octets? {
    let members = value.pieces(separatedBy: ",")
    let kept = members.filter { member in
      let name = member.trimmed
      if name.isEmpty { return true }
      if isTokenNext {
        isTokenNext = false
        return false
      }
      isTokenNext = name.spellsIgnoringASCIICase(subprotocolMarker)
      return !isTokenNext
    }
    return Self.joined(kept, from: members, separator: ",")
  }

  private func withoutCookies(_ value: Octets) -> Octets? {
    let pairs = value.pieces(separatedBy: ";")
    let kept = pairs.filter { pair in
      let name = (pair.parts(aroundFirst: "=")?.before ?? pair).trimmed
      return !self.cookieNames.contains { name.elementsEqual($0.utf8) }
    }
    return Self.joined(kept, from: pairs, separator: ";")
  }

  /// What is left of a list; `nil` where that is all of it. Space that stood behind a separator is
  /// dropped where its separator went.
  private static func joined(
    _ kept: [Octets], from all: [Octets], separator: Unicode.Scalar
  ) -> Octets? {
    guard kept.count < all.count else { return nil }
    guard kept.contains(where: { !$0.trimmed.isEmpty }) else { return [] }
    return Array(kept.joined(separator: [UInt8(ascii: separator)]))[...].leftTrimmed
  }
}
