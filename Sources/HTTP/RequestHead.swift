/// The version of a message.
public enum HTTPVersion: Sendable, Hashable {
  /// HTTP/1.0.
  case http10
  /// HTTP/1.1, and every later 1.x.
  case http11
  /// HTTP/2. A head of it is written as one of HTTP/1.1.
  case http2
}

/// The head of a request. One that came from a ``RequestReader`` has passed all its checks.
///
/// Every phase of a request hands it on: what it consists of lies in one place, so that a copy costs one
/// reference. A change makes another place.
public struct RequestHead: Sendable {
  private struct Parts: Sendable, Equatable {
    var method: String
    var target: String
    var version: HTTPVersion
    var fields: Fields
    var host: String
    var authority: String
    var connectProtocol: String?
  }

  private final class Place: Sendable {
    let parts: Parts
    init(_ parts: Parts) { self.parts = parts }
  }

  private var place: Place

  private mutating func change(_ body: (inout Parts) -> Void) {
    var parts = self.place.parts
    body(&parts)
    self.place = Place(parts)
  }

  /// The method, in the case in which it was sent: methods are case-sensitive (RFC 9110 §9.1).
  public var method: String {
    get { self.place.parts.method }
    set { self.change { $0.method = newValue } }
  }

  /// The target in origin-form, path and query, as it was sent or as it was cut out of the
  /// absolute-form; or `*`.
  public var target: String {
    get { self.place.parts.target }
    set { self.change { $0.target = newValue } }
  }

  /// The version.
  public var version: HTTPVersion {
    get { self.place.parts.version }
    set { self.change { $0.version = newValue } }
  }

  /// The fields, Host among them.
  public var fields: Fields {
    get { self.place.parts.fields }
    set { self.change { $0.fields = newValue } }
  }

  /// The host that is asked for: lower case, without port and without the dot of a complete domain
  /// name, an IPv6 address in its brackets. Empty where HTTP/1.0 named none.
  public var host: String { self.place.parts.host }

  /// The host with its port as it was sent. Empty where HTTP/1.0 named none.
  public var authority: String { self.place.parts.authority }

  /// What an extended CONNECT of HTTP/2 asks for in `:protocol` (RFC 8441 §4); `nil` for every other
  /// request.
  public var connectProtocol: String? {
    get { self.place.parts.connectProtocol }
    set { self.change { $0.connectProtocol = newValue } }
  }

  /// A head that is made here rather than read: the host is taken from `fields`, and is empty if
  /// there is none or a malformed one.
  public init(
    method: String, target: String, version: HTTPVersion = .http11, fields: Fields = Fields()
  ) {
    let authority = fields.first("host") ?? ""
    self.init(
      method: method, target: target, version: version, fields: fields,
      host: Authority(parsing: authority)?.host ?? "", authority: authority)
  }

  /// What has been checked.
  init(
    method: String, target: String, version: HTTPVersion, fields: Fields, host: String,
    authority: String, connectProtocol: String? = nil
  ) {
    self.place = Place(
      Parts(
        method: method, target: target, version: version, fields: fields, host: host,
        authority: authority, connectProtocol: connectProtocol))
  }

  /// The target up to the query, not decoded.
  public var path: String {
    guard let mark = self.target.utf8.firstIndex(of: .questionMark) else { return self.target }
    return String(self.target[..<mark])
  }

  /// What stands behind the first `?` of the target, not decoded; `nil` where there is none.
  public var query: String? {
    guard let mark = self.target.utf8.firstIndex(of: .questionMark) else { return nil }
    return String(self.target[self.target.utf8.index(after: mark)...])
  }

  /// Whether the client lets the connection carry another request behind this one (RFC 9112 §9.3).
  /// One of HTTP/1.0 carries none here; one of HTTP/2 always may.
  public var keepsConnection: Bool { self.fields.keepConnection(in: self.version) }

  /// Whether a body follows the head: Transfer-Encoding, or a Content-Length other than 0
  /// (RFC 9112 §6.3). A Content-Length that cannot be read counts as a body.
  public var announcesBody: Bool {
    if self.fields.contains(.transferEncoding) { return true }
    do throws(HeadError) {
      return try (self.fields.contentLength() ?? 0) > 0
    } catch {
      return true
    }
  }
}

extension RequestHead {
  /// What the scanner found in `storage`, checked as a whole.
  init(storage: consuming [UInt8], scanner: inout HeadScanner) throws(HeadError) {
    let method = String(decoding: storage[scanner.method], as: UTF8.self)
    let target = try RequestTarget.parse(storage[scanner.target], method: method)
    let fields = Fields(storage: storage, scanned: scanner.takeEntries())
    let (authority, parts) = try Self.authority(
      fields: fields, target: target, version: scanner.version)
    try fields.checkRequestFraming(version: scanner.version)
    self.init(
      method: method, target: target.originForm, version: scanner.version, fields: fields,
      host: parts?.host ?? "", authority: authority)
  }

  /// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1, which says the same as the target does.
  private static func authority(
    fields: Fields, target: RequestTarget, version: HTTPVersion
  ) throws(HeadError) -> (String, Authority?) {
    guard fields.count(.host) <= 1 else { throw .repeatedHost }
    guard let sent = fields.first(.host).map({ fields.text($0.value) }) else {
      guard version == .http10 else { throw .missingHost }
      return (target.authorityText, target.authority)
    }
    guard let parts = Authority(parsing: sent) else { throw .malformedHost }
    guard let named = target.authority else { return (sent, parts) }
    guard named.isSame(as: parts, defaultPort: target.defaultPort) else { throw .conflictingHost }
    return (sent, parts)
  }
}

extension RequestHead: Equatable {
  /// Whether both have the same parts.
  public static func == (lhs: RequestHead, rhs: RequestHead) -> Bool {
    lhs.place.parts == rhs.place.parts
  }
}
