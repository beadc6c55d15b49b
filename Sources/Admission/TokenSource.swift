/// A place of a request where a token may stand.
public enum TokenSource: Sendable, Hashable, CustomStringConvertible {
  /// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
  case authorization
  /// The member behind `bearer` in Sec-WebSocket-Protocol, for browsers, which cannot set
  /// Authorization on a WebSocket.
  case subprotocol
  /// A cookie of this name (RFC 6265 §5.4).
  case cookie(String)
  /// A query parameter of this name (RFC 6750 §2.3).
  case query(String)

  /// Reads `authorization`, `subprotocol`, `cookie:NAME` or `query:NAME`.
  public init(parsing text: String) throws(PatternError) {
    func fault(_ reason: String) -> PatternError {
      PatternError(text, isNot: "a token source", because: reason)
    }
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts.count == 2 ? String(parts[1]) : nil
    switch (parts.first, name) {
    case ("authorization", nil): self = .authorization
    case ("subprotocol", nil): self = .subprotocol
    case ("cookie", let name?):
      guard name.isToken else { throw fault("the name of a cookie is a token (RFC 6265)") }
      self = .cookie(name)
    case ("query", let name?):
      guard !name.isEmpty, !name.utf8.contains(where: { "&=#%+ ".utf8.contains($0) }) else {
        throw fault("the name of a query parameter is written decoded, without & = # % + or space")
      }
      self = .query(name)
    default:
      throw fault("it is one of authorization, subprotocol, cookie:NAME and query:NAME")
    }
  }

  /// The text that ``init(parsing:)`` reads.
  public var description: String {
    switch self {
    case .authorization: "authorization"
    case .subprotocol: "subprotocol"
    case .cookie(let name): "cookie:\(name)"
    case .query(let name): "query:\(name)"
    }
  }
}
