import Net
import Testing

@testable import Upstream

@Suite("sticky cookies")
struct StickyCookieTests {
  private static let signer = StickySigner(secret: Array(0..<32))

  @Test(
    "what is written is read", arguments: [0, 1, 0x0123_4567_89AB_CDEF, .max] as [UInt64],
    [1, 1_900_000_000, .max] as [Int64])
  func roundTrip(id: UInt64, expiry: Int64) throws {
    let value = Self.signer.value(for: id, expiringAt: expiry)
    let opened = try #require(Self.signer.open(value, nowSecond: 0))
    #expect(opened.id == id)
    #expect(opened.expiry == expiry)
    #expect(value.utf8.count == 43)
  }

  @Test(
    "values outlive a release: these were made by another program",
    arguments: [
      (0x0123_4567_89AB_CDEF, 1_900_000_000, "D0Tddy9VD7IAAAAAcT-zAJVhHzajd27jxzLadDrZuqw"),
      (0, -1, "wwT3bta_NeH__________0OYxySYwIMazP8hP3LwYC8"),
      (.max, .max, "ZPYTiU0jR5N__________7FsbfrmSW0tadgSXZ_6QWg"),
    ] as [(UInt64, Int64, String)])
  func known(id: UInt64, expiry: Int64, value: String) throws {
    #expect(Self.signer.value(for: id, expiringAt: expiry) == value)
    #expect(try #require(Self.signer.open(value, nowSecond: .min)).id == id)
  }

  @Test("a changed octet is refused, wherever it is")
  func tampering() throws {
    let value = Self.signer.value(for: 42, expiringAt: 1_900_000_000)
    let octets = try #require(Base64URL.decode(value.utf8))
    #expect(octets.count == 32)
    for index in octets.indices {
      for bit in 0..<8 {
        var changed = octets
        changed[index] ^= 1 << bit
        #expect(Self.signer.open(Base64URL.encode(changed), nowSecond: 0) == nil)
      }
    }
    let letters = Array(value.utf8)
    for index in letters.indices {
      for letter in UInt8.min...0x7F where letter != letters[index] {
        var changed = letters
        changed[index] = letter
        #expect(Self.signer.open(String(decoding: changed, as: UTF8.self), nowSecond: 0) == nil)
      }
    }
  }

  @Test("a value ends with its second")
  func expiry() {
    let value = Self.signer.value(for: 42, expiringAt: 1000)
    #expect(Self.signer.open(value, nowSecond: 999)?.id == 42)
    for second in [1000, 1001, .max] as [Int64] {
      #expect(Self.signer.open(value, nowSecond: second) == nil)
    }
    let past = Self.signer.value(for: 42, expiringAt: -5)
    #expect(Self.signer.open(past, nowSecond: 0) == nil)
  }

  @Test("another secret opens nothing")
  func secrets() {
    let value = Self.signer.value(for: 42, expiringAt: 1000)
    for secret in [[], [0], Array(0..<31), Array(1...32)] as [[UInt8]] {
      #expect(StickySigner(secret: secret).open(value, nowSecond: 0) == nil)
    }
  }

  @Test("a value does not show whom it is for, and is another one each second")
  func opaque() throws {
    let id = hashKey(of: "ws://10.0.0.1:80|10.0.0.1:80".utf8)
    let idOctets = (0..<8).map { UInt8(truncatingIfNeeded: id >> (56 - 8 * $0)) }
    var seen: Set<[UInt8]> = []
    for second in 1000..<2000 as Range<Int64> {
      let value = Self.signer.value(for: id, expiringAt: second)
      let masked = Array(try #require(Base64URL.decode(value.utf8)).prefix(8))
      #expect(masked != idOctets)
      seen.insert(masked)
    }
    #expect(seen.count == 1000)
    #expect(!"\(Self.signer)".contains("0, 1, 2"))
    #expect(Mirror(reflecting: Self.signer).children.isEmpty)
  }

  @Test("whatever a client sends is refused without harm", arguments: 0..<50 as Range<UInt64>)
  func noise(seed: UInt64) {
    var chance = SplitMix(seed: seed)
    for _ in 0..<100 {
      let length = Int.random(in: 0...100, using: &chance)
      let octets = (0..<length).map { _ in UInt8.random(in: 0...255, using: &chance) }
      #expect(Self.signer.open(String(decoding: octets, as: UTF8.self), nowSecond: 0) == nil)
      let encoded = Base64URL.encode(octets.prefix(32))
      #expect(Self.signer.open(encoded, nowSecond: 0) == nil)
    }
  }

  @Test("a good value with anything around it is none")
  func surroundings() {
    let value = Self.signer.value(for: 42, expiringAt: 1000)
    for text in [
      "", "=", value + "=", "=" + value, value + " ", " " + value, value + "A", value + value,
      "\"\(value)\"", String(value.dropLast()), String(value.dropFirst()),
      String(repeating: "A", count: 1 << 20), String(repeating: "ä", count: 21) + "a",
    ] {
      #expect(Self.signer.open(text, nowSecond: 0) == nil)
    }
    #expect(Self.signer.open(value, nowSecond: 0)?.id == 42)
  }

  @Test(
    "the field that sets it",
    arguments: [
      (.lax, true, "s=VALUE; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"),
      (.lax, false, "s=VALUE; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
      (.strict, false, "s=VALUE; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict"),
      (.none, true, "s=VALUE; Path=/; Max-Age=3600; HttpOnly; SameSite=None; Secure"),
      (.none, false, "s=VALUE; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
    ] as [(StickyCookieRules.SameSite, Bool, String)])
  func field(sameSite: StickyCookieRules.SameSite, isSecure: Bool, expected: String) {
    let rules = StickyCookieRules(name: "s", ttl: .seconds(3600), sameSite: sameSite)
    #expect(rules.setCookie(value: "VALUE", isSecure: isSecure) == expected)
  }

  @Test("a cookie ends when its value does")
  func ages() {
    for (ttl, now, expiry) in [
      (.seconds(3600), 1000, 4600), (.milliseconds(1900), 1000, 1001), (.seconds(-5), 1000, 1000),
      (.seconds(Int64.max), 1000, .max),
    ] as [(Duration, Int64, Int64)] {
      let rules = StickyCookieRules(name: "s", ttl: ttl)
      #expect(rules.expiry(nowSecond: now) == expiry)
    }
    let rules = StickyCookieRules(name: "s", ttl: .milliseconds(1900))
    #expect(rules.setCookie(value: "v", isSecure: false).contains("; Max-Age=1;"))
    #expect(rules.sameSite == .lax)
  }
}

@Suite("base64url")
struct Base64URLTests {
  @Test(
    "octets are written and read (RFC 4648 §10)",
    arguments: [
      ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
      ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"), ("\u{7F}\u{7F}?>", "f38_Pg"),
    ])
  func vectors(text: String, encoded: String) {
    #expect(Base64URL.encode(text.utf8) == encoded)
    #expect(Base64URL.decode(encoded.utf8) == Array(text.utf8))
  }

  @Test(
    "what it does not write it does not read",
    arguments: ["Z", "Zh", "Zm9", "Zm9vY", "Zg==", "Zm+v", "Zm/v", "Zm9v\n", "Zm 9v", "Zmé"])
  func refuses(text: String) { #expect(Base64URL.decode(text.utf8) == nil) }
}
