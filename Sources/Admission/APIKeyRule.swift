import Crypto

/// How a route takes API keys. It holds digests of the keys, never the keys.
public struct APIKeyRule: Sendable {
  /// The field in which a client sends its key.
  public let header: String
  private let digests: [[UInt8]]

  /// A rule for keys sent in a field. Empty keys are left out: nothing sent is not a key.
  public init(header: String, keys: [String]) {
    self.header = header
    self.digests = keys.filter { !$0.isEmpty }.map(Self.digest)
  }

  /// Whether `key` is one of the keys.
  ///
  /// The time taken depends on how many keys there are and how long `key` is, not on how much of it
  /// is right: digests are compared, to the last octet, with every key.
  public func admits(_ key: String) -> Bool {
    let candidate = Self.digest(key)
    var matchCount = 0
    for digest in self.digests {
      var difference: UInt8 = 0
      for (ours, theirs) in zip(digest, candidate) { difference |= ours ^ theirs }
      matchCount += difference == 0 ? 1 : 0
    }
    return matchCount > 0
  }

  private static func digest(_ key: String) -> [UInt8] {
    Array(SHA256.hash(data: Array(key.utf8)))
  }
}

extension APIKeyRule: CustomStringConvertible, CustomReflectable {
  /// The field and the number of keys: the digest of a short key gives the key away.
  public var description: String { "API keys in \(self.header) (\(self.digests.count))" }

  /// No parts, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: []) }
}
