internal import Net

/// What of a request decides on its server where a group balances by hash.
public enum HashKey: Sendable, Equatable {
  /// The client's address, as it is worked out from trusted proxies.
  case clientAddress
  /// The value of a field of this name.
  case header(String)
  /// A cookie of this name.
  case cookie(String)
  /// A query parameter of this name.
  case query(String)
  /// A claim of the verified token.
  case claim(String)

  /// Reads `client_address`, `header:NAME`, `cookie:NAME`, `query:NAME` or `claim:NAME`.
  public init(parsing text: String) throws(HashKeyError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts.count == 2 ? String(parts[1]) : nil
    switch (parts.first, name) {
    case ("client_address", nil): self = .clientAddress
    case ("header", let name?):
      guard name.isToken else { throw HashKeyError(text, "a field's name is a token (RFC 9110)") }
      self = .header(name)
    case ("cookie", let name?):
      guard name.isToken else { throw HashKeyError(text, "a cookie's name is a token (RFC 6265)") }
      self = .cookie(name)
    case ("query", let name?):
      guard !name.isEmpty, !name.utf8.contains(where: { "&=#%+ ".utf8.contains($0) }) else {
        throw HashKeyError(
          text, "a query parameter's name is written decoded, without & = # % + or space")
      }
      self = .query(name)
    case ("claim", let name?):
      guard !name.isEmpty else { throw HashKeyError(text, "a claim has a name") }
      self = .claim(name)
    default:
      throw HashKeyError(
        text, "it is one of client_address, header:NAME, cookie:NAME, query:NAME and claim:NAME")
    }
  }
}

extension HashKey: CustomStringConvertible {
  /// The text that ``init(parsing:)`` reads.
  public var description: String {
    switch self {
    case .clientAddress: "client_address"
    case .header(let name): "header:\(name)"
    case .cookie(let name): "cookie:\(name)"
    case .query(let name): "query:\(name)"
    case .claim(let name): "claim:\(name)"
    }
  }
}

/// Why a text is not a ``HashKey``.
public struct HashKeyError: Error, Equatable, Sendable {
  /// One sentence that quotes the text.
  public let message: String

  init(_ text: String, _ reason: String) {
    self.message = "\"\(text)\" is nothing to hash: \(reason)"
  }
}

extension String {
  /// Whether the text is a token of RFC 9110 §5.6.2.
  fileprivate var isToken: Bool {
    !self.isEmpty
      && self.utf8.allSatisfy { octet in
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
      }
  }
}

/// A number for octets that is the same in every process, on every machine and in every version:
/// edges beside each other choose the same server, and a restart moves nobody.
///
/// FNV-1a of 64 bits (Fowler, Noll and Vo) and a final mix, as its high bits know little of the
/// last octets. No defence against somebody who looks for octets of one number.
public func hashKey(of octets: some Sequence<UInt8>) -> UInt64 {
  let hash = octets.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { hash, octet in
    (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01B3
  }
  return mixed(hash)
}

/// A number in which every bit depends on every bit of `number`, and no two become the same.
func mixed(_ number: UInt64) -> UInt64 {
  var mix = SplitMix(seed: number)
  return mix.next()
}
