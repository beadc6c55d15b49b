import Net

/// Why a pattern of the configuration cannot be used: a sentence that quotes it.
public struct PatternError: Error, Hashable, Sendable, CustomStringConvertible {
  /// For example: `"*.*.example.com" is not a host pattern: …`.
  public let message: String

  /// An error with a sentence of the caller's.
  public init(message: String) { self.message = message }

  init(_ text: String, isNot kind: String, because reason: String) {
    self.message = "\"\(text)\" is not \(kind): \(reason)"
  }

  /// The sentence.
  public var description: String { self.message }
}

/// Hosts that a route answers for: one host, or `*.` and a name for everything below that name.
///
/// `*.example.com` matches `a.example.com` and `b.a.example.com`, neither `example.com` nor
/// `badexample.com`: whole labels, and at least one.
public struct HostPattern: Hashable, Sendable, CustomStringConvertible {
  private let rule: HostRule

  /// Reads a host name, an IPv4 address, an IPv6 address in brackets, or `*.` and a name.
  public init(parsing text: String) throws(PatternError) {
    do {
      self.rule = try HostRule(parsing: text)
    } catch {
      throw PatternError(text, isNot: "a host pattern", because: error.reason)
    }
  }

  /// Whether `host`, as it stands in a request head without its port, is one of them. A dot at the
  /// end, which makes a name absolute (RFC 3986 §3.2.2), changes nothing.
  public func matches(_ host: String) -> Bool {
    guard let host = Host(parsing: host.last == "." ? host.dropLast() : host[...]) else {
      return false
    }
    return self.matches(host)
  }

  func matches(_ host: Host) -> Bool { self.rule.matches(host) }

  /// The pattern as ``init(parsing:)`` reads it.
  public var description: String { self.rule.description }
}

/// A host in the one form that compares equal: lower case, addresses by value.
enum Host: Hashable, Sendable, CustomStringConvertible {
  case name(String)
  case address(IPAddress)

  /// RFC 1123 §2.1 and RFC 1035 §2.3.4, and the underscore that names in private networks use.
  static let nameByteCountMax = 253
  static let labelByteCountMax = 63

  /// Reads a name, an IPv4 address or an IPv6 address in brackets, without a port.
  init?(parsing text: Substring) {
    if text.hasPrefix("[") {
      guard text.hasSuffix("]"), text.contains(":"), let address = IPAddress(parsing: text) else {
        return nil
      }
      self = .address(address)
    } else if let address = IPAddress(parsing: text), case .v4 = address {
      self = .address(address)
    } else {
      guard Self.isName(text) else { return nil }
      self = .name(text.asciiLowercased)
    }
  }

  private static func isName(_ text: Substring) -> Bool {
    guard text.utf8.count <= Self.nameByteCountMax else { return false }
    let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    // A name whose last label is a number is an address to some readers and a name to others.
    guard let last = labels.last, !last.allSatisfy(\.isASCIIDigit) else { return false }
    return labels.allSatisfy { label in
      (1...Self.labelByteCountMax).contains(label.count) && label.allSatisfy(Self.isLabelOctet)
    }
  }

  private static func isLabelOctet(_ octet: UInt8) -> Bool {
    octet.isASCIILetter || octet.isASCIIDigit || octet == UInt8(ascii: "-")
      || octet == UInt8(ascii: "_")
  }

  var description: String {
    switch self {
    case .name(let name): name
    case .address(.v4(let address)): IPAddress.v4(address).description
    case .address(let address): "[\(address)]"
    }
  }
}

/// One host, or every host below a name. The part that host and origin patterns share.
enum HostRule: Hashable, Sendable, CustomStringConvertible {
  struct Fault: Error { let reason: String }

  case only(Host)
  /// The dot and the name below which any number of labels may stand.
  case below(suffix: String)

  init(parsing text: some StringProtocol) throws(Fault) {
    let text = Substring(text)
    guard text.hasPrefix("*.") else {
      self = .only(try Self.host(text))
      return
    }
    guard case .name(let name) = try Self.host(text.dropFirst(2)) else {
      throw Fault(reason: "an address has no names below it")
    }
    self = .below(suffix: "." + name)
  }

  private static func host(_ text: Substring) throws(Fault) -> Host {
    guard !text.isEmpty else { throw Fault(reason: "the host is missing") }
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw Fault(reason: "write an international name in its xn-- form")
    }
    guard !text.contains("*") else {
      throw Fault(reason: "\"*\" stands only for whole labels at the beginning, as \"*.\"")
    }
    if let host = Host(parsing: text) { return host }
    if !text.hasPrefix("["), text.contains(":") {
      throw Fault(reason: "a host has no port, and an IPv6 address stands in brackets")
    }
    throw Fault(reason: "neither a host name nor an address")
  }

  func matches(_ host: Host) -> Bool {
    switch self {
    case .only(let expected):
      return host == expected
    case .below(let suffix):
      guard case .name(let name) = host, name.utf8.count > suffix.utf8.count else { return false }
      return name.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }
  }

  var description: String {
    switch self {
    case .only(let host): host.description
    case .below(let suffix): "*\(suffix)"
    }
  }
}
