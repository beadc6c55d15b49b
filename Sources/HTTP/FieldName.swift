/// The names of fields that this module has rules for. Which of them a field has is found once, when the
/// field is stored: every later question compares one octet.
enum FieldName: UInt8, CaseIterable, Sendable {
  /// Any name that no rule speaks of.
  case other

  // What belongs to one connection (RFC 9110 §7.6.1); `close` is an option of `Connection`, and kept free
  // of fields for that reason (RFC 9112 §9.6)
  case connection, close, keepAlive, proxyConnection, proxyAuthenticate, proxyAuthorization
  case te, trailer, transferEncoding, upgrade, http2Settings

  // Who asked, and by which way
  case host, origin, forwarded, realAddress, requestID
  case forwardedFor, forwardedProto, forwardedHost
  /// Any other name that begins with `X-Forwarded-`.
  case otherForwarded

  // The handshake of RFC 6455 §11.3
  case webSocketKey, webSocketVersion, webSocketProtocol, webSocketExtensions, webSocketAccept
  /// Any other name that begins with `Sec-WebSocket-`.
  case otherWebSocket

  // The content
  case contentLength, contentType, contentEncoding, contentRange

  // What counts only where it stands before the content (RFC 9110 §6.5.1)
  case authorization, wwwAuthenticate, cookie, setCookie, via, maxForwards, location
  case cacheControl, expect, range, pragma, age, date, expires, retryAfter, vary
  /// Any name that begins with `If-`.
  case precondition
}

// MARK: - Spelling

extension FieldName {
  /// The name in its usual case, as it is written here: some servers compare it octet for octet. Of the
  /// cases that stand for many names, their common beginning.
  var spelling: StaticString {
    switch self {
    case .other: ""
    case .connection: "Connection"
    case .close: "Close"
    case .keepAlive: "Keep-Alive"
    case .proxyConnection: "Proxy-Connection"
    case .proxyAuthenticate: "Proxy-Authenticate"
    case .proxyAuthorization: "Proxy-Authorization"
    case .te: "TE"
    case .trailer: "Trailer"
    case .transferEncoding: "Transfer-Encoding"
    case .upgrade: "Upgrade"
    case .http2Settings: "HTTP2-Settings"
    case .host: "Host"
    case .origin: "Origin"
    case .forwarded: "Forwarded"
    case .realAddress: "X-Real-IP"
    case .requestID: "X-Request-Id"
    case .forwardedFor: "X-Forwarded-For"
    case .forwardedProto: "X-Forwarded-Proto"
    case .forwardedHost: "X-Forwarded-Host"
    case .otherForwarded: "X-Forwarded-"
    case .webSocketKey: "Sec-WebSocket-Key"
    case .webSocketVersion: "Sec-WebSocket-Version"
    case .webSocketProtocol: "Sec-WebSocket-Protocol"
    case .webSocketExtensions: "Sec-WebSocket-Extensions"
    case .webSocketAccept: "Sec-WebSocket-Accept"
    case .otherWebSocket: "Sec-WebSocket-"
    default: self.contentSpelling
    }
  }

  private var contentSpelling: StaticString {
    switch self {
    case .contentLength: "Content-Length"
    case .contentType: "Content-Type"
    case .contentEncoding: "Content-Encoding"
    case .contentRange: "Content-Range"
    case .authorization: "Authorization"
    case .wwwAuthenticate: "WWW-Authenticate"
    case .cookie: "Cookie"
    case .setCookie: "Set-Cookie"
    case .via: "Via"
    case .maxForwards: "Max-Forwards"
    case .location: "Location"
    case .cacheControl: "Cache-Control"
    case .expect: "Expect"
    case .range: "Range"
    case .pragma: "Pragma"
    case .age: "Age"
    case .date: "Date"
    case .expires: "Expires"
    case .retryAfter: "Retry-After"
    case .vary: "Vary"
    case .precondition: "If-"
    default: ""
    }
  }

  /// The name that `octets` are to a reader that takes `_` and `-` for the same, as everything that
  /// hands fields on as environment variables does (RFC 3875 §4.1.18).
  init(like octets: Span<UInt8>) {
    let candidate = Self.candidate(octets)
    let spelling = candidate.spelling.octets
    let isCandidate = octets.count == spelling.count && octets.begins(like: spelling)
    self = isCandidate ? candidate : Self.beginning(octets)
  }

  /// The name that `octets` are, octet for octet but for the case of ASCII letters: with `_` it is none
  /// that has a rule.
  init(_ octets: Span<UInt8>) { self = FieldName(like: octets).unlessUnderscored(octets) }

  /// This name, unless `octets`, which are like it, have a `_` in them.
  func unlessUnderscored(_ octets: Span<UInt8>) -> FieldName {
    self != .other && octets.contains(.underscore) ? .other : self
  }

  /// One of the names with a common beginning, or any other.
  private static func beginning(_ octets: Span<UInt8>) -> FieldName {
    guard let first = octets.first else { return .other }
    let name: FieldName =
      switch first.lowercased {
      case UInt8(ascii: "x"): .otherForwarded
      case UInt8(ascii: "s"): .otherWebSocket
      case UInt8(ascii: "i"): .precondition
      default: .other
      }
    return octets.begins(like: name.spelling.octets) ? name : .other
  }

  /// The only name that `octets` can be, by how many they are and how they begin.
  private static func candidate(_ octets: Span<UInt8>) -> FieldName {
    guard let octet = octets.first else { return .other }
    let first = Unicode.Scalar(octet.lowercased)
    return switch octets.count {
    case 2: .te
    case 3: first == "a" ? .age : .via
    case 4: first == "h" ? .host : first == "d" ? .date : .vary
    case 5: first == "c" ? .close : .range
    case 6: first == "c" ? .cookie : first == "o" ? .origin : first == "p" ? .pragma : .expect
    case 7: first == "e" ? .expires : first == "u" ? .upgrade : .trailer
    case 8: .location
    case 9: first == "x" ? .realAddress : .forwarded
    case 10: first == "c" ? .connection : first == "k" ? .keepAlive : .setCookie
    case 11: .retryAfter
    case 12: first == "x" ? .requestID : first == "m" ? .maxForwards : .contentType
    default: Self.candidate(octets, first)
    }
  }

  private static func candidate(_ octets: Span<UInt8>, _ first: Unicode.Scalar) -> FieldName {
    switch octets.count {
    case 13 where first == "a": .authorization
    case 13: octets[1].lowercased == UInt8(ascii: "o") ? .contentRange : .cacheControl
    case 14: first == "h" ? .http2Settings : .contentLength
    case 15: .forwardedFor
    case 16 where first == "x": .forwardedHost
    case 16: first == "c" ? .contentEncoding : first == "p" ? .proxyConnection : .wwwAuthenticate
    case 17: first == "x" ? .forwardedProto : first == "s" ? .webSocketKey : .transferEncoding
    case 18: .proxyAuthenticate
    case 19: .proxyAuthorization
    case 20: .webSocketAccept
    case 21: .webSocketVersion
    case 22: .webSocketProtocol
    case 24: .webSocketExtensions
    default: .other
    }
  }
}

extension Span<UInt8> {
  /// Whether the first octets spell `beginning`, where neither the case of ASCII letters counts nor
  /// whether `_` or `-` stands there.
  func begins(like beginning: Span<UInt8>) -> Bool {
    guard self.count >= beginning.count else { return false }
    var index = 0
    while index < beginning.count {
      // Most names are spelled in the usual way: eight octets at a time.
      if beginning.count >= 8 {
        let place = min(index, beginning.count &- 8)
        if self.word(at: place) == beginning.word(at: place) {
          index = place &+ 8
          continue
        }
      }
      guard self[index].folded == beginning[index].folded else { return false }
      index &+= 1
    }
    return true
  }
}

extension UInt8 {
  fileprivate var folded: UInt8 { self == .underscore ? 0x2D : self.lowercased }
}

// MARK: - Rules

extension FieldName {
  /// Whether fields of this name belong to one connection and not to the message (RFC 9110 §7.6.1).
  var isHopByHop: Bool {
    switch self {
    case .connection, .close, .keepAlive, .proxyConnection, .proxyAuthenticate,
      .proxyAuthorization, .te, .trailer, .transferEncoding, .upgrade, .http2Settings:
      true
    default: false
    }
  }

  /// Whether a `Connection` list cannot take the field away. Such fields say who sent a message and from
  /// where: a client that could remove one behind our checks would choose what the server believes.
  var isLasting: Bool {
    switch self {
    case .host, .origin, .forwarded, .realAddress, .requestID, .contentLength, .setCookie: true
    default: self.isForwarded || self.isWebSocket
    }
  }

  /// Whether the name begins with `X-Forwarded-`.
  var isForwarded: Bool {
    switch self {
    case .forwardedFor, .forwardedProto, .forwardedHost, .otherForwarded: true
    default: false
    }
  }

  /// Whether the name begins with `Sec-WebSocket-`.
  var isWebSocket: Bool {
    switch self {
    case .webSocketKey, .webSocketVersion, .webSocketProtocol, .webSocketExtensions,
      .webSocketAccept, .otherWebSocket:
      true
    default: false
    }
  }

  /// Whether the field may stand behind the content. RFC 9110 §6.5.1 leaves out what frames the message,
  /// leads it somewhere, says who sends it, or how its content is to be read: all that has a rule here.
  var mayTrail: Bool { self == .other }
}
