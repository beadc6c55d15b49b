/// A key that tells authentic tokens from others, bound to one algorithm: what a token's header says
/// never chooses how a key is used (RFC 8725 §3.1).
public struct VerificationKey: Sendable {
  /// The only algorithm with which the key verifies.
  public let algorithm: SigningAlgorithm
  /// The key's name (RFC 7517 §4.5), if it has one.
  public let kid: String?
  let material: KeyMaterial

  /// A shared secret, its UTF-8 octets as they are, at least as long as the hash's output.
  public static func hmac(
    algorithm: SigningAlgorithm, secret: String, kid: String? = nil
  ) throws(KeyError) -> VerificationKey {
    let material = try KeyMaterial.hmac(algorithm: algorithm, secret: secret)
    return VerificationKey(algorithm: algorithm, kid: kid, material: material)
  }

  /// The public key in a PEM file, or that of a certificate, of whose names and dates nothing is
  /// asked.
  public static func pem(
    algorithm: SigningAlgorithm, pem: String, kid: String? = nil
  ) throws(KeyError) -> VerificationKey {
    guard !algorithm.isSymmetric else {
      throw KeyError(message: "\(algorithm.rawValue) takes a shared secret, not a PEM file")
    }
    let material = try KeyMaterial.publicKey(algorithm: algorithm, pem: pem)
    return VerificationKey(algorithm: algorithm, kid: kid, material: material)
  }

  /// The usable keys of a JSON Web Key Set (RFC 7517 §5). ``KeySet`` tells also which are not.
  public static func jwks(json: String) throws(KeyError) -> [VerificationKey] {
    try KeySet(json: json).keys
  }
}

extension VerificationKey: CustomStringConvertible, CustomReflectable {
  /// The algorithm and the name.
  public var description: String {
    self.kid.map { "\(self.algorithm.rawValue) key \"\($0)\"" }
      ?? "\(self.algorithm.rawValue) key"
  }

  /// No parts: one of them is the secret.
  public var customMirror: Mirror { Mirror(self, children: []) }
}
