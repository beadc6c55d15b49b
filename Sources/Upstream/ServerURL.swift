public import Net

/// Where one server of a group listens, and whether it speaks TLS.
public struct ServerURL: Hashable, Sendable {
  /// Plain WebSocket (`ws`, `http`) or WebSocket over TLS (`wss`, `https`).
  public enum Scheme: Hashable, Sendable {
    case ws
    case wss
  }

  /// What stands where the URL's authority is.
  public enum Target: Hashable, Sendable {
    /// A name that the resolver turns into addresses, and again when their lifetime ends.
    case name(String, port: UInt16)
    /// An address that needs no resolver.
    case address(SocketAddress)
  }

  /// Whether the server speaks TLS.
  public let scheme: Scheme
  /// Where it listens.
  public let target: Target

  /// Reads `ws://host[:port]`, `wss://…`, `http://…`, `https://…` or `unix:/path`. A path other
  /// than `/` is refused: what reaches the server is decided by the route's `rewrite`.
  public init(parsing text: String) throws(ServerURLError) {
    if text.hasPrefix("unix:") {
      guard let address = SocketAddress(parsing: text) else {
        throw ServerURLError("\"\(text)\" names no usable socket path")
      }
      self.scheme = .ws
      self.target = .address(address)
      return
    }
    guard let (scheme, rest) = Self.splitScheme(text) else {
      throw ServerURLError(
        "\"\(text)\" is not a server: ws://host:port, wss://host:port or unix:/path is")
    }
    self.scheme = scheme
    self.target = try Self.parseAuthority(rest, of: text, scheme: scheme)
  }

  private static func splitScheme(_ text: String) -> (Scheme, Substring)? {
    let lowercased = text.lowercased()
    let table: [(String, Scheme)] = [
      ("ws://", .ws), ("wss://", .wss), ("http://", .ws), ("https://", .wss),
    ]
    for (prefix, scheme) in table where lowercased.hasPrefix(prefix) {
      return (scheme, text.dropFirst(prefix.count))
    }
    return nil
  }

  private static func parseAuthority(
    _ rest: Substring, of text: String, scheme: Scheme
  ) throws(ServerURLError) -> Target {
    var authority = rest
    if let slash = authority.firstIndex(where: { "/?#".contains($0) }) {
      guard authority[slash...] == "/" else {
        throw ServerURLError("\"\(text)\" has a path: use the route's rewrite instead")
      }
      authority = authority[..<slash]
    }
    guard !authority.contains("@") else {
      throw ServerURLError("\"\(text)\" carries credentials, which are not sent to servers")
    }
    var host = authority
    var port: UInt16 = scheme == .ws ? 80 : 443
    if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
      guard let number = UInt16(portDigits: authority[authority.index(after: colon)...]), number > 0
      else {
        throw ServerURLError("\"\(text)\" has no valid port")
      }
      host = authority[..<colon]
      port = number
    }
    if let address = IPAddress(parsing: host), !host.contains(":") || host.hasPrefix("[") {
      return .address(.ip(address, port: port))
    }
    guard Self.isHostName(host) else { throw ServerURLError("\"\(text)\" has no valid host") }
    return .name(host.lowercased(), port: port)
  }

  /// RFC 1123 §2.1, with the underscore that container names use. A last label of digits alone is
  /// no name: the C library would take `10.1` and `010.0.0.1` for addresses of its own reading.
  private static func isHostName(_ text: Substring) -> Bool {
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...253).contains(text.utf8.count), let last = labels.last,
      !last.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return false }
    return labels.allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.utf8.allSatisfy { octet in
          (0x30...0x39).contains(octet) || (0x41...0x5A).contains(octet)
            || (0x61...0x7A).contains(octet) || octet == 0x2D || octet == 0x5F
        }
    }
  }
}

extension ServerURL: CustomStringConvertible {
  /// The URL as it stands in records and errors.
  public var description: String {
    let prefix = self.scheme == .ws ? "ws" : "wss"
    switch self.target {
    case .name(let name, let port): return "\(prefix)://\(name):\(port)"
    case .address(.unix(let path)): return "unix:\(path)"
    case .address(let address): return "\(prefix)://\(address)"
    }
  }
}

/// Why a text is not a ``ServerURL``.
public struct ServerURLError: Error, Equatable, Sendable {
  /// One sentence that quotes the text.
  public let message: String

  init(_ message: String) { self.message = message }
}
