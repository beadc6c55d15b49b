import Net
import Testing

@testable import Signaling

@Suite("ids, limits and data of messages")
struct IncomingMemberTests {
  @Test(
    "an id is repeated as it was written",
    arguments: [
      "\"\"", "\"a\"", "\"ü😀\"", #""\u0041\"\\""#, #""\ud83d\ude00""#, "0", "-0", "-7",
      "9007199254740991", "9223372036854775807", "-9223372036854775808",
      "\"\(String(repeating: "x", count: 64))\"",
    ])
  func ids(id: String) {
    #expect(parsed(#"{"type":"ping","id":\#(id)}"#) == Incoming(.ping, id: Array(id.utf8)))
    // It is there for a fault, too.
    #expect(refusal(#"{"type":"lock","id": \#(id) }"#)?.id == Array(id.utf8))
  }

  @Test(
    "what is neither a string of 64 octets nor a whole number is no id",
    arguments: [
      "null", "true", "[]", "{}", "1.0", "1e3", "-1.5", "9223372036854775808",
      "123456789012345678901234567890", "\"\(String(repeating: "x", count: 65))\"",
      "\"\(String(repeating: "ü", count: 33))\"",
    ])
  func noIDs(id: String) throws {
    let fault = try #require(refusal(#"{"type":"ping","id":\#(id)}"#))
    #expect(fault.code == .badMessage)
    #expect(fault.words.contains("\"id\""))
    #expect(fault.id.isEmpty)
  }

  @Test("a name has at most 128 octets")
  func nameLimit() {
    func message(_ type: String, _ name: String) -> String {
      #"{"type":"\#(type)","name":"\#(name)"}"#
    }
    let most = String(repeating: "ü", count: 64)
    for type in ["update", "join"] {
      #expect(parsed(message(type, most)) != nil)
      #expect(refusal(message(type, most + "x"))?.code == .tooLarge)
      // Its escapes do not count.
      #expect(parsed(message(type, String(repeating: #"\u0041"#, count: 128))) != nil)
      #expect(parsed(message(type, "")) != nil)
    }
  }

  @Test(
    "a name has no control characters",
    arguments: [#"\u0000"#, #"a\nb"#, #"\u007f"#, #"\u0085"#, #"\u001b[31m"#, "\u{7F}", "\u{9F}"])
  func nameControls(name: String) {
    let fault = refusal(#"{"type":"update","name":"\#(name)","id":1}"#)
    #expect(fault?.code == .badMessage)
    #expect(fault?.id == Array("1".utf8))
  }

  @Test("a meta has at most 4 KiB, as it is written")
  func metaLimit() {
    func meta(_ count: Int) -> String {
      #"{"a":"\#(String(repeating: "x", count: count - 8))"}"#
    }
    for type in ["update", "join", "room"] {
      #expect(parsed(#"{"type":"\#(type)","meta":\#(meta(4096))}"#) != nil)
      #expect(refusal(#"{"type":"\#(type)","meta":\#(meta(4097))}"#)?.code == .tooLarge)
    }
  }

  @Test("a reason has at most 128 octets, a ban at most a week")
  func kickLimits() {
    func kick(_ reason: Int, _ ban: Int) -> String {
      let text = String(repeating: "x", count: reason)
      return #"{"type":"kick","peer":"b","reason":"\#(text)","ban_for":\#(ban)}"#
    }
    #expect(parsed(kick(128, 604_800)) != nil)
    #expect(refusal(kick(129, 1))?.code == .tooLarge)
    #expect(refusal(kick(1, 604_801))?.code == .badMessage)
  }

  @Test("what is no id of a peer is nobody's", arguments: ["", "a b", "ü", "a/b", "a\\u0000"])
  func nobody(id: String) {
    for text in [
      #"{"type":"signal","to":"\#(id)","kind":"offer","data":"","id":1}"#,
      #"{"type":"kick","peer":"\#(id)","id":1}"#,
      #"{"type":"role","peer":"\#(id)","role":"host","id":1}"#,
    ] {
      #expect(refusal(text)?.code == .noSuchPeer)
      #expect(refusal(text)?.id == Array("1".utf8))
    }
  }

  @Test(
    "data goes on octet for octet",
    arguments: [
      "\"v=0\\r\\no=- 1 2 IN IP4 0.0.0.0\\r\\n\"", "{ \"a\" :\t[ 1,\n2 ] }", "[1e999, -0, 1.10]",
      #""\u0041\/\ud800""#, "{\"a\":1,\"a\":2}", "123456789012345678901234567890.000", "\"ü😀\"",
      "{\"type\":\"leave\",\"to\":null}", "[]", "{}", "\"\"", "null", "true",
    ])
  func data(data: String) throws {
    let b = try #require(PeerID("b"))
    let custom = #"{"data" : \#(data) ,"to":"b","type":"signal","generation":9,"kind":"custom"}"#
    let payload = #""kind":"custom","generation":9,"data":\#(data)}"#
    #expect(
      parsed(custom) == Incoming(.signal(to: b, .custom, payload: Array(payload.utf8))))
    #expect(
      parsed(#"{"type":"broadcast","data": \#(data)  }"#)
        == Incoming(.broadcast(payload: Array("\"data\":\(data)}".utf8))))
  }

  @Test(
    "each kind of signal is read",
    arguments: SignalKind.allCases, ["\"x\"", "{\"sdp\":\"x\"}", "[{}]"])
  func kinds(kind: SignalKind, data: String) throws {
    let text = #"{"type":"signal","to":"b","kind":"\#(kind.rawValue)","data":\#(data)}"#
    let message = try #require(parsed(text)).message
    guard case .signal(_, kind, _) = message else {
      Issue.record("\(message)")
      return
    }
  }

  @Test("generations go to the last whole number that a script has")
  func generation() {
    for number in ["0", "1", "9007199254740991"] {
      let text = #"{"type":"signal","to":"b","kind":"custom","data":1,"generation":\#(number)}"#
      #expect(parsed(text) != nil)
    }
  }

  @Test("no octets that come from outside stop the reader", arguments: 0..<15 as Range<UInt64>)
  func chance(seed: UInt64) throws {
    var chance = SplitMix(seed: seed)
    let pieces = [
      "\"", "\\", "\\u", "d800", "{", "}", "[", "]", ":", ",", "null", "1", "-", "e", "\u{0}",
    ]
    for _ in 0..<600 {
      var octets = Array((completeMessages.randomElement(using: &chance) ?? "").utf8)
      for _ in 0..<Int.random(in: 1...4, using: &chance) {
        let place = Int.random(in: 0..<max(octets.count, 1), using: &chance)
        switch Int.random(in: 0..<4, using: &chance) {
        case 0: octets.removeSubrange(min(place, octets.count)...)
        case 1: octets.insert(contentsOf: (pieces.randomElement(using: &chance) ?? "").utf8, at: 0)
        case 2:
          let piece = pieces.randomElement(using: &chance) ?? ""
          octets.insert(contentsOf: piece.utf8, at: min(place, octets.count))
        default: if place < octets.count { octets[place] = .random(in: 0...255, using: &chance) }
        }
      }
      let message = try? Incoming.parse(octets.span)
      guard message != nil, String(validating: octets, as: UTF8.self) != nil else { continue }
      if octets.contains(UInt8(ascii: "e")), octets.contains(UInt8(ascii: "\\")) { continue }
      #expect((try? JSON(parsing: octets)) != nil, "seed \(seed)")
    }
  }
}
