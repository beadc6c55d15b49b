/// Which origins may open a WebSocket.
public enum OriginRule: Sendable, Hashable {
  /// Every origin, also one that does not parse.
  case any
  /// Those that one of the patterns matches.
  case listed([OriginPattern])

  /// Whether the value of an Origin field is admitted.
  func admits(_ value: String) -> Bool {
    switch self {
    case .any: true
    case .listed(let patterns):
      patterns.contains { $0.matches(value) }
    }
  }
}

/// Origins that may open a WebSocket: `https://example.com`, `https://*.example.com`, or `null`.
///
/// Scheme, host and port are compared after the case and the scheme's own port are normalised
/// (RFC 6454 §4 and §5), never as raw text.
public struct OriginPattern: Hashable, Sendable, CustomStringConvertible {
  private enum Kind: Hashable {
    case null
    case tuple(scheme: String, host: HostRule, port: UInt16?)
  }

  private let kind: Kind

  /// Reads a scheme, a host and perhaps a port; the host may begin with `*.`.
  public init(parsing text: String) throws(PatternError) {
    if text == "null" {
      self.kind = .null
      return
    }
    do {
      let parts = try OriginParts(text[...])
      self.kind = .tuple(
        scheme: parts.scheme, host: try HostRule(parsing: parts.host), port: parts.port)
    } catch {
      throw PatternError(text, isNot: "an origin", because: error.reason)
    }
  }

  /// Whether the value of an Origin field (RFC 6454 §7) names an origin of the pattern. A value
  /// that is not one serialised origin never does.
  public func matches(_ value: String) -> Bool {
    switch self.kind {
    case .null:
      return value[...].hasOctets(of: "null")
    case .tuple(let scheme, let rule, let port):
      guard let parts = try? OriginParts(value[...]), let host = Host(parsing: parts.host) else {
        return false
      }
      return parts.scheme == scheme && parts.port == port && rule.matches(host)
    }
  }

  /// The pattern as ``init(parsing:)`` reads it, normalised.
  public var description: String {
    switch self.kind {
    case .null: "null"
    case .tuple(let scheme, let host, let port):
      "\(scheme)://\(host)" + (port == OriginParts.defaultPort(of: scheme) ? "" : ":\(port ?? 0)")
    }
  }
}

/// A serialised origin taken apart: `scheme "://" host [":" port]`, nothing before or behind it.
private struct OriginParts {
  let scheme: String
  let host: Substring
  /// The scheme's own port where none is written; `nil` for a scheme that has none.
  let port: UInt16?

  init(_ text: Substring) throws(HostRule.Fault) {
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw .init(reason: "write an international name in its xn-- form")
    }
    guard let end = text.firstIndex(of: ":"), text[end...].hasPrefix("://") else {
      throw .init(reason: "it begins with a scheme, as https://")
    }
    let scheme = text[..<end]
    // RFC 3986 §3.1.
    guard let first = scheme.utf8.first, first.isASCIILetter,
      scheme.utf8.allSatisfy({ $0.isASCIILetter || $0.isASCIIDigit || "+-.".utf8.contains($0) })
    else { throw .init(reason: "the scheme is not one") }
    let authority = text[end...].dropFirst("://".count)
    guard !authority.utf8.contains(where: { "/?#@".utf8.contains($0) }) else {
      throw .init(reason: "behind the host there is at most a port: no path, not even a \"/\"")
    }
    self.scheme = scheme.asciiLowercased
    (self.host, self.port) = try Self.split(authority, scheme: self.scheme)
  }

  private static func split(
    _ authority: Substring, scheme: String
  ) throws(HostRule.Fault) -> (Substring, UInt16?) {
    // The colons inside the brackets of an IPv6 address separate no port.
    let colon = authority.lastIndex(of: ":")
    guard let colon, !authority[colon...].contains("]") else {
      return (authority, Self.defaultPort(of: scheme))
    }
    let digits = authority[colon...].dropFirst()
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy(\.isASCIIDigit),
      let port = UInt16(digits), port > 0
    else { throw .init(reason: "the port is not a number from 1 to 65535") }
    return (authority[..<colon], port)
  }

  static func defaultPort(of scheme: String) -> UInt16? {
    switch scheme {
    case "http", "ws": 80
    case "https", "wss": 443
    default: nil
    }
  }
}
