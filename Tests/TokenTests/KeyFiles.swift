import Foundation
import Testing

/// Files of keys as OpenSSL writes them, made anew whenever the tests run: a private key has no
/// place in a repository, not even one that protects nothing.
enum KeyFile: String, Sendable, CustomTestStringConvertible {
  case rsaPrivate, rsaPublic, rsaPublicPKCS1, rsaCertificate
  case otherRSAPublic
  /// Of 1024 bits.
  case shortRSAPublic
  case p256Private, p256PrivateSEC1, p256PrivateEncrypted, p256Public, p256Certificate
  case otherP256Public
  case p384Private, p384Public
  case p521Private, p521Public
  case ed25519Private, ed25519Public, ed25519Certificate

  var testDescription: String { self.rawValue }

  /// The file in PEM form.
  var pem: String {
    get throws { try Self.all.get()[self] ?? "" }
  }

  private static let all = Result { try Self.make() }
}

// MARK: - Making them

extension KeyFile {
  private static func make() throws -> [KeyFile: String] {
    var files = try Self.rsaFiles()
    files.merge(try Self.p256Files()) { file, _ in file }
    files[.p384Private] = try Self.ellipticPrivate("P-384")
    files[.p521Private] = try Self.ellipticPrivate("P-521")
    let ed25519 = try openssl("genpkey", "-algorithm", "ED25519")
    files[.ed25519Private] = ed25519
    files[.ed25519Certificate] = try Self.certificate(ed25519)
    for (secret, open) in [
      (KeyFile.p384Private, KeyFile.p384Public), (.p521Private, .p521Public),
      (.ed25519Private, .ed25519Public),
    ] {
      files[open] = try files[secret].map(Self.publicHalf)
    }
    return files
  }

  private static func rsaFiles() throws -> [KeyFile: String] {
    let secret = try Self.rsaPrivate(bitCount: 2048)
    let open = try Self.publicHalf(secret)
    return [
      .rsaPrivate: secret, .rsaPublic: open,
      .rsaPublicPKCS1: try openssl("rsa", "-pubin", "-RSAPublicKey_out", input: open),
      .rsaCertificate: try Self.certificate(secret),
      .otherRSAPublic: try Self.publicHalf(Self.rsaPrivate(bitCount: 2048)),
      .shortRSAPublic: try Self.publicHalf(Self.rsaPrivate(bitCount: 1024)),
    ]
  }

  private static func p256Files() throws -> [KeyFile: String] {
    // The old form, with the block EC PARAMETERS in front of the key (SEC 1, RFC 5915).
    let old = try openssl("ecparam", "-name", "prime256v1", "-genkey")
    let secret = try openssl("pkey", input: old)
    return [
      .p256Private: secret, .p256PrivateSEC1: old,
      .p256PrivateEncrypted: try openssl("pkcs8", "-topk8", "-passout", "pass:x", input: secret),
      .p256Public: try Self.publicHalf(secret), .p256Certificate: try Self.certificate(secret),
      .otherP256Public: try Self.publicHalf(Self.ellipticPrivate("P-256")),
    ]
  }

  private static func rsaPrivate(bitCount: Int) throws -> String {
    try openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:\(bitCount)")
  }

  private static func ellipticPrivate(_ curve: String) throws -> String {
    try openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:\(curve)")
  }

  private static func publicHalf(_ secret: String) throws -> String {
    try openssl("pkey", "-pubout", input: secret)
  }

  private static func certificate(_ secret: String) throws -> String {
    try openssl("req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=test", input: secret)
  }
}

// MARK: - As JSON Web Keys

extension KeyFile {
  /// The members of the JSON Web Key for a public key (RFC 7518 §6, RFC 8037 §2). Its numbers are
  /// the last octets of the DER form; only an RSA key has something behind them, the exponent 65537
  /// with its tag and its length.
  var members: String {
    get throws {
      let der = try self.publicDER
      return switch self {
      case .rsaPublic: Self.rsaMembers(der.dropLast(5).suffix(256))
      case .shortRSAPublic: Self.rsaMembers(der.dropLast(5).suffix(128))
      case .p256Public: Self.ellipticMembers("P-256", der.suffix(2 * 32))
      case .p384Public: Self.ellipticMembers("P-384", der.suffix(2 * 48))
      case .p521Public: Self.ellipticMembers("P-521", der.suffix(2 * 66))
      case .ed25519Public:
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\(Self.base64URL(der.suffix(32)))\""
      default: throw KeyFault(description: "\(self) is no public key with a JSON Web Key")
      }
    }
  }

  private var publicDER: Data {
    get throws {
      let lines = try self.pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }
      guard let der = Data(base64Encoded: lines.joined()) else {
        throw KeyFault(description: "\(self) is not PEM")
      }
      return der
    }
  }

  private static func rsaMembers(_ modulus: Data) -> String {
    "\"kty\":\"RSA\",\"n\":\"\(Self.base64URL(modulus))\",\"e\":\"AQAB\""
  }

  private static func ellipticMembers(_ curve: String, _ point: Data) -> String {
    let x = Self.base64URL(point.prefix(point.count / 2))
    let y = Self.base64URL(point.suffix(point.count / 2))
    return "\"kty\":\"EC\",\"crv\":\"\(curve)\",\"x\":\"\(x)\",\"y\":\"\(y)\""
  }

  private static func base64URL(_ octets: Data) -> String {
    octets.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
      .replacing("=", with: "")
  }
}

// MARK: - OpenSSL

/// Why there are no keys to test with.
struct KeyFault: Error, CustomStringConvertible {
  let description: String
}

/// What `openssl` writes, given `input`. Keys pass through pipes and never lie on a disk.
private func openssl(_ arguments: String..., input: String = "") throws -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["openssl"] + arguments
  let (given, made) = (Pipe(), Pipe())
  process.standardInput = given
  process.standardOutput = made
  process.standardError = FileHandle.nullDevice
  // A pipe holds more than a key has: this waits for nobody, and no reader can be gone already.
  try given.fileHandleForWriting.write(contentsOf: Data(input.utf8))
  try given.fileHandleForWriting.close()
  try process.run()
  let octets = try made.fileHandleForReading.readToEnd() ?? Data()
  process.waitUntilExit()
  guard process.terminationStatus == 0, !octets.isEmpty else {
    throw KeyFault(description: "openssl \(arguments.joined(separator: " ")) failed")
  }
  return String(decoding: octets, as: UTF8.self)
}
