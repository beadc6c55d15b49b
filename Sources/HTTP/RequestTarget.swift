import Net

/// `host [":" port]` (RFC 9110 §7.2), checked.
struct Authority: Equatable {
  /// Lower case, without the last dot of a complete domain name; IPv6 in its brackets.
  let host: String
  let port: UInt16?

  /// The longest name the DNS has, with a dot behind it.
  static let hostByteCountMax = 254

  /// `nil` for an empty host, for user information, for a port that is none, and for a character
  /// that no host name has. RFC 3986 §3.2.2 allows more in a registered name (`%`, `,`, `;` and
  /// others); no name in use has any of it, and what readers disagree about is refused.
  init?(parsing text: String) {
    var host = text.utf8[...]
    var port = text.utf8[text.utf8.endIndex...]
    if host.first == 0x5B {
      guard let bracket = host.lastIndex(of: 0x5D) else { return nil }
      port = host[host.index(after: bracket)...]
      host = host[...bracket]
    } else if let colon = host.firstIndex(of: .colon) {
      port = host[colon...]
      host = host[..<colon]
    }
    guard let name = Self.host(host) else { return nil }
    self.host = name
    switch Self.port(port) {
    case .none: return nil
    case .some(let port): self.port = port
    }
  }

  /// Whether both name the same place, where `defaultPort` counts without a port.
  func isSame(as other: Authority, defaultPort: UInt16) -> Bool {
    self.host == other.host && self.port ?? defaultPort == other.port ?? defaultPort
  }

  /// What stands behind the host: nothing, a colon, or a colon and a number (RFC 3986 §3.2.3).
  private static func port(_ text: Substring.UTF8View) -> UInt16?? {
    guard let first = text.first else { return .some(nil) }
    guard first == .colon else { return nil }
    let digits = text.dropFirst()
    guard !digits.isEmpty else { return .some(nil) }
    guard digits.count <= 5, digits.allSatisfy(\.isDigit) else { return nil }
    guard let port = UInt16(Substring(digits)) else { return nil }
    return .some(port)
  }

  private static func host(_ text: Substring.UTF8View) -> String? {
    guard text.count <= Self.hostByteCountMax else { return nil }
    let lowered = String(decoding: text.lazy.map(\.lowercased), as: UTF8.self)
    return text.first == 0x5B ? Self.bracketed(lowered) : Self.registeredName(lowered)
  }

  /// An IPv6 address without a zone, which has a meaning on one machine only (RFC 6874 §1).
  private static func bracketed(_ text: String) -> String? {
    let inner = text.dropFirst().dropLast()
    guard inner.utf8.contains(.colon),
      inner.utf8.allSatisfy({ $0.hexadecimalValue != nil || $0 == .colon || $0 == 0x2E }),
      IPAddress(parsing: inner) != nil
    else { return nil }
    return text
  }

  /// Labels of letters, digits, `-`, `_` and `~` with single dots between them.
  private static func registeredName(_ text: String) -> String? {
    let name = text.utf8.last == 0x2E ? String(text.dropLast()) : text
    var previous: UInt8 = 0x2E
    for octet in name.utf8 {
      switch octet {
      case 0x2E where previous == 0x2E: return nil
      case 0x30...0x39, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: previous = octet
      default: return nil
      }
    }
    return previous == 0x2E ? nil : name
  }
}

/// A request target in one of the forms of RFC 9112 §3.2 that an edge answers, brought to the
/// origin-form.
struct RequestTarget {
  let originForm: String
  /// What the absolute-form named, `nil` for the other forms.
  let authority: Authority?
  let authorityText: String
  let defaultPort: UInt16

  /// - Parameter octets: not empty; the scanner has checked each of them.
  static func parse(
    _ octets: ArraySlice<UInt8>, method: String
  ) throws(HeadError) -> RequestTarget {
    // RFC 9112 §3.2.3: its form is another one. A server that took any other for a tunnel would answer
    // without saying where the answer ends.
    guard method != "CONNECT" else { throw .malformedTarget }
    let text = String(decoding: octets, as: UTF8.self)
    guard octets.first != 0x2F, text != "*" || method != "OPTIONS" else {
      return RequestTarget(
        originForm: text, authority: nil, authorityText: "", defaultPort: 80)
    }
    return try Self.parse(absoluteForm: text)
  }

  /// RFC 9112 §3.2.2. A path that is left out is `/` (RFC 9110 §4.2.3).
  private static func parse(absoluteForm text: String) throws(HeadError) -> RequestTarget {
    guard let colon = text.utf8.firstIndex(of: .colon), text[colon...].hasPrefix("://"),
      let defaultPort = Self.defaultPort(ofScheme: text[..<colon].lowercased())
    else { throw .malformedTarget }
    let rest = text[text.utf8.index(colon, offsetBy: 3)...]
    let end = rest.utf8.firstIndex { $0 == 0x2F || $0 == .questionMark } ?? rest.endIndex
    let authorityText = String(rest[..<end])
    guard let authority = Authority(parsing: authorityText) else { throw .malformedHost }
    let path = rest[end...]
    return RequestTarget(
      originForm: path.utf8.first == 0x2F ? String(path) : "/" + path,
      authority: authority, authorityText: authorityText, defaultPort: defaultPort)
  }

  private static func defaultPort(ofScheme scheme: String) -> UInt16? {
    switch scheme {
    case "http", "ws": 80
    case "https", "wss": 443
    default: nil
    }
  }
}
