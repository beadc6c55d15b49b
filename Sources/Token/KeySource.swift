import Synchronization

/// Where a verifier has its keys from.
enum KeySource: Sendable {
  case fixed(FixedKeys)
  case remote(RemoteKeySet)

  /// The keys of which one may have signed a token that names `kid`; `nil` where that cannot be known
  /// for now.
  func keys(for kid: String?) async -> [ReadyKey]? {
    switch self {
    case .fixed(let keys): try? await keys.prepared()
    case .remote(let keySet): await keySet.keys(for: kid)
    }
  }

  /// The keys that were given.
  var fixedKeys: [VerificationKey] {
    if case .fixed(let fixed) = self { fixed.keys } else { [] }
  }
}

/// Keys that never change.
final class FixedKeys: Sendable {
  let keys: [VerificationKey]
  /// Made from `keys` by the first token: the library makes them asynchronously.
  private let ready = Mutex<[ReadyKey]?>(nil)

  init(_ keys: [VerificationKey]) { self.keys = keys }

  /// Two first tokens at once may both make them: they come out the same.
  func prepared() async throws -> [ReadyKey] {
    if let ready = self.ready.withLock({ $0 }) { return ready }
    let ready = try await ReadyKey.prepare(self.keys)
    self.ready.withLock { $0 = ready }
    return ready
  }
}
