import Admission
import Net
import Testing

@testable import Token

@Suite("Claims of tokens")
struct ClaimRulesTests {
  static let now = testTime

  /// Payloads at ``testTime``, which is 1800000000.
  static let timeRows: [(payload: String, kind: Kind, reason: String?)] = [
    (#"{"exp":1800000001}"#, .valid, nil),
    (#"{"exp":1800000000}"#, .valid, nil),
    (#"{"exp":1799999971}"#, .valid, nil),
    (#"{"exp":1799999970}"#, .invalid, "The token has expired."),
    (#"{"exp":1799999969}"#, .invalid, "The token has expired."),
    (#"{"exp":0}"#, .invalid, "The token has expired."),
    (#"{"exp":-1}"#, .invalid, "The token has expired."),
    (#"{"exp":1800000001.75}"#, .valid, nil),
    (#"{"exp":1e300}"#, .valid, nil),
    (#"{"exp":-1e300}"#, .invalid, "The token has expired."),
    (#"{"exp":9223372036854775807}"#, .valid, nil),
    (#"{"exp":-9223372036854775808}"#, .invalid, "The token has expired."),
    (#"{"exp":18446744073709551616}"#, .valid, nil),
    (#"{"exp":"1800000001"}"#, .invalid, "The token's expiry is not a time."),
    (#"{"exp":null}"#, .invalid, "The token's expiry is not a time."),
    (#"{"exp":true}"#, .invalid, "The token's expiry is not a time."),
    (#"{"exp":[1800000001]}"#, .invalid, "The token's expiry is not a time."),
    (#"{}"#, .invalid, "The token has no expiry."),
    (#"{"exp":1800000060,"nbf":1800000000}"#, .valid, nil),
    (#"{"exp":1800000060,"nbf":1800000030}"#, .valid, nil),
    (#"{"exp":1800000060,"nbf":1800000031}"#, .invalid, "The token is not valid yet."),
    (#"{"exp":1800000060,"nbf":1e300}"#, .invalid, "The token is not valid yet."),
    (#"{"exp":1800000060,"nbf":9223372036854775807}"#, .invalid, "The token is not valid yet."),
    (#"{"exp":1800000060,"nbf":"soon"}"#, .invalid, "The token's not-before is not a time."),
    (#"{"exp":1800000060,"iat":"whenever"}"#, .valid, nil),
    (#"[]"#, .invalid, "The token's payload is not a JSON object."),
    (#"1"#, .invalid, "The token's payload is not a JSON object."),
    (#"{"#, .invalid, "The token's payload is not a JSON object."),
    (#"{"exp":1e999}"#, .invalid, nil),
  ]

  @Test("times, by a scripted clock", arguments: timeRows)
  func times(payload: String, kind: Kind, reason: String?) async throws {
    let pair = try KeyPair(.hs256)
    let token = try await forged(header: "{\"alg\":\"HS256\"}", payload: payload, key: pair.signing)
    let verdict = await verifier([pair.verifying]).verify(token)
    #expect(Kind(verdict) == kind)
    if let reason { #expect(verdict.reason == reason) }
  }

  @Test("a token without an expiry is taken where the rule says so")
  func optionalExpiry() async throws {
    let pair = try KeyPair(.hs256)
    let token = try await mint(TokenContents(subject: "ann"), key: pair.signing)
    let verdict = await verifier([pair.verifying], expiry: .optional).verify(token)
    #expect(verdict == .valid(Claims(subject: "ann", values: ["sub": .text("ann")])))
  }

  @Test(
    "the leeway is bounded and never negative",
    arguments: [
      (Duration.seconds(0), Int64(1), Kind.valid), (.seconds(0), 0, .invalid),
      (.seconds(-100), 1, .valid), (.seconds(-100), 0, .invalid),
      (.seconds(Int64.max), -86_399, .valid), (.seconds(Int64.max), -86_400, .invalid),
    ])
  func leeway(leeway: Duration, secondsLeft: Int64, kind: Kind) async throws {
    let pair = try KeyPair(.hs256)
    let token = try await mint(TokenContents(expiry: Self.now + secondsLeft), key: pair.signing)
    #expect(Kind(await verifier([pair.verifying], leeway: leeway).verify(token)) == kind)
  }

  @Test(
    "claims expire when the token is no longer taken: behind exp and the leeway",
    arguments: [
      ("1800000060", .seconds(30), 1_800_000_090), ("1800000060.9", .seconds(5), 1_800_000_065),
      ("1800000060", .zero, 1_800_000_060), ("1799999971", .seconds(30), testTime + 1),
      ("9223372036854775807", .seconds(30), .max), ("9223372036854775777", .seconds(30), .max),
      ("9223372036854775776", .seconds(30), .max - 1),
    ] as [(String, Duration, Int64)])
  func expiry(exp: String, leeway: Duration, end: Int64) async throws {
    let pair = try KeyPair(.hs256)
    let payload = "{\"exp\":\(exp)}"
    let token = try await forged(header: "{\"alg\":\"HS256\"}", payload: payload, key: pair.signing)
    let verdict = await verifier([pair.verifying], leeway: leeway).verify(token)
    guard case .valid(let claims) = verdict else {
      Issue.record("\(verdict)")
      return
    }
    #expect(claims.expiry == end)
  }

  @Test(
    "issuer and audience",
    arguments: [
      (nil, nil, "", Kind.valid),
      (nil, nil, ",\"iss\":\"x\",\"aud\":\"y\"", .valid),
      ("https://id.test", nil, ",\"iss\":\"https://id.test\"", .valid),
      ("https://id.test", nil, ",\"iss\":\"https://id.test/\"", .invalid),
      ("https://id.test", nil, ",\"iss\":\"HTTPS://id.test\"", .invalid),
      ("https://id.test", nil, ",\"iss\":[\"https://id.test\"]", .invalid),
      ("https://id.test", nil, ",\"iss\":null", .invalid),
      ("https://id.test", nil, "", .invalid),
      (nil, "chat", ",\"aud\":\"chat\"", .valid),
      (nil, "chat", ",\"aud\":[\"mail\",\"chat\"]", .valid),
      (nil, "chat", ",\"aud\":[1,null,\"chat\"]", .valid),
      (nil, "chat", ",\"aud\":\"chatter\"", .notPermitted),
      (nil, "chat", ",\"aud\":[\"mail\"]", .notPermitted),
      (nil, "chat", ",\"aud\":[]", .notPermitted),
      (nil, "chat", ",\"aud\":[[\"chat\"]]", .notPermitted),
      (nil, "chat", ",\"aud\":{\"chat\":true}", .notPermitted),
      (nil, "chat", "", .notPermitted),
      ("i", "chat", ",\"iss\":\"other\",\"aud\":\"other\"", .invalid),
      ("i", "chat", ",\"iss\":\"i\",\"aud\":\"chat\"", .valid),
    ] as [(String?, String?, String, Kind)])
  func parties(issuer: String?, audience: String?, members: String, kind: Kind) async throws {
    let pair = try KeyPair(.hs256)
    let payload = "{\"exp\":\(Self.now + 60)\(members)}"
    let token = try await forged(header: "{\"alg\":\"HS256\"}", payload: payload, key: pair.signing)
    let verdict = await verifier([pair.verifying], issuer: issuer, audience: audience).verify(token)
    #expect(Kind(verdict) == kind)
  }

  @Test("the claims of a token arrive with their types")
  func values() async throws {
    let pair = try KeyPair(.hs256)
    let payload = #"""
      {"sub":7,"exp":\#(Self.now + 60),"a":"x","b":1.5,"c":true,"d":null,"e":[1,"y"],"f":{"g":{"h":-1}},
      "https://x.test/role":"admin"}
      """#
    let token = try await forged(header: "{\"alg\":\"HS256\"}", payload: payload, key: pair.signing)
    guard case .valid(let claims) = await verifier([pair.verifying]).verify(token) else {
      Issue.record("not valid")
      return
    }
    #expect(claims.subject == "7")
    #expect(claims.values["b"] == .number(1.5))
    #expect(claims.values["c"] == .flag(true))
    #expect(claims.values["d"] == .null)
    #expect(claims.values["e"] == .list([.integer(1), .text("y")]))
    #expect(claims.text("f.g.h") == "-1")
    #expect(claims.text("https://x.test/role") == "admin")
  }
}

@Suite("Malformed tokens")
struct MalformedTokenTests {
  @Test(
    "headers that are not taken, though the signature is right",
    arguments: [
      "{}", "[]", "null", "{\"alg\":null}", "{\"alg\":1}", "{\"alg\":[\"HS256\"]}",
      "{\"typ\":\"JWT\"}",
      "{\"alg\":\"HS256\",\"kid\":1}", "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
      "{\"alg\":\"HS256\",\"crit\":[]}", "{\"alg\":\"HS256\"", "not JSON", "{\"alg\":\"HS256\"} x",
    ])
  func headers(header: String) async throws {
    let pair = try KeyPair(.hs256)
    let payload = "{\"exp\":\(testTime + 60)}"
    let token = try await forged(header: header, payload: payload, key: pair.signing)
    #expect(Kind(await verifier([pair.verifying]).verify(token)) == .invalid)
  }

  @Test(
    "members of a header that mean nothing here do no harm",
    arguments: [
      "{\"alg\":\"HS256\",\"x\":1e300}", "{\"alg\":\"HS256\",\"x\":-1e300,\"y\":{\"z\":[1e308]}}",
      "{\"alg\":\"HS256\",\"kid\":null,\"jku\":\"https://evil.test\",\"jwk\":{\"kty\":\"oct\"}}",
      "{\"alg\":\"HS256\",\"x5c\":[\"MIIB\"],\"typ\":7}",
    ])
  func strangeHeaders(header: String) async throws {
    let pair = try KeyPair(.hs256)
    let payload = "{\"exp\":\(testTime + 60)}"
    let token = try await forged(header: header, payload: payload, key: pair.signing)
    #expect(Kind(await verifier([pair.verifying]).verify(token)) == .valid)
  }

  @Test(
    "texts that are no tokens",
    arguments: [
      "", ".", "..", "...", "a.b", "a.b.c.d", "a.b.c.d.e", "AAAA.AAAA.", ".AAAA.AAAA", "AAAA..AAAA",
      "e30.e30.e30", "e30=.e30.e30", "e3.e30.e30", "e31.e30.e30", "e+0.e30.e30", "e/0.e30.e30",
      "e30 .e30.e30", "\u{E9}.e30.e30", "e30.e30.e30\n", "%65.e30.e30",
    ])
  func texts(token: String) async throws {
    let pair = try KeyPair(.hs256)
    #expect(Kind(await verifier([pair.verifying]).verify(token)) == .invalid)
  }

  @Test("a token longer than the limit is not looked at")
  func length() async throws {
    let pair = try KeyPair(.hs256)
    let verifier = verifier([pair.verifying])
    func token(padding: Int) async throws -> String {
      let extra = ["pad": ClaimValue.text(String(repeating: "x", count: padding))]
      return try await mint(
        TokenContents(expiry: testTime + 60, extra: extra), key: pair.signing)
    }
    let short = try await token(padding: 5900)
    #expect(short.utf8.count <= JWTVerifier.tokenByteCountMax)
    #expect(Kind(await verifier.verify(short)) == .valid)
    let long = try await token(padding: 6200)
    #expect(long.utf8.count > JWTVerifier.tokenByteCountMax)
    let verdict = await verifier.verify(long)
    #expect(verdict.reason == "The token is longer than 8192 octets.")
  }

  @Test("deep nesting neither traps nor is taken", arguments: [100, 600, 2900])
  func depth(count: Int) async throws {
    let pair = try KeyPair(.hs256)
    let nest = String(repeating: "[", count: count) + String(repeating: "]", count: count)
    for (header, payload) in [
      ("{\"alg\":\"HS256\",\"crit\":\(nest)}", "{}"), ("{\"alg\":\"HS256\"}", "{\"x\":\(nest)}"),
    ] {
      let token = try await forged(header: header, payload: payload, key: pair.signing)
      #expect(Kind(await verifier([pair.verifying]).verify(token)) == .invalid)
    }
  }

  @Test("no reason quotes any part of the token")
  func reasons() async throws {
    let pair = try KeyPair(.hs256, kid: "SECRET")
    let headers = ["{\"alg\":\"SECRET\"}", "{\"alg\":\"HS256\",\"kid\":\"x\"}", "SECRET"]
    let payloads = ["{\"exp\":\"SECRET\"}", "{\"exp\":1,\"iss\":\"SECRET\"}", "SECRET"]
    for header in headers + ["{\"alg\":\"HS256\"}"] {
      for payload in payloads {
        let token = try await forged(header: header, payload: payload, key: pair.signing)
        let reason = await verifier([pair.verifying], issuer: "i").verify(token).reason
        #expect(reason?.contains("SECRET") == false)
      }
    }
  }
}

@Suite("base64url")
struct Base64URLTests {
  /// RFC 4648 §10, without padding.
  @Test(
    "both ways",
    arguments: [
      ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
      ("fooba", "Zm9vYmE"),
      ("foobar", "Zm9vYmFy"), ("~~\u{7F}?", "fn5_Pw"),
    ])
  func vectors(text: String, encoded: String) {
    #expect(Base64URL.encode(text.utf8) == encoded)
    #expect(Base64URL.decode(encoded.utf8) == Array(text.utf8))
  }

  @Test("every octet comes back")
  func octets() {
    for count in 0..<300 {
      let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      #expect(Base64URL.decode(Base64URL.encode(octets).utf8) == octets)
    }
  }

  @Test(
    "one text for one value",
    arguments: ["Z", "Zh", "Zm9", "Zg==", "Zm9v=", "Zm9vY", "a+b_", "a/b-", "Zg\n"])
  func refuses(text: String) {
    #expect(Base64URL.decode(text.utf8) == nil)
  }
}
