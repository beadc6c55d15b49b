import Net
import Testing

@testable import Signaling

@Suite("signals, broadcasts and their answers")
struct RelayTests {
  /// Peers a, b and c on connections 1, 2 and 3, who have heard all of it.
  private static func stage(_ pass: Pass = Pass(), _ rules: RoomRules = RoomRules()) -> Stage {
    let stage = Stage(rules)
    for (index, id) in ["a", "b", "c"].enumerated() { stage.enter(index + 1, as: id, pass) }
    stage.forgetAll()
    return stage
  }

  @Test("a signal goes to one peer, with its number and its sender", arguments: SignalKind.allCases)
  func signal(kind: SignalKind) {
    let stage = Self.stage()
    let text =
      #"{"type":"signal","to":"b","kind":"\#(kind.rawValue)","generation":4,"data":{"sdp":"v=0"}}"#
    stage.say(1, text)
    #expect(
      stage.heard(2) == [
        [
          "type": "signal", "seq": 1, "from": "a", "kind": .string(kind.rawValue), "generation": 4,
          "data": ["sdp": "v=0"],
        ]
      ])
    #expect(stage.heard(1) == [])
    #expect(stage.heard(3) == [])
    #expect(stage.counts.signals == SignalKind.allCases.map { $0 == kind ? 1 : 0 })
    #expect(stage.counts.deliveries == 1)
  }

  @Test("a signal without a generation has the first one")
  func generation() {
    let stage = Self.stage()
    stage.say(1, #"{"type":"signal","to":"b","kind":"offer","data":"x"}"#)
    stage.say(
      1, #"{"type":"signal","to":"b","kind":"offer","data":"x","generation":9007199254740991}"#)
    #expect(stage.heard(2).map { $0["generation"] } == [0, 9_007_199_254_740_991])
  }

  @Test("a broadcast goes to all others")
  func broadcast() {
    let stage = Self.stage()
    stage.say(2, #"{"type":"broadcast","data":[1,{"x":null}],"id":"x"}"#)
    for socket in [1, 3] {
      #expect(
        stage.heard(socket) == [
          ["type": "broadcast", "seq": 1, "from": "b", "data": [1, ["x": .null]]]
        ])
    }
    #expect(stage.heard(2) == [["type": "ack", "seq": 1, "id": "x", "delivered": true]])
    #expect(stage.counts.broadcasts == 1)
    #expect(stage.counts.deliveries == 2)
  }

  @Test("numbers are each peer's own: 1, 2, 3")
  func numbers() {
    let stage = Self.stage()
    for id in 1...3 {
      stage.say(1, #"{"type":"signal","to":"b","kind":"custom","data":\#(id),"id":\#(id)}"#)
    }
    stage.say(2, #"{"type":"broadcast","data":4,"id":4}"#)
    #expect(stage.heard(1).map { $0["seq"] } == [1, 2, 3, 4])
    #expect(stage.heard(2).map { $0["seq"] } == [1, 2, 3, 4])
    #expect(stage.heard(3).map { $0["seq"] } == [1])
  }

  @Test("an answer says whether all that it was meant for are there")
  func delivered() {
    let stage = Self.stage()
    stage.lose(2)
    stage.say(1, #"{"type":"signal","to":"b","kind":"offer","data":"x","id":1}"#)
    stage.say(1, #"{"type":"signal","to":"c","kind":"offer","data":"x","id":2}"#)
    stage.say(1, #"{"type":"broadcast","data":1,"id":3}"#)
    stage.say(1, #"{"type":"ping","id":4}"#)
    #expect(stage.heard(1).map { $0["delivered"] } == [false, true, false, true])
    #expect(stage.counts.held == 2)
    #expect(stage.counts.deliveries == 2)
    #expect(stage.peers()?.map(\.keptMessageCount) == [4, 2, 2])
  }

  @Test("a broadcast that nobody else is there for has reached all of them")
  func lonelyBroadcast() {
    let stage = Stage()
    stage.enter(1)
    stage.say(1, #"{"type":"broadcast","data":1,"id":1}"#)
    #expect(stage.heard(1).first?["delivered"] == true)
  }

  @Test("without an id there is no answer")
  func noID() {
    let stage = Self.stage(.moderator)
    for text in [
      #"{"type":"signal","to":"b","kind":"offer","data":"x"}"#, #"{"type":"broadcast","data":1}"#,
      #"{"type":"update","name":"x"}"#, #"{"type":"lock","locked":true}"#,
      #"{"type":"room","meta":{}}"#, #"{"type":"role","peer":"b","role":"host"}"#,
      #"{"type":"kick","peer":"b"}"#,
    ] {
      stage.say(1, text)
      stage.pass()
      #expect(!stage.heard(1).contains { $0["type"] == "ack" || $0["seq"] != nil }, "\(text)")
    }
    #expect(stage.counts.faults == 0)
  }

  @Test("ids come back as they were written", arguments: ["0", "-7", "\"\"", "\"ü\\n\"", "\"1\""])
  func ids(id: String) throws {
    let stage = Self.stage()
    stage.say(1, #"{"type":"ping","id":\#(id)}"#)
    stage.say(1, #"{"type":"what","id":\#(id)}"#)
    let heard = stage.heard(1)
    let expected = try JSON(parsing: Array(id.utf8))
    #expect(heard.map { $0["id"] } == [expected, expected])
    #expect(heard.types == ["ack", "error"])
    #expect(heard.map { $0["seq"] } == [1, 2])
  }

  @Test("who is not there gets nothing, which is said at once", arguments: ["x", "a", "a b", ""])
  func nobody(to: String) {
    let stage = Self.stage()
    stage.say(1, #"{"type":"signal","to":"\#(to)","kind":"offer","data":"x","id":1}"#)
    stage.say(1, #"{"type":"signal","to":"\#(to)","kind":"offer","data":"x"}"#)
    let heard = stage.heard(1)
    #expect(heard.map { $0["code"] } == ["no_such_peer", "no_such_peer"])
    #expect(heard.map { $0["seq"] } == [1, nil])
    #expect(heard.map { $0["id"] } == [1, nil])
    #expect(stage.ends[1] == nil)
    #expect(stage.counts.signals.reduce(0, +) == 0)
  }

  @Test("a fault is told, and the peer goes on")
  func faults() {
    let stage = Self.stage()
    let texts: [(String, JSON)] = [
      ("what?", "bad_message"), ("[]", "bad_message"),
      (#"{"type":"nothing","id":1}"#, "bad_message"),
      (#"{"type":"broadcast","id":2}"#, "bad_message"),
      (#"{"type":"update","name":"\#(String(repeating: "x", count: 129))"}"#, "too_large"),
      (#"{"type":"join"}"#, "not_in_room"), (#"{"type":"kick","peer":"b"}"#, "forbidden"),
    ]
    for (text, code) in texts {
      stage.say(1, text)
      let heard = stage.heard(1)
      #expect(heard.types == ["error"])
      #expect(heard.first?["code"] == code)
      #expect(heard.first?["message"]?.text?.isEmpty == false)
    }
    #expect(stage.ends[1] == nil)
    #expect(stage.counts.faults == UInt64(texts.count))
    stage.say(1, #"{"type":"broadcast","data":1}"#)
    #expect(stage.heard(2).types == ["broadcast"])
  }

  @Test(
    "what a peer has no right to is forbidden, and nothing comes of it",
    arguments: [
      (Rights.signal, #"{"type":"signal","to":"b","kind":"offer","data":"x","id":1}"#),
      (.broadcast, #"{"type":"broadcast","data":1,"id":1}"#),
      (.update, #"{"type":"update","name":"x","id":1}"#),
      (.moderate, #"{"type":"kick","peer":"b","id":1}"#),
      (.moderate, #"{"type":"lock","locked":true,"id":1}"#),
      (.moderate, #"{"type":"room","max_peers":1,"id":1}"#),
      (.moderate, #"{"type":"role","peer":"b","role":"host","id":1}"#),
      (.moderate, #"{"type":"role","peer":"a","role":"host","id":1}"#),
    ])
  func rights(right: Rights, text: String) {
    let all = Rights.everybody.union(.moderate)
    let stage = Self.stage(Pass(rights: all.subtracting(right)))
    let listing = stage.listing
    stage.say(1, text)
    stage.pass()
    let heard = stage.heard(1)
    #expect(heard.map { $0["code"] } == ["forbidden"])
    #expect(heard.first?["id"] == 1)
    #expect(stage.heard(2) == [])
    #expect(stage.heard(3) == [])
    #expect(stage.listing.map(\.version) == listing.map(\.version))
    // And with it something does.
    let other = Self.stage(Pass(rights: right))
    other.say(1, text)
    #expect(other.heard(1).of("ack").count == 1)
  }

  @Test("a name that the token gives stays, whatever the peer asks for")
  func tokenName() {
    let stage = Self.stage(Pass(name: "Ada"))
    for text in [
      #"{"type":"update","name":"x","meta":{},"id":1}"#, #"{"type":"update","name":null,"id":2}"#,
    ] {
      stage.say(1, text)
      #expect(stage.heard(1).map { $0["code"] } == ["forbidden"])
    }
    stage.say(1, #"{"type":"update","meta":{"x":1},"id":3}"#)
    #expect(stage.heard(2).first?["name"] == "Ada")
    #expect(stage.heard(2) == [])
  }

  @Test("what went to a peer is kept until it has arrived")
  func confirmed() {
    let stage = Self.stage()
    for _ in 0..<10 { stage.say(1, #"{"type":"broadcast","data":1}"#) }
    #expect(stage.peers()?.map(\.keptMessageCount) == [0, 10, 10])
    stage.feed(.confirmed(4), from: 2)
    #expect(stage.peers()?.map(\.keptMessageCount) == [0, 6, 10])
    // Old news, and news from the future.
    stage.feed(.confirmed(2), from: 2)
    stage.feed(.confirmed(.max), from: 3)
    #expect(stage.peers()?.map(\.keptMessageCount) == [0, 6, 0])
    stage.say(1, #"{"type":"broadcast","data":1}"#)
    #expect(stage.heard(3).last?["seq"] == 11)
  }

  @Test("a connection that has no place is nobody's")
  func stranger() {
    let stage = Self.stage()
    let before = stage.counts
    for event in [.lost, .left, .confirmed(1), .tokenRefused(words: "")] as [PeerEvent] {
      stage.feed(event, from: 99)
    }
    stage.say(99, #"{"type":"ping","id":1}"#)
    #expect(stage.heard(99) == [])
    #expect(stage.counts == before)
  }
}
