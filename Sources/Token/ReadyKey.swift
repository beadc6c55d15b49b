import JWTKit

/// A key, ready for use.
struct ReadyKey: Sendable {
  let key: VerificationKey
  let operation: any JWTAlgorithm

  /// The library makes the operations asynchronously.
  static func prepare(_ keys: [VerificationKey]) async throws -> [ReadyKey] {
    var ready: [ReadyKey] = []
    for key in keys {
      ready.append(ReadyKey(key: key, operation: try await key.material.operation(key.algorithm)))
    }
    return ready
  }
}

extension [ReadyKey] {
  /// Whether one of the keys may be the one that a token asks for: it has this name, or one of the
  /// two has none.
  func mayHold(kid: String?) -> Bool {
    guard let kid else { return true }
    return self.contains { $0.key.kid == nil || $0.key.kid == kid }
  }
}
