import Admission
import FoundationEssentials
import Net

/// A token taken apart, nothing of it believed yet (RFC 7515 §3.1: JWS compact serialisation).
struct SignedToken {
  /// Why a text is no such token.
  struct Fault: Error, Equatable { let reason: String }

  /// The part of the header that is read (RFC 7515 §4.1).
  private struct Header: Decodable {
    let alg: String
    let kid: String?
    let crit: ClaimValue?
  }

  let algorithm: String
  let kid: String?
  /// The octets that are signed: header and payload as they were sent.
  let signedOctets: [UInt8]
  let payload: [UInt8]
  let signature: [UInt8]

  init(parsing token: String) throws(Fault) {
    let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else {
      throw Fault(reason: "The token does not have the three parts of a signed one.")
    }
    guard let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
      let signature = Base64URL.decode(parts[2])
    else { throw Fault(reason: "The token is not encoded in base64url.") }
    guard let fields = try? JSONDecoder().decode(Header.self, from: Data(header)) else {
      throw Fault(reason: "The token's header is not what a JSON Web Token has.")
    }
    // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid.
    guard fields.crit == nil else {
      throw Fault(reason: "The token relies on an extension that is not supported.")
    }
    self.algorithm = fields.alg
    self.kid = fields.kid
    self.signedOctets = Array(parts[0]) + [UInt8(ascii: ".")] + Array(parts[1])
    self.payload = payload
    self.signature = signature
  }
}
