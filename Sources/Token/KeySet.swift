import Admission
internal import Crypto
import FoundationEssentials
import JWTKit

/// A JSON Web Key Set (RFC 7517 §5), read into keys.
///
/// Keys that cannot be used are passed over, as §5 asks: identity providers publish keys for
/// encryption and for algorithms to come beside those for signatures. A set without any usable key
/// is an error.
public struct KeySet: Sendable {
  /// A key that was passed over.
  public struct Skipped: Sendable, Hashable {
    /// Its place in the set, from 0.
    public let index: Int
    /// Its name, if it has one.
    public let kid: String?
    /// Why.
    public let reason: String
  }

  /// The longest set that is read, in octets.
  public static let byteCountMax = 1 << 20
  /// The most keys of a set.
  public static let keyCountMax = 100

  /// The usable keys. One that names no algorithm stands here once for each that it may be used
  /// with.
  public let keys: [VerificationKey]
  /// The others.
  public let skipped: [Skipped]

  /// Reads a set.
  public init(json: String) throws(KeyError) {
    var keys: [VerificationKey] = []
    var skipped: [Skipped] = []
    for (index, value) in try Self.members(json).enumerated() {
      let key = JSONWebKey(value)
      do {
        keys += try key.verificationKeys()
      } catch {
        skipped.append(Skipped(index: index, kid: key.text("kid"), reason: error.message))
      }
    }
    guard !keys.isEmpty else {
      let reasons = skipped.map { "keys[\($0.index)]: \($0.reason)" }.joined(separator: "; ")
      throw KeyError(
        message: "the key set has no usable key" + (reasons.isEmpty ? "" : " (\(reasons))"))
    }
    self.keys = keys
    self.skipped = skipped
  }

  private static func members(_ json: String) throws(KeyError) -> [ClaimValue] {
    guard json.utf8.count <= Self.byteCountMax else {
      throw KeyError(message: "the key set is longer than \(Self.byteCountMax) octets")
    }
    guard let set = try? JSONDecoder().decode([String: ClaimValue].self, from: Data(json.utf8)),
      case .list(let members)? = set["keys"]
    else { throw KeyError(message: "a key set is a JSON object with a list \"keys\"") }
    guard members.count <= Self.keyCountMax else {
      throw KeyError(message: "the key set has more than \(Self.keyCountMax) keys")
    }
    return members
  }
}

/// One member of a set (RFC 7517 §4).
private struct JSONWebKey {
  private let members: [String: ClaimValue]

  init(_ value: ClaimValue) {
    self.members = if case .object(let members) = value { members } else { [:] }
  }

  func text(_ name: String) -> String? {
    if case .text(let text)? = self.members[name] { text } else { nil }
  }

  func verificationKeys() throws(KeyError) -> [VerificationKey] {
    try self.checkUse()
    switch self.text("kty") {
    case "RSA": return try self.rsaKeys()
    case "EC": return [try self.ecKey()]
    case "OKP": return [try self.edKey()]
    case "oct":
      throw KeyError(message: "a key set may be public: a shared secret has no place in it")
    case nil: throw KeyError(message: "it has no kty")
    default: throw KeyError(message: "its kty is not RSA, EC or OKP")
    }
  }

  /// RFC 7517 §4.2 and §4.3.
  private func checkUse() throws(KeyError) {
    if let use = self.members["use"], use != .text("sig") {
      throw KeyError(message: "its use is not \"sig\"")
    }
    if let operations = self.members["key_ops"] {
      guard case .list(let list) = operations, list.contains(.text("verify")) else {
        throw KeyError(message: "its key_ops lack \"verify\"")
      }
    }
    guard self.members["d"] == nil else {
      throw KeyError(message: "it is a private key, which has no place in a key set")
    }
  }

  /// RFC 7518 §6.3.1. Without `alg`, as some providers publish them, a key is taken for every RSA
  /// algorithm: the header can choose among these, and among nothing else.
  private func rsaKeys() throws(KeyError) -> [VerificationKey] {
    let all: [SigningAlgorithm] = [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]
    let algorithms = try self.algorithms(among: all)
    let modulus = try self.coordinate("n")
    let exponent = try self.coordinate("e")
    guard let key = try? Insecure.RSA.PublicKey(modulus: modulus, exponent: exponent) else {
      throw KeyError(message: "it is not an RSA key of at least 2048 bits")
    }
    return algorithms.map { self.key($0, .rsa(key)) }
  }

  /// RFC 7518 §6.2.1.
  private func ecKey() throws(KeyError) -> VerificationKey {
    let point = (x: try self.coordinate("x"), y: try self.coordinate("y"))
    let algorithm: SigningAlgorithm
    let key: (any ECDSAKey)?
    switch self.text("crv") {
    case "P-256": (algorithm, key) = (.es256, try? ES256PublicKey(parameters: point))
    case "P-384": (algorithm, key) = (.es384, try? ES384PublicKey(parameters: point))
    case "P-521": (algorithm, key) = (.es512, try? ES512PublicKey(parameters: point))
    default: throw KeyError(message: "its crv is not P-256, P-384 or P-521")
    }
    _ = try self.algorithms(among: [algorithm])
    guard let key else { throw KeyError(message: "its x and y are not a point of its curve") }
    return self.key(algorithm, .ecdsa(key))
  }

  /// RFC 8037 §2.
  private func edKey() throws(KeyError) -> VerificationKey {
    guard self.text("crv") == "Ed25519" else { throw KeyError(message: "its crv is not Ed25519") }
    // RFC 9864 gives the algorithm its curve's name.
    if self.text("alg") != "Ed25519" { _ = try self.algorithms(among: [.edDSA]) }
    guard let key = try? EdDSA.PublicKey(x: try self.coordinate("x"), curve: .ed25519) else {
      throw KeyError(message: "its x is not an Ed25519 key")
    }
    return self.key(.edDSA, .edDSA(key))
  }

  private func key(_ algorithm: SigningAlgorithm, _ material: KeyMaterial) -> VerificationKey {
    VerificationKey(algorithm: algorithm, kid: self.text("kid"), material: material)
  }

  private func coordinate(_ name: String) throws(KeyError) -> String {
    guard let text = self.text(name), !text.isEmpty else {
      throw KeyError(message: "its \(name) is missing")
    }
    return text
  }

  private func algorithms(
    among candidates: [SigningAlgorithm]
  ) throws(KeyError) -> [SigningAlgorithm] {
    guard let value = self.members["alg"] else { return candidates }
    guard let algorithm = candidates.first(where: { value == .text($0.rawValue) }) else {
      throw KeyError(message: "its alg does not go with its kty, or is not supported")
    }
    return [algorithm]
  }
}
