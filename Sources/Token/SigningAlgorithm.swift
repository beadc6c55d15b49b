import JWTKit

/// The signature algorithms that are taken (RFC 7518 §3.1, RFC 8037 §3.1). There is no `none`.
public enum SigningAlgorithm: String, Sendable, Hashable, CaseIterable {
  /// HMAC with SHA-256.
  case hs256 = "HS256"
  /// HMAC with SHA-384.
  case hs384 = "HS384"
  /// HMAC with SHA-512.
  case hs512 = "HS512"
  /// RSASSA-PKCS1-v1_5 with SHA-256.
  case rs256 = "RS256"
  /// RSASSA-PKCS1-v1_5 with SHA-384.
  case rs384 = "RS384"
  /// RSASSA-PKCS1-v1_5 with SHA-512.
  case rs512 = "RS512"
  /// RSASSA-PSS with SHA-256.
  case ps256 = "PS256"
  /// RSASSA-PSS with SHA-384.
  case ps384 = "PS384"
  /// RSASSA-PSS with SHA-512.
  case ps512 = "PS512"
  /// ECDSA on P-256 with SHA-256.
  case es256 = "ES256"
  /// ECDSA on P-384 with SHA-384.
  case es384 = "ES384"
  /// ECDSA on P-521 with SHA-512.
  case es512 = "ES512"
  /// Ed25519.
  case edDSA = "EdDSA"

  /// Reads the name that stands in a token's header.
  public init(parsing text: String) throws(KeyError) {
    guard let algorithm = Self(rawValue: text) else {
      let names = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw KeyError(message: "\"\(text)\" is not a signature algorithm; there are \(names)")
    }
    self = algorithm
  }

  enum Family: Sendable { case hmac, rsa, pss, ecdsa, edDSA }

  var family: Family {
    switch self {
    case .hs256, .hs384, .hs512: .hmac
    case .rs256, .rs384, .rs512: .rsa
    case .ps256, .ps384, .ps512: .pss
    case .es256, .es384, .es512: .ecdsa
    case .edDSA: .edDSA
    }
  }

  /// Whether one secret both signs and verifies.
  public var isSymmetric: Bool { self.family == .hmac }

  /// The octets of the hash's output, and so the least of a shared secret (RFC 7518 §3.2).
  var digestByteCount: Int {
    switch self {
    case .hs256, .rs256, .ps256, .es256: 32
    case .hs384, .rs384, .ps384, .es384: 48
    case .hs512, .rs512, .ps512, .es512, .edDSA: 64
    }
  }

  var digest: DigestAlgorithm {
    switch self.digestByteCount {
    case 32: .sha256
    case 48: .sha384
    default: .sha512
    }
  }

  /// What a PEM file for it holds, for messages.
  var keyKind: String {
    switch self {
    case .hs256, .hs384, .hs512: "a shared secret"
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: "an RSA key of at least 2048 bits"
    case .es256: "an EC key on P-256"
    case .es384: "an EC key on P-384"
    case .es512: "an EC key on P-521"
    case .edDSA: "an Ed25519 key"
    }
  }
}
