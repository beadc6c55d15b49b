internal import Crypto
import JWTKit

/// One block of a PEM file (RFC 7468), still as text.
struct PEMBlock {
  enum Kind { case publicKey, certificate, privateKey }

  let kind: Kind
  let text: String

  /// The first block that is a key or a certificate; others, such as the EC PARAMETERS that OpenSSL
  /// writes in front of a key, are passed over.
  init(in file: String) throws(KeyError) {
    var block: [Substring] = []
    var kind: Kind?
    for line in file.split(whereSeparator: \.isNewline) {
      if line.hasPrefix("-----BEGIN ") {
        block = []
        kind = try Self.kind(label: line)
      }
      block.append(line)
      if line.hasPrefix("-----END "), let kind {
        self.kind = kind
        self.text = block.joined(separator: "\n") + "\n"
        return
      }
    }
    throw KeyError(message: "there is no key in PEM form")
  }

  private static func kind(label: Substring) throws(KeyError) -> Kind? {
    if label.contains("ENCRYPTED") {
      throw KeyError(message: "the private key is encrypted; give it without a passphrase")
    }
    if label.contains("PRIVATE KEY-----") { return .privateKey }
    if label.contains("PUBLIC KEY-----") { return .publicKey }
    return label.contains(" CERTIFICATE-----") ? .certificate : nil
  }
}

extension KeyMaterial {
  /// The public key, or that of the certificate, in a PEM file.
  static func publicKey(
    algorithm: SigningAlgorithm, pem: String
  ) throws(KeyError) -> KeyMaterial {
    let block = try PEMBlock(in: pem)
    guard block.kind != .privateKey else {
      throw KeyError(message: "this is a private key; to check tokens the public one is enough")
    }
    let isCertificate = block.kind == .certificate
    return try Self.reading(algorithm) {
      switch (algorithm, isCertificate) {
      case (.hs256, _), (.hs384, _), (.hs512, _): nil
      case (.es256, true): .ecdsa(try ES256PublicKey(certificate: block.text))
      case (.es256, false): .ecdsa(try ES256PublicKey(pem: block.text))
      case (.es384, true): .ecdsa(try ES384PublicKey(certificate: block.text))
      case (.es384, false): .ecdsa(try ES384PublicKey(pem: block.text))
      case (.es512, true): .ecdsa(try ES512PublicKey(certificate: block.text))
      case (.es512, false): .ecdsa(try ES512PublicKey(pem: block.text))
      case (.edDSA, true): nil
      case (.edDSA, false): .edDSA(try EdDSA.PublicKey(pem: block.text))
      case (_, true): .rsa(try Insecure.RSA.PublicKey(certificatePEM: block.text))
      case (_, false): .rsa(try Insecure.RSA.PublicKey(pem: block.text))
      }
    }
  }

  /// The private key in a PEM file.
  static func privateKey(
    algorithm: SigningAlgorithm, pem: String
  ) throws(KeyError) -> KeyMaterial {
    let block = try PEMBlock(in: pem)
    guard block.kind == .privateKey else {
      throw KeyError(message: "this is not a private key; only that one signs")
    }
    return try Self.reading(algorithm) {
      switch algorithm {
      case .hs256, .hs384, .hs512: nil
      case .es256: .ecdsa(try ES256PrivateKey(pem: block.text))
      case .es384: .ecdsa(try ES384PrivateKey(pem: block.text))
      case .es512: .ecdsa(try ES512PrivateKey(pem: block.text))
      case .edDSA: .edDSA(try EdDSA.PrivateKey(pem: block.text))
      default: .rsa(try Insecure.RSA.PrivateKey(pem: block.text))
      }
    }
  }

  /// Runs a reader of the library. Its errors may describe what they could not read, so that
  /// none of them is passed on.
  static func reading(
    _ algorithm: SigningAlgorithm, _ read: () throws -> KeyMaterial?
  ) throws(KeyError) -> KeyMaterial {
    guard let key = try? read() else {
      throw KeyError(
        message: "the file does not hold what \(algorithm.rawValue) takes: \(algorithm.keyKind)")
    }
    return key
  }
}
