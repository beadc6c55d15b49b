public import Admission
import FoundationEssentials
import JWTKit
import Net

/// A key that signs tokens: a shared secret or a private key, bound to one algorithm.
public struct SigningKey: Sendable {
  /// The algorithm with which it signs.
  public let algorithm: SigningAlgorithm
  /// The key's name, written into the header.
  public let kid: String?
  let material: KeyMaterial

  /// A shared secret, its UTF-8 octets as they are, at least as long as the hash's output.
  public static func hmac(
    algorithm: SigningAlgorithm, secret: String, kid: String? = nil
  ) throws(KeyError) -> SigningKey {
    let material = try KeyMaterial.hmac(algorithm: algorithm, secret: secret)
    return SigningKey(algorithm: algorithm, kid: kid, material: material)
  }

  /// The private key in a PEM file, not encrypted.
  public static func pem(
    algorithm: SigningAlgorithm, pem: String, kid: String? = nil
  ) throws(KeyError) -> SigningKey {
    guard !algorithm.isSymmetric else {
      throw KeyError(message: "\(algorithm.rawValue) takes a shared secret, not a PEM file")
    }
    let material = try KeyMaterial.privateKey(algorithm: algorithm, pem: pem)
    return SigningKey(algorithm: algorithm, kid: kid, material: material)
  }
}

extension SigningKey: CustomStringConvertible, CustomReflectable {
  /// The algorithm.
  public var description: String { "\(self.algorithm.rawValue) signing key" }

  /// No parts: one of them is the secret.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a token of our own says.
public struct TokenContents: Sendable, Equatable {
  /// `sub`.
  public var subject: String?
  /// `iss`.
  public var issuer: String?
  /// `aud`: a text where there is one, a list where there are more.
  public var audience: [String]
  /// `iat`, in seconds since 1970.
  public var issuedAt: Int64?
  /// `nbf`, in seconds since 1970.
  public var notBefore: Int64?
  /// `exp`, in seconds since 1970.
  public var expiry: Int64?
  /// All other claims.
  public var extra: [String: ClaimValue]

  /// Contents; what is left out does not appear in the token.
  public init(
    subject: String? = nil, issuer: String? = nil, audience: [String] = [],
    issuedAt: Int64? = nil, notBefore: Int64? = nil, expiry: Int64? = nil,
    extra: [String: ClaimValue] = [:]
  ) {
    self.subject = subject
    self.issuer = issuer
    self.audience = audience
    self.issuedAt = issuedAt
    self.notBefore = notBefore
    self.expiry = expiry
    self.extra = extra
  }

  /// The claims, all in one object. An extra claim cannot stand in for a registered one.
  func claims() throws(KeyError) -> [String: ClaimValue] {
    let audience: ClaimValue? =
      switch self.audience.count {
      case 0: nil
      case 1: .text(self.audience[0])
      default: .list(self.audience.map(ClaimValue.text))
      }
    let registered: [String: ClaimValue?] = [
      "sub": self.subject.map(ClaimValue.text), "iss": self.issuer.map(ClaimValue.text),
      "aud": audience, "iat": self.issuedAt.map(ClaimValue.integer),
      "nbf": self.notBefore.map(ClaimValue.integer), "exp": self.expiry.map(ClaimValue.integer),
    ]
    if let name = self.extra.keys.sorted().first(where: { registered.keys.contains($0) }) {
      throw KeyError(message: "the claim \"\(name)\" is not an extra one")
    }
    return registered.compactMapValues { $0 }.merging(self.extra) { registered, _ in registered }
  }
}

/// Makes a signed token (RFC 7515 §5.1).
public func mint(_ contents: TokenContents, key: SigningKey) async throws(KeyError) -> String {
  var header: [String: ClaimValue] = [
    "alg": .text(key.algorithm.rawValue), "typ": .text("JWT"),
  ]
  header["kid"] = key.kid.map(ClaimValue.text)
  let signed = try encoded(header) + "." + encoded(contents.claims())
  return signed + "." + Base64URL.encode(try await key.signature(of: Array(signed.utf8)))
}

extension SigningKey {
  func signature(of octets: [UInt8]) async throws(KeyError) -> [UInt8] {
    do {
      return try await self.material.operation(self.algorithm).sign(octets)
    } catch {
      throw KeyError(message: "the key cannot sign")
    }
  }
}

private func encoded(_ claims: [String: ClaimValue]) throws(KeyError) -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  guard let json = try? encoder.encode(claims) else {
    throw KeyError(message: "a claim has a number that JSON cannot express")
  }
  return Base64URL.encode(json)
}
