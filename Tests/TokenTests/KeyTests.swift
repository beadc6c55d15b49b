import Admission
import Net
import Testing

@testable import Token

@Suite("Keys")
struct KeyTests {
  static let contents = TokenContents(expiry: testTime + 60)

  @Test(
    "secrets have a least length",
    arguments: [(SigningAlgorithm.hs256, 32), (.hs384, 48), (.hs512, 64)])
  func secrets(algorithm: SigningAlgorithm, least: Int) throws {
    _ = try VerificationKey.hmac(algorithm: algorithm, secret: String(repeating: "s", count: least))
    _ = try SigningKey.hmac(algorithm: algorithm, secret: String(repeating: "s", count: least))
    for count in [0, 1, least - 1] {
      let secret = String(repeating: "s", count: count)
      let error = #expect(throws: KeyError.self) {
        try VerificationKey.hmac(algorithm: algorithm, secret: secret)
      }
      #expect(error?.message.contains("needs \(least) or more") == true)
      #expect(throws: KeyError.self) { try SigningKey.hmac(algorithm: algorithm, secret: secret) }
    }
  }

  @Test("a PEM file is no secret, and a secret no PEM file", arguments: SigningAlgorithm.allCases)
  func mixedUp(algorithm: SigningAlgorithm) throws {
    let pem = try KeyFile.rsaPublic.pem
    #expect(throws: KeyError.self) {
      try VerificationKey.hmac(algorithm: algorithm, secret: pem)
    }
    #expect(throws: KeyError.self) {
      try VerificationKey.pem(algorithm: algorithm, pem: Secrets.right)
    }
    if algorithm.isSymmetric {
      #expect(throws: KeyError.self) {
        try VerificationKey.pem(algorithm: algorithm, pem: pem)
      }
    } else {
      #expect(throws: KeyError.self) {
        try VerificationKey.hmac(algorithm: algorithm, secret: Secrets.right)
      }
    }
  }

  @Test(
    "the forms in which files hold keys",
    arguments: [
      (SigningAlgorithm.rs256, KeyFile.rsaPrivate, KeyFile.rsaPublicPKCS1),
      (.rs256, .rsaPrivate, .rsaCertificate), (.ps512, .rsaPrivate, .rsaCertificate),
      (.es256, .p256Private, .p256Certificate), (.es256, .p256PrivateSEC1, .p256Public),
    ])
  func forms(algorithm: SigningAlgorithm, secret: KeyFile, open: KeyFile) async throws {
    let signing = try SigningKey.pem(algorithm: algorithm, pem: secret.pem)
    let token = try await mint(Self.contents, key: signing)
    let pem = try open.pem
    let lines = pem.split(separator: "\n")
    for text in [
      pem, lines.joined(separator: "\n"), lines.joined(separator: "\r\n"),
      "a comment\n" + pem + "\ntrailing\n",
    ] {
      let key = try VerificationKey.pem(algorithm: algorithm, pem: text)
      #expect(Kind(await verifier([key]).verify(token)) == .valid)
    }
  }

  @Test(
    "files that do not hold what the algorithm takes",
    arguments: [
      (SigningAlgorithm.rs256, KeyFile.p256Public, "RSA key of at least 2048 bits"),
      (.rs256, .shortRSAPublic, "RSA key of at least 2048 bits"),
      (.ps256, .ed25519Public, "RSA key"), (.es256, .p384Public, "P-256"),
      (.es384, .p256Public, "P-384"), (.es512, .rsaPublic, "P-521"),
      (.edDSA, .p256Public, "Ed25519"), (.edDSA, .ed25519Certificate, "Ed25519"),
      (.rs256, .rsaPrivate, "private key"), (.es256, .p256Private, "private key"),
      (.edDSA, .ed25519Private, "private key"), (.es256, .p256PrivateSEC1, "private key"),
      (.es256, .p256PrivateEncrypted, "encrypted"),
    ])
  func wrongFiles(algorithm: SigningAlgorithm, file: KeyFile, part: String) throws {
    let pem = try file.pem
    let error = #expect(throws: KeyError.self) {
      try VerificationKey.pem(algorithm: algorithm, pem: pem)
    }
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    // No line of the file is repeated in what is said about it.
    let lines = pem.split(separator: "\n")
    #expect(!lines.contains { error?.message.contains($0) == true })
  }

  @Test(
    "texts that are no files of keys",
    arguments: [
      ("", "no key"), ("-----BEGIN PUBLIC KEY-----", "no key"),
      ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "P-256"),
      ("-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----", "P-256"),
    ])
  func wrongTexts(pem: String, part: String) {
    let error = #expect(throws: KeyError.self) {
      try VerificationKey.pem(algorithm: .es256, pem: pem)
    }
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  @Test(
    "only a private key signs",
    arguments: [
      KeyFile.p256Public, .p256Certificate, .p256PrivateEncrypted, .rsaPrivate,
    ])
  func wrongSigners(file: KeyFile) throws {
    let pem = try file.pem
    #expect(throws: KeyError.self) { try SigningKey.pem(algorithm: .es256, pem: pem) }
  }

  @Test("the names of algorithms")
  func algorithms() throws {
    for algorithm in SigningAlgorithm.allCases {
      #expect(try SigningAlgorithm(parsing: algorithm.rawValue) == algorithm)
    }
    for text in ["none", "", "hs256", "HS256 ", "ES256K"] {
      #expect(throws: KeyError.self) { try SigningAlgorithm(parsing: text) }
    }
  }

  @Test("no secret shows when a key is printed or dumped")
  func silence() throws {
    let secret = String(repeating: "hunter2 ", count: 8)
    let verifying = try VerificationKey.hmac(algorithm: .hs256, secret: secret, kid: "k1")
    let signing = try SigningKey.hmac(algorithm: .hs256, secret: secret)
    let verifier = verifier([verifying])
    var dumped = ""
    dump((verifying, signing, verifier), to: &dumped)
    for text in [
      "\(verifying)", "\(signing)", String(reflecting: verifying), "\(verifier)", dumped,
    ] {
      #expect(!text.contains("hunter2"))
    }
    #expect("\(verifying)" == "HS256 key \"k1\"")
    let short = #expect(throws: KeyError.self) {
      try VerificationKey.hmac(algorithm: .hs256, secret: "hunter2")
    }
    #expect(short?.message.contains("hunter2") == false)
  }
}

@Suite("Key sets")
struct KeySetTests {
  static func set(_ members: String...) -> String {
    "{\"keys\":[" + members.map { "{\($0)}" }.joined(separator: ",") + "]}"
  }

  @Test(
    "a key of each kind verifies what its private half signed",
    arguments: [
      (SigningAlgorithm.rs256, KeyFile.rsaPublic), (.rs384, .rsaPublic), (.rs512, .rsaPublic),
      (.ps256, .rsaPublic), (.ps384, .rsaPublic), (.ps512, .rsaPublic),
      (.es256, .p256Public), (.es384, .p384Public), (.es512, .p521Public),
      (.edDSA, .ed25519Public),
    ])
  func kinds(algorithm: SigningAlgorithm, file: KeyFile) async throws {
    let members = try file.members
    let signing = try KeyPair(algorithm, kid: "k").signing
    let token = try await mint(TokenContents(expiry: testTime + 60), key: signing)
    for extra in ["", ",\"kid\":\"k\",\"use\":\"sig\"", ",\"alg\":\"\(algorithm.rawValue)\""] {
      let keys = try VerificationKey.jwks(json: Self.set(members + extra))
      #expect(Kind(await verifier(keys).verify(token)) == .valid)
    }
    let named = try VerificationKey.jwks(json: Self.set(members + ",\"kid\":\"other\""))
    #expect(Kind(await verifier(named).verify(token)) == .invalid)
  }

  @Test("an RSA key that names no algorithm counts for each, one that does for that one alone")
  func algorithms() throws {
    let all = try KeySet(json: Self.set(KeyFile.rsaPublic.members)).keys.map(\.algorithm)
    #expect(all == [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512])
    let one = try KeySet(json: Self.set(KeyFile.rsaPublic.members + ",\"alg\":\"PS256\"")).keys
    #expect(one.map(\.algorithm) == [.ps256])
    let ed = try KeySet(json: Self.set(KeyFile.ed25519Public.members + ",\"alg\":\"Ed25519\"")).keys
    #expect(ed.map(\.algorithm) == [.edDSA])
  }

  static let unusable: [(file: KeyFile?, rest: String, part: String)] = [
    (nil, "", "it has no kty"),
    (nil, "\"kty\":1", "it has no kty"),
    (nil, "\"kty\":\"AKP\"", "its kty is not RSA, EC or OKP"),
    (nil, "\"kty\":\"oct\",\"k\":\"c2VjcmV0\"", "a shared secret has no place"),
    (.rsaPublic, ",\"use\":\"enc\"", "its use is not \"sig\""),
    (.rsaPublic, ",\"use\":null", "its use is not \"sig\""),
    (.rsaPublic, ",\"key_ops\":[\"encrypt\"]", "lack \"verify\""),
    (.rsaPublic, ",\"key_ops\":\"verify\"", "lack \"verify\""),
    (.rsaPublic, ",\"d\":\"AQAB\"", "private key"),
    (.rsaPublic, ",\"alg\":\"HS256\"", "its alg"),
    (.rsaPublic, ",\"alg\":\"none\"", "its alg"),
    (.rsaPublic, ",\"alg\":\"RSA-OAEP\"", "its alg"),
    (.rsaPublic, ",\"alg\":\"ES256\"", "its alg"),
    (.rsaPublic, ",\"alg\":7", "its alg"),
    (.shortRSAPublic, "", "2048 bits"),
    (nil, "\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"", "2048 bits"),
    (nil, "\"kty\":\"RSA\",\"n\":\"!!\",\"e\":\"AQAB\"", "2048 bits"),
    (nil, "\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"", "its n is missing"),
    (nil, "\"kty\":\"RSA\",\"n\":\"AQAB\"", "its e is missing"),
    (nil, "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"", "not a point"),
    (nil, "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\"", "its y is missing"),
    (nil, "\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQ\",\"y\":\"AQ\"", "its crv"),
    (.p256Public, ",\"alg\":\"ES384\"", "its alg"),
    (nil, "\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AQ\"", "its crv"),
    (nil, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQ\"", "not an Ed25519 key"),
    (.ed25519Public, ",\"alg\":\"ES256\"", "its alg"),
  ]

  @Test("keys that are passed over, with the reason", arguments: unusable)
  func skipped(file: KeyFile?, rest: String, part: String) throws {
    let members = try (file?.members ?? "") + rest
    let good = try KeyFile.p256Public.members + ",\"kid\":\"good\""
    let beside = try KeySet(json: Self.set(members, good))
    #expect(beside.keys.map(\.kid) == ["good"])
    #expect(beside.skipped.map(\.index) == [0])
    #expect(beside.skipped.first?.reason.contains(part) == true, "\(beside.skipped)")
    let alone = #expect(throws: KeyError.self) { try KeySet(json: Self.set(members)) }
    #expect(alone?.message.hasPrefix("the key set has no usable key (keys[0]: ") == true)
    #expect(alone?.message.contains("c2VjcmV0") == false)
  }

  @Test(
    "texts that are no key sets",
    arguments: [
      "", "{", "[]", "null", "{}", "{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[]}",
      "{\"keys\":[1,\"x\",null,[]]}",
    ])
  func refuses(json: String) {
    #expect(throws: KeyError.self) { try VerificationKey.jwks(json: json) }
  }

  @Test("a set cut anywhere is none")
  func cut() throws {
    let json = Self.set(try KeyFile.p256Public.members)
    for count in 0..<json.count {
      #expect(throws: KeyError.self) { try KeySet(json: String(json.prefix(count))) }
    }
  }

  @Test("the limits of a set")
  func limits() throws {
    let member = "{\(try KeyFile.ed25519Public.members)}"
    let most = Array(repeating: member, count: KeySet.keyCountMax)
    let full = try KeySet(json: "{\"keys\":[\(most.joined(separator: ","))]}")
    #expect(full.keys.count == KeySet.keyCountMax)
    let more = (most + ["{}"]).joined(separator: ",")
    #expect(throws: KeyError.self) { try KeySet(json: "{\"keys\":[\(more)]}") }
    let padding = String(repeating: " ", count: KeySet.byteCountMax)
    #expect(throws: KeyError.self) { try KeySet(json: "{\"keys\":[\(member)]}" + padding) }
  }
}

@Suite("Minting")
struct MintingTests {
  @Test("the header and the claims, in full")
  func contents() async throws {
    let key = try KeyPair(.hs256, kid: "k1").signing
    let contents = TokenContents(
      subject: "ann", issuer: "https://id.test", audience: ["chat", "mail"], issuedAt: 1,
      notBefore: 2, expiry: 3, extra: ["role": .text("a/b"), "n": .integer(7)])
    let parts = try await mint(contents, key: key).split(separator: ".").map { part in
      Base64URL.decode(part.utf8).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(parts[0] == #"{"alg":"HS256","kid":"k1","typ":"JWT"}"#)
    let payload = """
      {"aud":["chat","mail"],"exp":3,"iat":1,"iss":"https://id.test","n":7,"nbf":2,"role":"a/b",\
      "sub":"ann"}
      """
    #expect(parts[1] == payload)
  }

  @Test("what is left out does not appear, and one audience is a text")
  func sparse() async throws {
    let key = try KeyPair(.hs256).signing
    let parts = try await mint(TokenContents(audience: ["chat"]), key: key).split(separator: ".")
    #expect(parts[0] == Base64URL.encode(#"{"alg":"HS256","typ":"JWT"}"#.utf8))
    #expect(parts[1] == Base64URL.encode(#"{"aud":"chat"}"#.utf8))
  }

  @Test(
    "an extra claim is not a registered one", arguments: ["sub", "iss", "aud", "iat", "nbf", "exp"])
  func extra(name: String) async throws {
    let key = try KeyPair(.hs256).signing
    await #expect(throws: KeyError.self) {
      try await mint(TokenContents(extra: [name: .text("x")]), key: key)
    }
  }

  @Test("a number that JSON cannot express is an error")
  func numbers() async throws {
    let key = try KeyPair(.hs256).signing
    await #expect(throws: KeyError.self) {
      try await mint(TokenContents(extra: ["x": .number(.nan)]), key: key)
    }
  }
}
