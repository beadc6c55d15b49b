import Admission
import Net
import Testing

@testable import Token

/// Secrets long enough for each HMAC.
enum Secrets {
  static let right = String(repeating: "correct horse ", count: 6)
  static let wrong = String(repeating: "battery staple ", count: 6)
}

/// The time at which all tests are run, in seconds since 1970.
let testTime: Int64 = 1_800_000_000

/// A verifier whose clock stands at ``testTime``.
func verifier(
  _ keys: [VerificationKey], issuer: String? = nil, audience: String? = nil,
  leeway: Duration = .seconds(30), expiry: ExpiryRule = .required
) -> JWTVerifier {
  JWTVerifier(
    keys: keys, issuer: issuer, audience: audience, leeway: leeway, expiry: expiry,
    now: { testTime })
}

/// A token of exactly this header and payload, signed whatever they say.
func forged(header: String, payload: String, key: SigningKey) async throws -> String {
  let signed = Base64URL.encode(header.utf8) + "." + Base64URL.encode(payload.utf8)
  return signed + "." + Base64URL.encode(try await key.signature(of: Array(signed.utf8)))
}

/// What a verdict is, without its reason.
enum Kind: Equatable {
  case valid, invalid, notPermitted, unavailable

  init(_ verdict: Verdict) {
    self =
      switch verdict {
      case .valid: .valid
      case .invalid: .invalid
      case .notPermitted: .notPermitted
      case .unavailable: .unavailable
      }
  }
}

extension Verdict {
  var reason: String? {
    switch self {
    case .valid: nil
    case .invalid(let reason), .notPermitted(let reason), .unavailable(let reason): reason
    }
  }
}

/// One algorithm with both of its keys, and a key of the same kind that did not sign.
struct KeyPair: Sendable, CustomTestStringConvertible {
  let algorithm: SigningAlgorithm
  let signing: SigningKey
  let verifying: VerificationKey
  let stranger: VerificationKey?

  var testDescription: String { self.algorithm.rawValue }

  init(_ algorithm: SigningAlgorithm, kid: String? = nil) throws {
    self.algorithm = algorithm
    guard !algorithm.isSymmetric else {
      self.signing = try .hmac(algorithm: algorithm, secret: Secrets.right, kid: kid)
      self.verifying = try .hmac(algorithm: algorithm, secret: Secrets.right, kid: kid)
      self.stranger = try .hmac(algorithm: algorithm, secret: Secrets.wrong, kid: kid)
      return
    }
    let files = Self.files(algorithm)
    self.signing = try .pem(algorithm: algorithm, pem: files.secret.pem, kid: kid)
    self.verifying = try .pem(algorithm: algorithm, pem: files.open.pem, kid: kid)
    self.stranger = try files.stranger.map { file in
      try .pem(algorithm: algorithm, pem: file.pem, kid: kid)
    }
  }

  static func files(
    _ algorithm: SigningAlgorithm
  ) -> (secret: KeyFile, open: KeyFile, stranger: KeyFile?) {
    switch algorithm {
    case .es256: (.p256Private, .p256Public, .otherP256Public)
    case .es384: (.p384Private, .p384Public, nil)
    case .es512: (.p521Private, .p521Public, nil)
    case .edDSA: (.ed25519Private, .ed25519Public, nil)
    default: (.rsaPrivate, .rsaPublic, .otherRSAPublic)
    }
  }
}
