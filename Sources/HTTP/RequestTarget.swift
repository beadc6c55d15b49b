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
    let octets = text.utf8.span
    let end = Self.endOfHost(octets)
    guard end <= Self.hostByteCountMax,
      let host = Self.host(octets.extracting(0..<end), in: text),
      let port = Self.port(octets.extracting(end..<octets.count))
    else { return nil }
    self.host = host
    self.port = port
  }

  /// Where the colon before a port stands, or the end: behind the bracket of an IPv6 address.
  private static func endOfHost(_ octets: Span<UInt8>) -> Int {
    let isBracketed = octets.first == .leftBracket
    for index in octets.indices where octets[index] == (isBracketed ? .rightBracket : .colon) {
      return isBracketed ? index + 1 : index
    }
    return octets.count
  }

  /// Whether both name the same place, where `defaultPort` counts without a port.
  func isSame(as other: Authority, defaultPort: UInt16) -> Bool {
    self.host == other.host && self.port ?? defaultPort == other.port ?? defaultPort
  }

  /// What stands behind the host: nothing, a colon, or a colon and a number (RFC 3986 §3.2.3).
  private static func port(_ octets: Span<UInt8>) -> UInt16?? {
    guard let first = octets.first else { return .some(nil) }
    guard first == .colon, octets.count <= 6 else { return nil }
    guard octets.count > 1 else { return .some(nil) }
    var number = 0
    for index in 1..<octets.count {
      guard octets[index].isDigit else { return nil }
      number = number * 10 + Int(octets[index] - 0x30)
    }
    return UInt16(exactly: number).map { .some($0) }
  }

  /// - Parameter octets: the first of `text`.
  private static func host(_ octets: Span<UInt8>, in text: String) -> String? {
    if octets.first == .leftBracket {
      return Self.bracketed(Self.prefix(octets.count, of: text))
    }
    return Self.endOfName(octets).map { Self.prefix($0, of: text) }
  }

  /// Most hosts are all of the text, in lower case.
  private static func prefix(_ count: Int, of text: String) -> String {
    let prefix =
      count == text.utf8.count ? text : String(decoding: text.utf8.prefix(count), as: UTF8.self)
    return prefix.utf8.span.hasCapital ? prefix.asciiLowercased() : prefix
  }

  /// An IPv6 address without a zone, which has a meaning on one machine only (RFC 6874 §1).
  private static func bracketed(_ text: String) -> String? {
    // By octets: a character may be a bracket with what combines with it.
    let inner = Substring(text.utf8.dropFirst().dropLast())
    guard text.utf8.last == .rightBracket, inner.utf8.contains(.colon),
      inner.utf8.allSatisfy({ $0.hexadecimalValue != nil || $0 == .colon || $0 == .dot }),
      IPAddress(parsing: inner) != nil
    else { return nil }
    return text
  }

  /// Labels of letters, digits, `-`, `_` and `~` with single dots between them, and perhaps one behind
  /// them, before which the name ends.
  private static func endOfName(_ octets: Span<UInt8>) -> Int? {
    var previous = UInt8.dot
    for index in octets.indices {
      let octet = octets[index]
      switch octet {
      case .dot where previous == .dot: return nil
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, .dot, .underscore, 0x7E: previous = octet
      default: return nil
      }
    }
    guard !octets.isEmpty, octets.count > 1 || previous != .dot else { return nil }
    return previous == .dot ? octets.count - 1 : octets.count
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
    return try Self.parse(absoluteForm: text, method: method)
  }

  /// RFC 9112 §3.2.2. A path that is left out is `/` (RFC 9110 §4.2.3), or, where a server is asked for
  /// its options, no path at all (RFC 9112 §3.2.4).
  private static func parse(
    absoluteForm text: String, method: String
  ) throws(HeadError) -> RequestTarget {
    guard let colon = text.utf8.firstIndex(of: .colon), text[colon...].hasPrefix("://"),
      let defaultPort = Self.defaultPort(ofScheme: text[..<colon].lowercased())
    else { throw .malformedTarget }
    let rest = text[text.utf8.index(colon, offsetBy: 3)...]
    let end = rest.utf8.firstIndex { $0 == 0x2F || $0 == .questionMark } ?? rest.endIndex
    let authorityText = String(rest[..<end])
    guard let authority = Authority(parsing: authorityText) else { throw .malformedHost }
    return RequestTarget(
      originForm: Self.originForm(rest[end...], method: method), authority: authority,
      authorityText: authorityText, defaultPort: defaultPort)
  }

  private static func originForm(_ path: Substring, method: String) -> String {
    if path.isEmpty, method == "OPTIONS" { return "*" }
    return path.utf8.first == 0x2F ? String(path) : "/" + path
  }

  private static func defaultPort(ofScheme scheme: String) -> UInt16? {
    switch scheme {
    case "http", "ws": 80
    case "https", "wss": 443
    default: nil
    }
  }
}
