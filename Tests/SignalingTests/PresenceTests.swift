import Net
import Testing

@testable import Signaling

@Suite("presence")
struct PresenceTests {
  /// Peers a, b and so on, on connections 1, 2 and so on, who have heard all of it.
  private static func stage(_ count: Int, _ rules: RoomRules = RoomRules()) -> Stage {
    let stage = Stage(rules)
    for (index, id) in "abcdefgh".prefix(count).enumerated() {
      stage.enter(index + 1, as: String(id), .moderator)
    }
    stage.forgetAll()
    return stage
  }

  @Test("who leaves on purpose is gone at once")
  func left() {
    let stage = Self.stage(3)
    stage.leave(2)
    #expect(
      stage.heard(1) == [["type": "left", "version": 4, "peer": "b", "reason": "closed"]])
    #expect(stage.heard(3).types == ["left"])
    #expect(stage.ids() == ["a", "c"])
    // The connection has ended by itself.
    #expect(stage.ends[2] == nil)
  }

  @Test("who says that it leaves is closed with 1000")
  func leave() {
    let stage = Self.stage(2)
    stage.say(2, #"{"type":"leave","id":1}"#)
    #expect(stage.ends[2] == End(code: 1000, words: "", error: nil))
    #expect(stage.heard(2) == [])
    #expect(stage.heard(1).first?["reason"] == "closed")
    // What comes from there now is nobody's.
    stage.say(2, #"{"type":"broadcast","data":1}"#)
    stage.lose(2)
    stage.pass()
    #expect(stage.heard(1) == [])
  }

  @Test("who is lost keeps its place until the window is over, and nobody sees it")
  func lost() {
    let stage = Self.stage(2)
    stage.lose(2)
    stage.pass(.milliseconds(29_000))
    #expect(stage.heard(1) == [])
    #expect(stage.ids() == ["a", "b"])
    #expect(stage.peers()?.map(\.isAway) == [false, true])
    stage.pass(.milliseconds(1000))
    #expect(
      stage.heard(1) == [["type": "left", "version": 3, "peer": "b", "reason": "timeout"]])
    #expect(stage.counts.resumesLapsed == 1)
  }

  @Test("without a window who is lost is gone")
  func noWindow() {
    let stage = Self.stage(2, RoomRules(resumeWindow: .zero))
    stage.lose(2)
    #expect(stage.heard(1).first?["reason"] == "timeout")
    #expect(stage.peerCount == 1)
  }

  @Test("an update tells all that holds now, the peer itself included")
  func updated() {
    let stage = Self.stage(2)
    stage.say(2, #"{"type":"update","name":"Bob","meta":{"x": 1},"id":1}"#)
    let update: JSON = [
      "type": "updated", "version": 3, "peer": "b", "name": "Bob", "role": "member",
      "meta": ["x": 1],
    ]
    #expect(stage.heard(1) == [update])
    let own = stage.heard(2)
    #expect(own.of("updated") == [update])
    #expect(own.of("ack").first?["delivered"] == true)
    stage.pass()
    stage.say(2, #"{"type":"update","meta":null}"#)
    #expect(stage.heard(1).first?.names == ["name", "peer", "role", "type", "version"])
    stage.pass()
    stage.say(2, #"{"type":"update","name":null,"meta":{}}"#)
    #expect(stage.heard(1).first?.names == ["meta", "peer", "role", "type", "version"])
  }

  @Test("many changes in a short time are told as one")
  func batch() {
    let stage = Self.stage(4)
    stage.leave(4)
    #expect(stage.heard(1).types == ["left"])
    // Now 50 ms have to go by.
    stage.leave(3)
    stage.enter(5, as: "e", name: "Eve")
    stage.say(2, #"{"type":"update","name":"Bob"}"#)
    #expect(stage.heard(1) == [])
    stage.pass(.milliseconds(60))
    #expect(
      stage.heard(1) == [
        [
          "type": "presence", "version": 8, "left": [["peer": "c", "reason": "closed"]],
          "joined": [["peer": "e", "name": "Eve", "role": "member", "polite": true]],
          "updated": [["peer": "b", "name": "Bob", "role": "member"]],
        ]
      ])
    // Who came meanwhile knows what its welcome told, and gets the rest.
    #expect(
      stage.heard(5) == [
        ["type": "updated", "version": 8, "peer": "b", "name": "Bob", "role": "member"]
      ])
  }

  @Test("what came and went between two tellings is not told")
  func flicker() {
    let stage = Self.stage(2)
    stage.enter(3, as: "c")
    #expect(stage.heard(1).types == ["joined"])
    stage.enter(4, as: "d")
    stage.say(4, #"{"type":"update","name":"Dora"}"#)
    stage.leave(4)
    stage.pass()
    #expect(stage.heard(1) == [])
    // And the version goes on all the same.
    stage.leave(3)
    #expect(stage.heard(1).first?["version"] == 7)
  }

  @Test("who went and came again has left and joined")
  func moved() {
    let stage = Self.stage(2)
    stage.enter(3, as: "b", name: "Bob")
    #expect(
      stage.heard(1) == [
        [
          "type": "presence", "version": 4, "left": [["peer": "b", "reason": "moved"]],
          "joined": [["peer": "b", "name": "Bob", "role": "member", "polite": true]],
        ]
      ])
    #expect(stage.ends[2]?.code == 4000)
    #expect(stage.ends[2]?.error == nil)
    #expect(stage.heard(3) == [])
  }

  @Test("nobody hears from a peer before it has heard of it")
  func newsFirst() {
    let stage = Self.stage(2)
    stage.enter(3, as: "c")
    _ = stage.heard(1)
    stage.enter(4, as: "d")
    stage.say(4, #"{"type":"signal","to":"a","kind":"offer","data":"x"}"#)
    #expect(stage.heard(1).types == ["joined", "signal"])
    #expect(stage.heard(2).types == ["joined"])
    stage.say(4, #"{"type":"broadcast","data":1}"#)
    #expect(stage.heard(2).types == ["joined", "broadcast"])
    #expect(stage.heard(3).types == ["joined", "broadcast"])
    stage.pass()
    #expect(stage.heard(1).types == ["broadcast"])
    #expect(stage.heard(2) == [])
  }

  @Test("a change of the room is told to all, behind news of peers")
  func room() {
    let stage = Self.stage(2)
    stage.say(1, #"{"type":"room","meta":{"topic":"x"},"max_peers":10,"id":1}"#)
    let change: JSON = [
      "type": "room", "version": 3, "locked": false, "max_peers": 10, "meta": ["topic": "x"],
    ]
    #expect(stage.heard(2) == [change])
    #expect(stage.heard(1).of("room") == [change])
    stage.leave(2)
    stage.say(1, #"{"type":"lock","locked":true}"#)
    stage.pass()
    #expect(stage.heard(1).types == ["left", "room"])
  }

  @Test("news of a room wait for at most 50 ms, and the first ones not at all")
  func interval() throws {
    let stage = Self.stage(2)
    let start = stage.now
    stage.enter(3, as: "c")
    #expect(stage.heard(1).count == 1)
    stage.enter(4, as: "d")
    let wake = try #require(stage.nextWake)
    #expect(wake <= start.advanced(by: .milliseconds(56)))
    stage.pass(.milliseconds(48))
    #expect(stage.heard(1) == [])
    stage.pass(.milliseconds(8))
    #expect(stage.heard(1).count == 1)
  }

  @Test("versions only grow, whatever is told")
  func versions() {
    let stage = Self.stage(3)
    for number in 0..<20 {
      stage.say(2, #"{"type":"update","name":"\#(number)"}"#)
      stage.say(1, #"{"type":"lock","locked":\#(number % 2 == 0)}"#)
      if number % 3 == 0 { stage.pass(.milliseconds(20)) }
    }
    stage.pass()
    let versions = stage.heard(3).compactMap { $0["version"]?.integer }
    #expect(versions == versions.sorted())
    #expect(versions.last == 43)
  }
}
