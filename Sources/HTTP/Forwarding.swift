/// Makes the head that goes to a server out of the head that a client sent. Pure.
///
/// The client's fields keep their order. What belongs to the client's connection goes
/// (RFC 9110 §7.6.1), what the edge vouches for is written by the edge, and a client can neither
/// add to that nor, by listing it in `Connection`, take any of it away.
public struct Forwarding: Sendable {
  /// The client's address, appended to X-Forwarded-For and Forwarded. IPv6 without brackets.
  public var clientAddress: String
  /// Whether the peer is a proxy whose word counts. The X-Forwarded-Proto, X-Forwarded-Host and
  /// X-Request-Id of any other peer are replaced; its X-Real-IP and all of its further
  /// X-Forwarded-* fields are removed.
  public var isTrustedPeer: Bool
  /// `https` or `http`: what the downstream connection is.
  public var scheme: String
  /// The value of X-Request-Id, unless a trusted peer has given one.
  public var requestID: String
  /// Fields that say who the client is. They replace whatever the client sent under these names.
  public var identityFields: [(name: String, value: String)]
  /// Names that only the edge may set, removed wherever they come from a client, whether there is
  /// a value to set or not. `_` and `-` in them are taken for the same.
  public var identityFieldNames: [String]
  /// The fields that the route sets. Those of the handshake and the framing are not its to set,
  /// see ``isReserved(_:)``.
  public var setFields: [(name: String, value: String)]
  /// The names that the route removes, with the same exception. In these and in those that it sets `_`
  /// and `-` are taken for the same.
  public var removeFields: [String]
  /// What is taken off the beginning of the path: whole segments, or nothing. Compared as a route's
  /// path is, see ``ComparablePath``.
  public var stripPrefix: String?
  /// What is put before the path, after ``stripPrefix`` has been taken off.
  public var setPrefix: String?
  /// The Host for the server; `nil` keeps the client's.
  public var host: String?

  /// A forwarding that rewrites nothing, for the given client.
  public init(
    clientAddress: String, isTrustedPeer: Bool = false, scheme: String, requestID: String,
    identityFields: [(name: String, value: String)] = [], identityFieldNames: [String] = [],
    setFields: [(name: String, value: String)] = [], removeFields: [String] = [],
    stripPrefix: String? = nil, setPrefix: String? = nil, host: String? = nil
  ) {
    self.clientAddress = clientAddress
    self.isTrustedPeer = isTrustedPeer
    self.scheme = scheme
    self.requestID = requestID
    self.identityFields = identityFields
    self.identityFieldNames = identityFieldNames
    self.setFields = setFields
    self.removeFields = removeFields
    self.stripPrefix = stripPrefix
    self.setPrefix = setPrefix
    self.host = host
  }

  /// Whether a route must leave this field alone: what frames the message and makes the handshake.
  public static func isReserved(_ name: String) -> Bool {
    switch FieldName(name.utf8.span) {
    case .connection, .upgrade, .transferEncoding, .contentLength, .te, .trailer, .keepAlive,
      .http2Settings, .proxyConnection:
      true
    case let name: name.isWebSocket
    }
  }
}

extension Forwarding {
  /// The upgrade request for the server. The client's must have passed its checks.
  ///
  /// - Parameter key: the Sec-WebSocket-Key where the client gave none: its request is an extended
  ///   CONNECT of HTTP/2 (RFC 8441 §5.1), and the server gets a GET.
  public func upgradeRequest(from client: RequestHead, key: String? = nil) -> RequestHead {
    var fields = self.fields(from: client)
    if let key {
      fields.set(.webSocketKey, key)
      fields.set(.webSocketVersion, "13")
    }
    fields.append(.upgrade, "websocket")
    fields.append(.connection, "Upgrade")
    return self.head(from: client, method: key == nil ? client.method : "GET", fields)
  }

  /// An ordinary request for the server, with the body framed anew. The client's must have passed its
  /// checks.
  ///
  /// - Parameter framing: how the body goes on. A request cannot end with its connection
  ///   (RFC 9112 §6.3), so that ``BodyFraming/untilClose`` is chunked, too.
  public func request(from client: RequestHead, framing: BodyFraming) -> RequestHead {
    var fields = self.fields(from: client)
    switch framing {
    case .none, .length(0):
      // What the client said of a body that is empty, where it may make a difference
      // (RFC 9110 §8.6).
      guard client.fields.contains(.contentLength), !Self.bodilessMethods.contains(client.method)
      else { break }
      fields.append(.contentLength, "0")
    case .length(let length):
      fields.append(.contentLength, String(length))
    case .chunked, .untilClose:
      for field in client.fields where field.isNamed("trailer") { fields.append(field) }
      fields.append(.transferEncoding, "chunked")
    }
    // RFC 9110 §10.1.4. HTTP/1.0 has no chunks, and so no trailers.
    if client.version != .http10, client.fields.contains(.te, token: "trailers") {
      fields.append(.te, "trailers")
      fields.append(.connection, "TE")
    }
    return self.head(from: client, method: client.method, fields)
  }

  /// What of the trailers of the client's request goes on: nothing under a name that the edge answers
  /// for, since some servers put trailers and fields together.
  public func trailers(from client: Fields) -> Fields {
    var trailers = client
    trailers.removeEntries { self.isOurs($0, of: client) || self.isHearsay($0) }
    trailers.removeAll { trailer in
      self.removeFields.contains(where: trailer.isSpelledLike)
        || self.setFields.contains { trailer.isSpelledLike($0.name) }
    }
    return trailers
  }

  /// The methods whose requests have no body as a rule (RFC 9110 §9.3).
  private static let bodilessMethods = ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE"]

  /// The fields for the server without those that frame the body and speak of the connection.
  private func fields(from client: RequestHead) -> Fields {
    var fields = self.endToEndFields(of: client.fields)
    self.addOrigin(of: client, to: &fields)
    for name in self.removeFields where !Self.isReserved(name) {
      fields.removeAll { $0.isSpelledLike(name) }
    }
    for (name, value) in self.setFields where !Self.isReserved(name) {
      fields.removeAll { $0.isSpelledLike(name) && !$0.isNamed(name) }
      fields.set(name, value)
    }
    for (name, value) in self.identityFields {
      fields.removeAll { $0.isSpelledLike(name) }
      fields.append(name: name, value: value)
    }
    // Last, so that nothing above can have removed it.
    fields.set(.host, self.host ?? client.authority)
    return fields
  }

  private func head(from client: RequestHead, method: String, _ fields: Fields) -> RequestHead {
    let target = self.rewritten(client.target)
    guard self.host == nil else {
      return RequestHead(method: method, target: target, version: .http11, fields: fields)
    }
    return RequestHead(
      method: method, target: target, version: .http11, fields: fields, host: client.host,
      authority: client.authority)
  }

  /// The fields of a question to a service that is to judge the client's request: those of the request
  /// itself, credentials included, less what makes the handshake, and what is asked about in
  /// X-Forwarded-*. Of these the service can believe every one: where an upgrade request adds to what
  /// earlier hops said of the client's address, here stands the one address that counts.
  public func question(about client: RequestHead) -> Fields {
    var fields = self.endToEndFields(of: client.fields)
    let asked = [
      // An extended CONNECT of HTTP/2 asks for what a GET asks for in HTTP/1.1.
      ("X-Forwarded-Method", client.connectProtocol == nil ? client.method : "GET"),
      ("X-Forwarded-Uri", client.target),
      ("X-Forwarded-Proto", self.believed(client.fields, .forwardedProto) ?? self.scheme),
      ("X-Forwarded-Host", self.believed(client.fields, .forwardedHost) ?? client.authority),
      ("X-Forwarded-For", self.clientAddress), ("X-Request-Id", self.requestID),
    ]
    fields.removeAll { field in
      field.entry.known == .host || field.entry.likeness.isWebSocket
        || asked.contains { field.isSpelledLike($0.0) }
    }
    for (name, value) in asked { fields.append(name: name, value: value) }
    return fields
  }

  /// What of the client's fields goes on, with the names of the handshake in their usual case.
  private func endToEndFields(of client: Fields) -> Fields {
    let hopByHop = HopByHop(of: client)
    var fields = client.keeping(room: Self.addedCount, Self.addedByteCount) { entry in
      // Whoever frames the body for the next hop says its length anew.
      if entry.known == .contentLength || hopByHop.contains(entry, client.storage) { return false }
      return !self.isOurs(entry, of: client) && !self.isHearsay(entry)
    }
    fields.respell { $0.isWebSocket && $0 != .otherWebSocket }
    return fields
  }

  /// What is added to a request at the most, as a rule: more costs another allocation.
  private static let addedCount = 10
  private static let addedByteCount = 512

  /// Whether the edge writes this field, so that the client's copy ends here.
  private func isOurs(_ entry: Fields.Entry, of fields: Fields) -> Bool {
    switch entry.likeness {
    case .forwardedFor, .forwardedProto, .forwardedHost, .forwarded, .requestID: return true
    default: break
    }
    guard !self.identityFieldNames.isEmpty || !self.identityFields.isEmpty else { return false }
    let field = Fields.Field(storage: fields.storage, entry: entry)
    return self.identityFieldNames.contains(where: field.isSpelledLike)
      || self.identityFields.contains { field.isSpelledLike($0.name) }
  }

  /// Whether the field says what only a trusted proxy can know, and none has said it. A spelling
  /// with `_` is nobody's word: a proxy that writes the usual one lets a client's other one pass,
  /// and the server may take that for the same.
  private func isHearsay(_ entry: Fields.Entry) -> Bool {
    guard entry.likeness == .realAddress || entry.likeness.isForwarded else { return false }
    return !self.isTrustedPeer || entry.known != entry.likeness
  }
}

// MARK: - Where the request came from

extension Forwarding {
  /// The fields that the edge answers for.
  private func addOrigin(of client: RequestHead, to fields: inout Fields) {
    let sent = client.fields
    if sent.contains(.forwardedFor) {
      fields.append(.forwardedFor) {
        sent.writeChain(.forwardedFor, into: &$0)
        $0.append(self.clientAddress)
      }
    } else {
      fields.append(.forwardedFor, self.clientAddress)
    }
    fields.append(.forwardedProto, self.believed(sent, .forwardedProto) ?? self.scheme)
    fields.append(.forwardedHost, self.believed(sent, .forwardedHost) ?? client.authority)
    fields.append(.forwarded) {
      sent.writeChain(.forwarded, into: &$0)
      self.writeElement(of: client, into: &$0)
    }
    fields.append(.requestID, self.believedRequestID(sent) ?? self.requestID)
  }

  private func believed(_ fields: Fields, _ name: FieldName) -> String? {
    guard self.isTrustedPeer, let entry = fields.first(name), !entry.value.isEmpty else {
      return nil
    }
    return fields.text(entry.value)
  }

  /// A trusted peer's identifier, where it can be told from others and written into a record as it
  /// is: 1 to 128 visible ASCII characters.
  private func believedRequestID(_ fields: Fields) -> String? {
    guard let value = self.believed(fields, .requestID), value.utf8.count <= 128,
      value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { return nil }
    return value
  }

  /// RFC 7239 §4: `for`, `proto` and `host`. An IPv6 address stands in brackets and quotes (§6), what is no
  /// address behind an underscore (§6.3).
  private func writeElement(of client: RequestHead, into octets: inout [UInt8]) {
    octets.append(literal: "for=")
    let address = self.clientAddress == "unix" ? "_unix" : self.clientAddress
    // Of addresses only those of IPv6 have a colon; parsing it anew costs as much as all the rest.
    let isBare = address.utf8.span.contains(.colon) && address.utf8.first != .leftBracket
    octets.append(quotedIfNeeded: isBare ? "[\(address)]" : address)
    octets.append(literal: ";proto=")
    octets.append(self.scheme)
    guard !client.authority.isEmpty else { return }
    octets.append(literal: ";host=")
    octets.append(quotedIfNeeded: client.authority)
  }
}

extension Fields {
  /// Writes what earlier proxies said under `name`, with a comma behind each line.
  fileprivate func writeChain(_ name: FieldName, into octets: inout [UInt8]) {
    for index in self.entries.indices where self.entries[index].known == name {
      let value = self.storage.span.extracting(self.entries[index].value)
      guard !value.isEmpty, !value.endsInQuotes else { continue }
      octets.append(value)
      octets.append(literal: ", ")
    }
  }
}

extension Array<UInt8> {
  /// Appends a token as it is, anything else as a quoted string (RFC 9110 §5.6.4).
  fileprivate mutating func append(quotedIfNeeded text: String) {
    let octets = text.utf8.span
    if octets.isToken { return self.append(octets) }
    self.append(.quote)
    if octets.contains(.quote) || octets.contains(.backslash) {
      for index in octets.indices {
        if octets[index] == .quote || octets[index] == .backslash { self.append(.backslash) }
        self.append(octets[index])
      }
    } else {
      self.append(octets)
    }
    self.append(.quote)
  }
}

// MARK: - The path

extension Forwarding {
  /// The target with the path's prefix exchanged; the query stays as it is.
  private func rewritten(_ target: String) -> String {
    guard self.stripPrefix != nil || self.setPrefix != nil, target.utf8.first == .slash else {
      return target
    }
    let end = target.utf8.firstIndex(of: .questionMark) ?? target.endIndex
    var path = String(target[..<end])
    if let prefix = self.stripPrefix { path = Self.stripped(prefix, path) }
    if let prefix = self.setPrefix { path = Self.withoutLastSlash(prefix) + path }
    if path.utf8.first != .slash { path = "/" + path }
    return path + target[end...]
  }

  /// `path` without `prefix`, where that is one or more whole segments of it. What is left is as it
  /// was sent, but begins with one `/` however many there were: with two, a reader of URLs could
  /// take the segment behind them for a host (RFC 3986 §4.2).
  private static func stripped(_ prefix: String, _ path: String) -> String {
    guard let wanted = ComparablePath(prefix)?.segments, !wanted.isEmpty,
      let sent = ComparablePath(path)?.segments, sent.starts(with: wanted)
    else { return path }
    var rest = path.utf8[...]
    // No slash is encoded in either: as many segments go as were compared.
    for _ in wanted { rest = rest.drop { $0 == .slash }.drop { $0 != .slash } }
    let behind = rest.drop { $0 == .slash }
    return rest.isEmpty ? "" : "/" + String(Substring(behind))
  }

  private static func withoutLastSlash(_ prefix: String) -> String {
    prefix.utf8.last == .slash ? String(prefix.dropLast()) : prefix
  }
}
