/// Gathers the fields of one HTTP/2 header block and makes a head or trailers of them, as strictly as
/// ``RequestReader`` makes heads (RFC 9113 §8, RFC 8441 §4).
///
/// A value without descriptor or clock. All octets lie in one array, which is the head's own storage in
/// the end. The first thing that is wrong is noted, and from then on nothing is stored: whoever decodes
/// the block has to decode all of it, however long it is (RFC 9113 §4.3).
public struct FieldBlock: Sendable {
  /// What a field counts beside its octets (RFC 9113 §6.5.2).
  static let fieldOverheadByteCount = 32

  private let byteCountMax: Int
  private let targetByteCountMax: Int
  private var byteCount = 0
  /// Begins with the name that the head's first field will have.
  private var storage: [UInt8] = []
  private var entries: [Fields.Entry] = []
  private var pseudoFields = PseudoFields()
  /// Whether lines of Cookie stand apart, so that they are joined in the end.
  private var hasScatteredCookies = false
  private var failure: HeadError?

  /// - Parameters:
  ///   - byteCountMax: the octets that the block may have when it is decoded, 32 more for each field:
  ///     what SETTINGS_MAX_HEADER_LIST_SIZE announces (RFC 9113 §6.5.2).
  ///   - targetByteCountMax: the octets that `:path` may have.
  public init(byteCountMax: Int, targetByteCountMax: Int) {
    self.byteCountMax = byteCountMax
    self.targetByteCountMax = targetByteCountMax
  }

  /// Takes the next field of the block. What is wrong with it, ``request()`` and ``trailers()`` tell.
  public mutating func append(name: Span<UInt8>, value: Span<UInt8>) {
    guard self.failure == nil else { return }
    do throws(HeadError) {
      try self.take(name, value)
    } catch {
      self.failure = error
      self.storage = []
      self.entries = []
    }
  }

  private mutating func take(_ name: Span<UInt8>, _ value: Span<UInt8>) throws(HeadError) {
    self.byteCount += name.count + value.count + Self.fieldOverheadByteCount
    guard self.byteCount <= self.byteCountMax else { throw .headTooLarge }
    guard !name.isEmpty else { throw .emptyFieldName }
    try Self.check(value: value)
    if self.storage.isEmpty {
      self.storage.reserveCapacity(512)
      self.storage.append(literal: FieldName.host.spelling)
    }
    if name[0] == .colon {
      try self.takePseudoField(name, value)
    } else {
      try self.takeField(name, value)
    }
  }

  /// RFC 9113 §8.2.1.
  private static func check(value: Span<UInt8>) throws(HeadError) {
    guard value.valueByteCount == value.count else { throw .controlInFieldValue }
    guard !value.isEmpty else { return }
    guard !value[0].isWhitespace, !value[value.count - 1].isWhitespace else {
      throw .whitespaceAroundValue
    }
  }

  private mutating func takePseudoField(
    _ name: Span<UInt8>, _ value: Span<UInt8>
  ) throws(HeadError) {
    guard self.entries.isEmpty else { throw .misplacedPseudoField }
    let place = self.storage.count..<self.storage.count + value.count
    switch name.count {
    case 5 where name.spells(":path"):
      guard value.count <= self.targetByteCountMax else { throw .targetTooLong }
      try PseudoFields.note(place, in: &self.pseudoFields.path)
    case 7 where name.spells(":method"):
      try PseudoFields.note(place, in: &self.pseudoFields.method)
    case 7 where name.spells(":scheme"):
      try PseudoFields.note(place, in: &self.pseudoFields.scheme)
    case 9 where name.spells(":protocol"):
      try PseudoFields.note(place, in: &self.pseudoFields.protocol)
    case 10 where name.spells(":authority"):
      try PseudoFields.note(place, in: &self.pseudoFields.authority)
    default: throw .unknownPseudoField
    }
    self.storage.append(value)
  }

  private mutating func takeField(_ name: Span<UInt8>, _ value: Span<UInt8>) throws(HeadError) {
    // RFC 9113 §8.2.1: names come in lower case.
    for index in name.indices where !name[index].isTokenOctet || name[index].isCapital {
      throw .malformedFieldName
    }
    var entry = Fields.Entry(name, name: 0..<0, value: 0..<0)
    if Self.belongsToConnection(entry.known, value) { throw .connectionField }
    if entry.known == .cookie, self.takeCookie(value) { return }
    guard self.entries.count < RequestReader.fieldCountMax else { throw .tooManyFields }
    if self.entries.isEmpty { self.entries.reserveCapacity(24) }
    (entry.name, entry.value) = self.storage.appendLine(name, value)
    self.entries.append(entry)
  }

  /// RFC 9113 §8.2.2. The one thing that TE may say is that trailers are welcome.
  private static func belongsToConnection(_ name: FieldName, _ value: Span<UInt8>) -> Bool {
    switch name {
    case .te: !value.spells("trailers")
    case .upgrade, .connection, .keepAlive, .proxyConnection, .transferEncoding: true
    default: false
    }
  }

  /// RFC 9113 §8.2.3: a Cookie may come in crumbs. Those behind one another are joined as they come.
  ///
  /// - Returns: whether the value was joined to the last field.
  private mutating func takeCookie(_ value: Span<UInt8>) -> Bool {
    guard let last = self.entries.last, last.known == .cookie else {
      self.hasScatteredCookies = self.entries.contains { $0.known == .cookie }
      return false
    }
    // An empty crumb would end the value with the space in front of it.
    if value.isEmpty { return true }
    // The line is the last: what ends it goes.
    self.storage.removeSubrange(last.value.upperBound...)
    self.storage.append(literal: "; ")
    self.storage.append(value)
    self.entries[self.entries.count - 1].value = last.value.lowerBound..<self.storage.count
    self.storage.appendLineEnd()
    return true
  }
}

// MARK: - What comes of it

extension FieldBlock {
  /// The head of the request that the block is. Its fields begin with Host, so that what stands behind
  /// need not know that it came in HTTP/2.
  ///
  /// - Throws: the first ``HeadError``. What belongs to it was stored nowhere.
  public consuming func request() throws(HeadError) -> RequestHead {
    if let failure = self.failure { throw failure }
    let method = try self.method()
    let defaultPort = try self.defaultPort()
    let target = try self.target(of: method)
    let (authority, host) = try self.takeAuthority(defaultPort: defaultPort)
    let connectProtocol = self.pseudoFields.protocol.map(self.text)
    let fields = self.takeFields()
    try fields.checkRequestFraming(version: .http2)
    return RequestHead(
      method: method, target: target, version: .http2, fields: fields, host: host,
      authority: authority, connectProtocol: connectProtocol)
  }

  /// The trailers that the block is, without those that a trailer must not be (RFC 9110 §6.5.1), as
  /// ``BodyReader/takeTrailers()`` has them.
  ///
  /// - Throws: the first ``HeadError``; trailers have no pseudo-fields (RFC 9113 §8.1).
  public consuming func trailers() throws(HeadError) -> Fields {
    if let failure = self.failure { throw failure }
    guard self.pseudoFields.isEmpty else { throw .misplacedPseudoField }
    return self.takeFields().trailers()
  }

  private func text(_ place: Range<Int>) -> String {
    String(decoding: self.storage[place], as: UTF8.self)
  }

  /// The method, and whether the pseudo-fields are those that it has: `:protocol` makes an extended
  /// CONNECT of it (RFC 8441 §4), which has all of them.
  private func method() throws(HeadError) -> String {
    guard let place = self.pseudoFields.method else { throw .missingPseudoField }
    guard place.count <= HeadScanner.methodByteCountMax else { throw .methodTooLong }
    guard self.storage.span.extracting(place).isToken else {
      throw .malformedMethod
    }
    let method = self.text(place)
    let isExtended = self.pseudoFields.protocol != nil
    guard isExtended || method != "CONNECT" else { throw .unsupportedConnect }
    guard !isExtended || method == "CONNECT" else { throw .misplacedPseudoField }
    guard !isExtended || self.pseudoFields.authority != nil else { throw .missingPseudoField }
    return method
  }

  private func defaultPort() throws(HeadError) -> UInt16 {
    guard let place = self.pseudoFields.scheme else { throw .missingPseudoField }
    if self.storage.equalsIgnoringCase(place, "https") { return 443 }
    guard self.storage.equalsIgnoringCase(place, "http") else { throw .malformedTarget }
    return 80
  }

  /// RFC 9113 §8.3.1: the origin-form, or `*` for OPTIONS.
  private func target(of method: String) throws(HeadError) -> String {
    guard let place = self.pseudoFields.path else { throw .missingPseudoField }
    let octets = self.storage.span.extracting(place)
    let isAsterisk = octets.count == 1 && octets[0] == .asterisk && method == "OPTIONS"
    guard octets.first == .slash || isAsterisk, octets.targetByteCount == octets.count else {
      throw .malformedTarget
    }
    return self.text(place)
  }

  /// RFC 9113 §8.3.1: `:authority`, or Host where there is none. The one of them that counts becomes
  /// the first field.
  private mutating func takeAuthority(
    defaultPort: UInt16
  ) throws(HeadError) -> (text: String, host: String) {
    let line = self.entries.firstIndex { $0.known == .host }
    let sent = line.map { self.entries.remove(at: $0).value }
    guard !self.entries.contains(where: { $0.known == .host }) else { throw .repeatedHost }
    guard let place = self.pseudoFields.authority ?? sent else { throw .missingHost }
    let text = self.text(place)
    guard let authority = Authority(parsing: text) else { throw .malformedHost }
    if let sent, self.storage[sent] != self.storage[place] {
      guard let other = Authority(parsing: self.text(sent)) else { throw .malformedHost }
      guard authority.isSame(as: other, defaultPort: defaultPort) else { throw .conflictingHost }
    }
    let name = 0..<FieldName.host.spelling.octets.count
    self.entries.insert(Fields.Entry(.host, name: name, value: place), at: 0)
    return (text, authority.host)
  }

  private consuming func takeFields() -> Fields {
    if self.hasScatteredCookies { self.joinCookies() }
    return Fields(storage: self.storage, entries: self.entries)
  }

  /// RFC 9113 §8.2.3: one field, at the place of the first crumb.
  private mutating func joinCookies() {
    guard let first = self.entries.firstIndex(where: { $0.known == .cookie }) else { return }
    var cookie: [UInt8] = []
    for entry in self.entries where entry.known == .cookie {
      if !cookie.isEmpty { cookie.append(contentsOf: "; ".utf8) }
      cookie.append(contentsOf: self.storage[entry.value])
    }
    let line = self.storage.appendLine("cookie".utf8.span, cookie.span)
    let all = self.entries
    self.entries = all.filter { $0.known != .cookie }
    self.entries.insert(Fields.Entry(.cookie, name: line.name, value: line.value), at: first)
  }
}

/// Where the values of a request's pseudo-fields lie (RFC 9113 §8.3.1, RFC 8441 §4).
private struct PseudoFields: Sendable {
  var method: Range<Int>?
  var scheme: Range<Int>?
  var path: Range<Int>?
  var authority: Range<Int>?
  var `protocol`: Range<Int>?

  var isEmpty: Bool {
    [self.method, self.scheme, self.path, self.authority, self.protocol].allSatisfy { $0 == nil }
  }

  static func note(_ place: Range<Int>, in field: inout Range<Int>?) throws(HeadError) {
    guard field == nil else { throw .repeatedPseudoField }
    field = place
  }
}

extension Span<UInt8> {
  /// Whether the octets are those of `text`.
  fileprivate func spells(_ text: StaticString) -> Bool { self.spells(text.octets) }
}
