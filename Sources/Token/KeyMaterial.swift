import JWTKit

/// A key in the form of the library that computes with it. Parsed, so that nothing about it can
/// fail when a token arrives.
enum KeyMaterial: Sendable {
  case hmac(HMACKey)
  case rsa(any RSAKey)
  case ecdsa(any ECDSAKey)
  case edDSA(any EdDSAKey)

  /// The operation of one algorithm with this key.
  ///
  /// A collection of one key is the library's only way to it. Tokens are not given to the
  /// collection: it tries its default key whatever the header's `alg` says, and reading some
  /// headers traps in it (a number too large for an integer).
  func operation(_ algorithm: SigningAlgorithm) async throws -> any JWTAlgorithm {
    let collection = JWTKeyCollection()
    switch self {
    case .hmac(let key):
      await collection.add(hmac: key, digestAlgorithm: algorithm.digest)
    case .rsa(let key) where algorithm.family == .pss:
      await collection.add(pss: key, digestAlgorithm: algorithm.digest)
    case .rsa(let key):
      await collection.add(rsa: key, digestAlgorithm: algorithm.digest)
    case .ecdsa(let key):
      await collection.add(ecdsa: key)
    case .edDSA(let key):
      await collection.add(eddsa: key)
    }
    return try await collection.getKey()
  }

  /// A shared secret of the length that the algorithm asks for.
  static func hmac(algorithm: SigningAlgorithm, secret: String) throws(KeyError) -> KeyMaterial {
    let name = algorithm.rawValue
    guard algorithm.isSymmetric else {
      throw KeyError(message: "\(name) takes \(algorithm.keyKind) in PEM form, not a secret")
    }
    // The classic confusion: a public key, which everybody has, used as a shared secret.
    guard !secret.contains("-----BEGIN ") else {
      throw KeyError(message: "the secret is a PEM file; \(name) takes a shared secret")
    }
    let count = secret.utf8.count
    let least = algorithm.digestByteCount
    guard count >= least else {
      throw KeyError(
        message: "the secret has \(count) octets; \(name) needs \(least) or more (RFC 7518 §3.2)")
    }
    return .hmac(HMACKey(from: secret))
  }
}
