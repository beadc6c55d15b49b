import Admission
import Net

/// Where a STUN or TURN server is (RFC 7064 §3.1, RFC 7065 §3.1), as browsers take it.
///
/// A browser refuses all servers that it is told of where the URL of one is wrong: what it would
/// refuse never gets so far.
struct ICEURL {
  /// What the server is asked for.
  enum Kind: String {
    /// The peer's own address.
    case stun
    /// To pass on what peers send each other.
    case turn

    /// How people write it.
    fileprivate var name: String { self.rawValue.uppercased() }
  }

  /// The URL as it was written.
  let text: String

  /// Reads `stun:host[:port]`, or `turn:host[:port]`, perhaps with `?transport=udp` or `=tcp`; with an
  /// `s` behind the scheme for TLS. The sentence of an error quotes none that carries credentials.
  init(parsing text: String, as kind: Kind) throws(ICEURLError) {
    func fault(_ reason: String) -> ICEURLError {
      ICEURLError("\"\(text)\" is not the URL of a \(kind.name) server: \(reason)")
    }
    guard !text.contains("@") else {
      throw ICEURLError("the URL carries credentials, which browsers do not take from it")
    }
    let (scheme, rest) = Self.split(text, at: ":")
    guard let rest, [kind.rawValue, kind.rawValue + "s"].contains(scheme.lowercased()) else {
      throw fault("\(kind.rawValue):host:port and \(kind.rawValue)s:host:port are")
    }
    guard !rest.hasPrefix("//") else { throw fault("the host follows the scheme without \"//\"") }
    let (place, query) = Self.split(rest, at: "?")
    if let query {
      guard kind == .turn else { throw fault("no \"?\" stands in it") }
      guard ["transport=udp", "transport=tcp"].contains(query) else {
        throw fault("behind \"?\" stands transport=udp or transport=tcp")
      }
    }
    guard Self.isPlace(place) else { throw fault("it has no valid host or port") }
    self.text = text
  }

  private static func split(
    _ text: some StringProtocol, at separator: Character
  ) -> (before: Substring, behind: Substring?) {
    let text = Substring(text)
    guard let index = text.firstIndex(of: separator) else { return (text, nil) }
    return (text[..<index], text[index...].dropFirst())
  }

  /// Whether it is a host, perhaps with a port (RFC 3986 §3.2.2).
  private static func isPlace(_ text: Substring) -> Bool {
    var host = text
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
      guard let port = UInt16(portDigits: text[colon...].dropFirst()), port > 0 else {
        return false
      }
      host = text[..<colon]
    }
    // One host, not a pattern of several.
    return !host.hasPrefix("*") && (try? HostPattern(parsing: String(host))) != nil
  }
}

/// Why a text is not an ``ICEURL``.
struct ICEURLError: Explained {
  /// One sentence.
  let message: String

  init(_ message: String) { self.message = message }
}
