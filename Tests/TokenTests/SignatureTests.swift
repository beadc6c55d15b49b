import Admission
import Crypto
import Net
import Testing

@testable import Token

@Suite("Signatures")
struct SignatureTests {
  static let contents = TokenContents(subject: "ann", expiry: testTime + 60)

  @Test("a token of each algorithm is taken with its key", arguments: SigningAlgorithm.allCases)
  func roundTrip(algorithm: SigningAlgorithm) async throws {
    let pair = try KeyPair(algorithm)
    let token = try await mint(Self.contents, key: pair.signing)
    let verdict = await verifier([pair.verifying]).verify(token)
    guard case .valid(let claims) = verdict else {
      Issue.record("\(verdict)")
      return
    }
    #expect(claims.subject == "ann")
    #expect(claims.expiry == testTime + 90)
  }

  @Test("and not with another key of its kind", arguments: SigningAlgorithm.allCases)
  func strangers(algorithm: SigningAlgorithm) async throws {
    let pair = try KeyPair(algorithm)
    guard let stranger = pair.stranger else { return }
    let token = try await mint(Self.contents, key: pair.signing)
    let alone = await verifier([stranger]).verify(token)
    #expect(alone == .invalid(reason: "The token's signature is not valid."))
    let together = await verifier([stranger, pair.verifying]).verify(token)
    #expect(Kind(together) == .valid)
  }

  @Test("nor with a key of another algorithm", arguments: SigningAlgorithm.allCases)
  func otherAlgorithms(algorithm: SigningAlgorithm) async throws {
    let pair = try KeyPair(algorithm)
    let token = try await mint(Self.contents, key: pair.signing)
    let others = try SigningAlgorithm.allCases.filter { $0 != algorithm }
      .map { try KeyPair($0).verifying }
    let verdict = await verifier(others).verify(token)
    let reason = "The token's signature algorithm is not one that is accepted here."
    #expect(verdict == .invalid(reason: reason))
  }

  @Test("a token with one octet changed is not taken", arguments: SigningAlgorithm.allCases)
  func tampered(algorithm: SigningAlgorithm) async throws {
    let pair = try KeyPair(algorithm)
    let verifier = verifier([pair.verifying])
    let token = Array(try await mint(Self.contents, key: pair.signing).utf8)
    for place in stride(from: 0, to: token.count, by: 7) {
      var changed = token
      changed[place] = changed[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      let verdict = await verifier.verify(String(decoding: changed, as: UTF8.self))
      #expect(Kind(verdict) == .invalid, "octet \(place)")
    }
  }

  @Test("a token cut anywhere is not taken")
  func cut() async throws {
    let pair = try KeyPair(.hs256)
    let verifier = verifier([pair.verifying])
    let token = try await mint(Self.contents, key: pair.signing)
    for count in 0..<token.count {
      #expect(Kind(await verifier.verify(String(token.prefix(count)))) == .invalid, "\(count)")
      #expect(Kind(await verifier.verify(String(token.suffix(count)))) == .invalid, "-\(count)")
    }
  }

  @Test(
    "no signature is not a signature",
    arguments: [
      "none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "HS999", "ES256K", "RSA-OAEP",
    ])
  func unsecured(alg: String) async throws {
    let pairs = try SigningAlgorithm.allCases.map { try KeyPair($0) }
    let verifier = verifier(pairs.map(\.verifying), expiry: .optional)
    let signed =
      Base64URL.encode("{\"alg\":\"\(alg)\"}".utf8) + "." + Base64URL.encode("{}".utf8) + "."
    #expect(Kind(await verifier.verify(signed)) == .invalid)
    #expect(Kind(await verifier.verify(signed + "AA")) == .invalid)
    let right = try await forged(
      header: "{\"alg\":\"\(alg)\"}", payload: "{}", key: try KeyPair(.hs256).signing)
    #expect(Kind(await verifier.verify(right)) == .invalid)
  }

  @Test(
    "a public key is no shared secret: the token that an attacker signs with it is not taken",
    arguments: ["HS256", "RS256"], ["as OpenSSL writes it", "without the last line's end"])
  func confusion(alg: String, file: String) async throws {
    let pem = try KeyFile.rsaPublic.pem.utf8
    let octets = file == "as OpenSSL writes it" ? pem[...] : pem.dropLast()
    // What everybody who has the public key can make.
    let signed =
      Base64URL.encode("{\"alg\":\"\(alg)\"}".utf8) + "."
      + Base64URL.encode("{\"exp\":\(testTime + 60)}".utf8)
    let code = HMAC<SHA256>.authenticationCode(
      for: Array(signed.utf8), using: SymmetricKey(data: Array(octets)))
    let token = signed + "." + Base64URL.encode(code)
    let keys = [try KeyPair(.rs256).verifying, try KeyPair(.hs256).verifying]
    #expect(Kind(await verifier([keys[0]]).verify(token)) == .invalid)
    #expect(Kind(await verifier(keys).verify(token)) == .invalid)
  }

  @Test(
    "the name of a key selects where both sides have one",
    arguments: [
      (nil, nil, Kind.valid), ("a", nil, .valid), (nil, "a", .valid), ("a", "a", .valid),
      ("a", "b", .invalid),
    ] as [(String?, String?, Kind)])
  func names(ofToken: String?, ofKey: String?, kind: Kind) async throws {
    let signing = try KeyPair(.hs256, kid: ofToken).signing
    let key = try KeyPair(.hs256, kid: ofKey).verifying
    let token = try await mint(Self.contents, key: signing)
    #expect(Kind(await verifier([key]).verify(token)) == kind)
  }

  @Test("no keys at all take nothing")
  func noKeys() async throws {
    let token = try await mint(Self.contents, key: try KeyPair(.hs256).signing)
    #expect(Kind(await verifier([]).verify(token)) == .invalid)
  }

  @Test("the examples of RFC 7515, appendices A.2 and A.3")
  func rfc7515() async throws {
    let payload = """
      eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl\
      fQ
      """
    let rs256 = """
      eyJhbGciOiJSUzI1NiJ9.\(payload).cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZ\
      mh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWz\
      O75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6B\
      fI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77\
      Rw
      """
    let es256 = """
      eyJhbGciOiJFUzI1NiJ9.\(payload).DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8IS\
      lSApmWQxfKTUJqPP3-Kg6NU1Q
      """
    let keys = try VerificationKey.jwks(
      json: #"""
        {"keys":[
        {"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-\#
        Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OM\#
        g0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Z\#
        wKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
        {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}
        """#)
    let verifier = JWTVerifier(keys: keys, issuer: "joe", now: { 1_300_819_379 })
    for token in [rs256, es256] {
      let verdict = await verifier.verify(token)
      guard case .valid(let claims) = verdict else {
        Issue.record("\(verdict)")
        continue
      }
      #expect(claims.expiry == 1_300_819_410)
      #expect(claims.text("http://example.com/is_root") == "true")
    }
  }
}
