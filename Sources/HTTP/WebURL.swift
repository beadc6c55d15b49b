/// Where something lies that is fetched over HTTP: an absolute URL with the scheme `https` or `http`
/// (RFC 9110 §4.2), without user information and without a fragment.
public struct WebURL: Hashable, Sendable {
  /// How the server is spoken to.
  public enum Scheme: String, Sendable {
    /// Under TLS.
    case https
    /// Plain: for services on the same machine or in a private network.
    case http
  }

  /// How the server is spoken to.
  public let scheme: Scheme
  /// The whole URL as it was written.
  public let text: String

  /// The longest URL that is taken, in octets.
  public static let byteCountMax = 2048

  /// Reads a URL. The sentence of an error quotes none that carries credentials.
  public init(parsing text: String) throws(WebURLError) {
    guard let (scheme, rest) = Self.splitScheme(text) else {
      throw WebURLError("\"\(text)\" is no URL of the schemes https and http")
    }
    let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
    guard !rest[..<end].contains("@") else {
      throw WebURLError("the URL carries credentials, which would show in logs")
    }
    // RFC 3986 §2: everything else stands percent-encoded. An octet that ends a line never passes.
    guard text.utf8.count <= Self.byteCountMax, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else {
      throw WebURLError(
        "\"\(text)\" is no URL: that is plain ASCII without spaces, at most \(Self.byteCountMax) octets"
      )
    }
    guard !text.contains("#") else {
      throw WebURLError("\"\(text)\" has a fragment, which no server gets to see")
    }
    guard Authority(parsing: String(rest[..<end])).map({ $0.port != 0 }) == true else {
      throw WebURLError("\"\(text)\" has no valid host or port")
    }
    self.scheme = scheme
    self.text = text
  }

  private static func splitScheme(_ text: String) -> (Scheme, Substring)? {
    guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://"),
      let scheme = Scheme(rawValue: text[..<colon].lowercased())
    else { return nil }
    return (scheme, text[colon...].dropFirst(3))
  }
}

extension WebURL {
  /// Whether a client that asked here may follow a redirect to `other`: never out of TLS, where anybody
  /// on the way could answer in the server's place.
  public func mayRedirect(to other: WebURL) -> Bool {
    self.scheme == .http || other.scheme == .https
  }
}

extension WebURL: CustomStringConvertible {
  /// The URL for records: without its query, which may hold a secret.
  public var description: String {
    self.text.firstIndex(of: "?").map { String(self.text[..<$0]) } ?? self.text
  }
}

/// Why a text is not a ``WebURL``.
public struct WebURLError: Error, Hashable, Sendable {
  /// One sentence.
  public let message: String

  init(_ message: String) { self.message = message }
}
