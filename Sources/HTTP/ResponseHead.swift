/// The head of a response. One that came from a ``ResponseReader`` has passed all its checks.
public struct ResponseHead: Sendable, Equatable {
  /// The status, 100...599.
  public var status: Int
  /// The reason phrase, which may be empty and means nothing (RFC 9112 §4).
  public var reason: String
  /// The version.
  public var version: HTTPVersion
  /// The fields.
  public var fields: Fields

  /// A head that is made here rather than read. Without `reason` it has the phrase that is
  /// registered for the status.
  public init(
    status: Int, reason: String? = nil, version: HTTPVersion = .http11, fields: Fields = Fields()
  ) {
    self.status = status
    self.reason = reason ?? Self.registeredReason(status)
    self.version = version
    self.fields = fields
  }

  /// Whether the server lets the connection carry another response behind this one (RFC 9112 §9.3).
  /// One of HTTP/1.0 carries none here.
  public var keepsConnection: Bool { self.fields.keepConnection(in: self.version) }

  /// The reason phrase of RFC 9110 §15 for the statuses that an edge answers with, and an empty one
  /// for others.
  public static func registeredReason(_ status: Int) -> String {
    switch status {
    case 101: "Switching Protocols"
    case 200: "OK"
    case 204: "No Content"
    case 301: "Moved Permanently"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    default: Self.rarerReason(status)
    }
  }

  private static func rarerReason(_ status: Int) -> String {
    switch status {
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 421: "Misdirected Request"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}

extension ResponseHead {
  /// What the scanner found in `storage`, checked as a whole.
  init(storage: consuming [UInt8], scanner: inout HeadScanner) throws(HeadError) {
    self.status = scanner.status
    self.reason = String(decoding: storage[scanner.reason], as: UTF8.self)
    self.version = scanner.version
    self.fields = Fields(storage: storage, scanned: scanner.takeEntries())
    try self.fields.checkResponseFraming(version: self.version)
  }
}
