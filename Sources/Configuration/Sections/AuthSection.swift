import Admission
import HTTP
import Token

/// `routes[].auth`
struct AuthSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case jwt, forward
    case apiKeys = "api_keys"
  }

  let rules: CredentialRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    if Keys.allCases.allSatisfy({ section[$0] == nil }) {
      section.entry.refuse(
        "jwt, api_keys, forward or several are needed: nobody could be admitted")
    }
    self.rules = CredentialRules(
      jwt: section[.jwt]?.part(JWTSection.self)?.rule,
      apiKeys: section[.apiKeys]?.part(APIKeySection.self)?.rule,
      forward: section[.forward]?.part(ForwardSection.self)?.rule)
  }
}

/// `routes[].auth.jwt`
struct JWTSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case keys, jwks, issuer, audience
    case tokenFrom = "token_from"
    case forwardClaims = "forward_claims"
    case onExpiry = "on_expiry"
  }

  let rule: JWTRule

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rule = JWTRule(
      verifier: Self.verifier(section), sources: Self.sources(section[.tokenFrom]),
      forwardClaims: try Self.forwardClaims(section[.forwardClaims]))
    if let action = section[.onExpiry]?.choice(ExpiryAction.self) { rule.onExpiry = action }
    self.rule = rule
  }

  /// Where the keys cannot be read the file is refused, so that a verifier without any is never used.
  private static func verifier(_ section: Section<Keys>) -> JWTVerifier {
    let (issuer, audience) = (section[.issuer]?.text(), section[.audience]?.text())
    var fixed: [VerificationKey] = []
    switch (section[.keys], section[.jwks]) {
    case (let keys?, nil):
      fixed = keys.list()?.compactMap { $0.part(KeySection.self)?.key } ?? []
    case (nil, let jwks?):
      switch jwks.part(KeySetSection.self)?.source {
      case .remote(let keySet)?:
        return JWTVerifier(keySet: keySet, issuer: issuer, audience: audience)
      case .file(let keys)?: fixed = keys
      case nil: break
      }
    case (nil, nil):
      section.entry.refuse("keys or jwks is needed: no token could be verified")
    case (_?, let jwks?):
      jwks.refuse("contradiction: keys are given too; leave one of the two out")
    }
    return JWTVerifier(keys: fixed, issuer: issuer, audience: audience)
  }

  private static func sources(_ entry: Entry?) -> [TokenSource] {
    guard let entry else { return [.authorization] }
    var seen = Set<TokenSource>()
    return (entry.list() ?? []).compactMap { entry in
      let source = entry.parsed("a token source") { text throws(PatternError) in
        try TokenSource(parsing: text)
      }
      if let source, !seen.insert(source).inserted { entry.refuse("duplicate: \(source)") }
      return source
    }
  }

  private static func forwardClaims(_ entry: Entry?) throws -> [(claim: String, field: String)] {
    guard let entry else { return [] }
    var names = FieldNames()
    return try entry.members().compactMap { claim, entry in
      guard let field = entry.text("the name of a field"), names.take(field, at: entry) else {
        return nil
      }
      guard field.lowercased() != "host" else {
        entry.refuse("a token does not choose the Host")
        return nil
      }
      return (claim, field)
    }
  }
}

/// `routes[].auth.jwt.keys[]`
struct KeySection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case algorithm, secret, kid
    case publicKey = "public_key"
  }

  let key: VerificationKey

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let algorithm = section.required(.algorithm)?.choice(SigningAlgorithm.self)
    let kid = section[.kid]?.text()
    let secret = section[.secret]?.secret()
    let publicKey = section[.publicKey]?.publicKey()
    guard let algorithm, let entry = Self.material(section, for: algorithm) else { throw Refused() }
    do {
      if algorithm.isSymmetric {
        guard let secret else { throw Refused() }
        self.key = try .hmac(algorithm: algorithm, secret: secret, kid: kid)
      } else {
        guard let publicKey else { throw Refused() }
        self.key = try .pem(algorithm: algorithm, pem: publicKey, kid: kid)
      }
    } catch let error as KeyError {
      entry.refuse(error.message)
      throw Refused()
    }
  }

  /// The entry with what the algorithm needs; records that it is missing, or that the other one is
  /// there.
  private static func material(
    _ section: Section<Keys>, for algorithm: SigningAlgorithm
  ) -> Entry? {
    let (needed, other) =
      algorithm.isSymmetric ? (Keys.secret, Keys.publicKey) : (Keys.publicKey, Keys.secret)
    if let entry = section[other] {
      entry.refuse("contradiction: \(algorithm.rawValue) takes a \(needed.stringValue)")
    }
    return section.required(needed, "\(algorithm.rawValue) takes it")
  }
}

extension Entry {
  /// A public key or certificate in PEM: the text itself, or that of the file it names.
  fileprivate func publicKey() -> String? {
    guard let text = self.secretly.text("a PEM file") else { return nil }
    return text.hasPrefix("-----BEGIN ")
      ? text : self.contents(ofFile: Self.filePath(in: text) ?? text)
  }
}

/// `routes[].auth.jwt.jwks`
struct KeySetSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case file, url, refresh }

  enum Source {
    case file([VerificationKey])
    case remote(RemoteKeySet)
  }

  let source: Source

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let refresh = section[.refresh]?.duration(in: .seconds(30) ... .seconds(86_400))
    if let entry = section[.refresh], section[.url] == nil {
      entry.refuse("contradiction: it goes with url; a file is read again when it changes")
    }
    switch (section[.file], section[.url]) {
    case (let file?, nil): self.source = .file(try Self.keys(file))
    case (nil, let entry?):
      guard let url = entry.webURL() else { throw Refused() }
      let keySets = section.entry.reading.surroundings.keySets
      self.source = .remote(keySets.keySet(at: url, refresh: refresh ?? .seconds(300)))
    case (nil, nil):
      section.entry.refuse("file or url is needed: there would be no keys")
      throw Refused()
    case (_?, let url?):
      url.refuse("contradiction: file is given too; leave one of the two out")
      throw Refused()
    }
  }

  private static func keys(_ entry: Entry) throws -> [VerificationKey] {
    guard let path = entry.path(), let json = entry.contents(ofFile: path) else { throw Refused() }
    do {
      return try VerificationKey.jwks(json: json)
    } catch {
      entry.refuse("\(path): \(error.message)")
      throw Refused()
    }
  }
}

/// `routes[].auth.api_keys`
struct APIKeySection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case header, keys }

  let rule: APIKeyRule

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let header = section[.header]?.text("the name of a field") ?? "X-API-Key"
    if let entry = section[.header] { _ = entry.isFieldName(header) }
    let keys = section.required(.keys)?.secretly.list()?.flatMap(Self.keys) ?? []
    self.rule = APIKeyRule(header: header, keys: keys)
  }

  /// A key, or those in a file: one on each line, without the empty lines and those that begin with
  /// `#`.
  private static func keys(_ entry: Entry) -> [String] {
    guard let text = entry.secretly.text("an API key") else { return [] }
    guard let path = Entry.filePath(in: text) else {
      if !Fields.isValue(text) { entry.refuse("no client can send this key: \(Self.unsendable)") }
      return [text]
    }
    guard let contents = entry.contents(ofFile: path) else { return [] }
    var keys: [String] = []
    for (index, line) in contents.split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline
    )
    .enumerated() {
      let key = line.drop { $0 == " " || $0 == "\t" }
      guard !key.isEmpty, key.first != "#" else { continue }
      let trimmed = String(key.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
      if !Fields.isValue(trimmed) {
        entry.refuse("\(path):\(index + 1): no client can send this key: \(Self.unsendable)")
      }
      keys.append(trimmed)
    }
    if keys.isEmpty { entry.refuse("\(path) holds no key") }
    return keys
  }

  private static let unsendable = "it has control characters, or spaces at its ends"
}
