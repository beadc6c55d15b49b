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
public struct RequestHead: Sendable, Equatable {
  /// The method, in the case in which it was sent: methods are case-sensitive (RFC 9110 §9.1).
  public var method: String
  /// The target in origin-form, path and query, as it was sent or as it was cut out of the
  /// absolute-form; or `*`.
  public var target: String
  /// The version.
  public var version: HTTPVersion
  /// The fields, Host among them.
  public var fields: Fields
  /// The host that is asked for: lower case, without port and without the dot of a complete domain
  /// name, an IPv6 address in its brackets. Empty where HTTP/1.0 named none.
  public var host: String
  /// The host with its port as it was sent. Empty where HTTP/1.0 named none.
  public var authority: String
  /// What an extended CONNECT of HTTP/2 asks for in `:protocol` (RFC 8441 §4); `nil` for every other
  /// request.
  public var connectProtocol: String?

  /// A head that is made here rather than read: the host is taken from `fields`, and is empty if
  /// there is none or a malformed one.
  public init(
    method: String, target: String, version: HTTPVersion = .http11, fields: Fields = Fields()
  ) {
    self.method = method
    self.target = target
    self.version = version
    self.fields = fields
    self.authority = fields.first("host") ?? ""
    self.host = Authority(parsing: self.authority)?.host ?? ""
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
  init(storage: [UInt8], scanner: HeadScanner) throws(HeadError) {
    self.method = String(decoding: storage[scanner.method], as: UTF8.self)
    self.version = scanner.version
    let fields = Fields(storage: storage, scanned: scanner.entries)
    let target = try RequestTarget.parse(storage[scanner.target], method: self.method)
    let (authority, parts) = try Self.authority(
      fields: fields, target: target, version: scanner.version)
    try fields.checkRequestFraming(version: scanner.version)
    self.fields = fields
    self.target = target.originForm
    self.authority = authority
    self.host = parts?.host ?? ""
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

  /// What has been checked.
  init(
    method: String, target: String, version: HTTPVersion, fields: Fields, host: String,
    authority: String, connectProtocol: String? = nil
  ) {
    self.method = method
    self.target = target
    self.version = version
    self.fields = fields
    self.host = host
    self.authority = authority
    self.connectProtocol = connectProtocol
  }
}
