import Net
import Testing

@testable import Signaling

/// A moderator m on connection 1, and a and b on 2 and 3, who have heard all of it.
private func hall(_ rules: RoomRules = RoomRules()) -> Stage {
  let stage = Stage(rules)
  stage.enter(1, as: "m", .moderator)
  stage.enter(2, as: "a", Pass(subject: "alice", client: "192.0.2.1"))
  stage.enter(3, as: "b", Pass(client: "192.0.2.2"))
  stage.forgetAll()
  return stage
}

@Suite("moderation")
struct ModerationTests {
  @Test("a locked room takes nobody, but those who have a place")
  func lock() {
    let stage = hall()
    stage.say(1, #"{"type":"lock","locked":true,"id":1}"#)
    #expect(
      stage.heard(1) == [
        ["type": "ack", "seq": 1, "id": 1, "delivered": true],
        ["type": "room", "version": 4, "locked": true, "max_peers": 64],
      ])
    #expect(stage.enter(4) == nil)
    #expect(stage.ends[4]?.code == 4101)
    #expect(stage.ends[4]?.error?["code"] == "room_locked")
    // A token that fixes an id which is there is the same peer's.
    #expect(stage.enter(5, as: "b") != nil)
    #expect(stage.listing.first?.isLocked == true)
    stage.say(1, #"{"type":"lock","locked":false}"#)
    #expect(stage.enter(4) != nil)
  }

  @Test("a lock that is locked already changes nothing")
  func lockTwice() {
    let stage = hall()
    stage.say(1, #"{"type":"lock","locked":false,"id":1}"#)
    #expect(stage.heard(1).types == ["ack"])
    #expect(stage.listing.first?.version == 3)
  }

  @Test("a locked room's peer may come back within its window, and not behind it")
  func lockAndResume() throws {
    let stage = Stage()
    stage.enter(1, as: "m", .moderator)
    let resume = try #require(stage.enter(2)?["resume"]?.text)
    stage.say(1, #"{"type":"lock","locked":true}"#)
    stage.lose(2)
    #expect(stage.enter(3, resume: resume, seq: 0)?["resumed"] == true)
    stage.lose(3)
    stage.pass(.seconds(31))
    #expect(stage.enter(4, resume: resume, seq: 0) == nil)
    #expect(stage.ends[4]?.code == 4101)
  }

  @Test("who is kicked is told why, and may come back")
  func kick() {
    let stage = hall()
    stage.say(1, #"{"type":"kick","peer":"a","reason":"enough","id":1}"#)
    #expect(
      stage.ends[2]
        == End(
          code: 4003, words: "enough",
          error: ["type": "error", "code": "kicked", "message": "enough"]))
    #expect(stage.heard(2) == [])
    #expect(stage.heard(3) == [["type": "left", "version": 4, "peer": "a", "reason": "kicked"]])
    #expect(stage.heard(1).types == ["ack", "left"])
    #expect(stage.enter(4, Pass(subject: "alice")) != nil)
  }

  @Test("without a reason there are words all the same")
  func kickWithoutReason() {
    let stage = hall()
    stage.say(1, #"{"type":"kick","peer":"a"}"#)
    #expect(stage.ends[2]?.words.isEmpty == false)
  }

  @Test("who is banned is kept out until the ban is over, by whom its token speaks for")
  func banOfSubject() {
    let stage = hall()
    stage.say(1, #"{"type":"kick","peer":"a","ban_for":60}"#)
    #expect(stage.ends[2]?.code == 4004)
    #expect(stage.ends[2]?.error?["code"] == "banned")
    #expect(stage.ends[2]?.error?["retry_after"] == 60_000)
    stage.pass(.seconds(20))
    #expect(stage.enter(4, Pass(subject: "alice", client: "198.51.100.7")) == nil)
    #expect(stage.ends[4]?.code == 4004)
    let left = stage.ends[4]?.error?["retry_after"]?.integer ?? 0
    #expect(39_000...40_000 ~= left)
    // Its address is not what was banned.
    #expect(stage.enter(5, Pass(subject: "bob", client: "192.0.2.1")) != nil)
    #expect(stage.enter(6, Pass(client: "192.0.2.1")) != nil)
    stage.pass(.seconds(40))
    #expect(stage.enter(4, Pass(subject: "alice")) != nil)
  }

  @Test("who has no subject is banned by address")
  func banOfAddress() {
    let stage = hall()
    stage.say(1, #"{"type":"kick","peer":"b","ban_for":60}"#)
    #expect(stage.enter(4, Pass(client: "192.0.2.2")) == nil)
    #expect(stage.ends[4]?.code == 4004)
    #expect(stage.enter(5, Pass(subject: "carol", client: "192.0.2.2")) != nil)
    #expect(stage.enter(6, Pass(client: "192.0.2.3")) != nil)
    // A ban is a room's.
    #expect(stage.enter(7, in: "elsewhere", Pass(client: "192.0.2.2")) != nil)
  }

  @Test("a ban holds for who is away, and for its resume name")
  func banOfAway() throws {
    let stage = Stage()
    stage.enter(1, as: "m", .moderator)
    let resume = try #require(stage.enter(2, Pass(client: "192.0.2.1"))?["resume"]?.text)
    let id = try #require(stage.admitted[2])
    stage.lose(2)
    stage.say(1, #"{"type":"kick","peer":"\#(id)","ban_for":60,"id":1}"#)
    #expect(stage.heard(1).of("ack").count == 1)
    #expect(stage.enter(3, Pass(client: "192.0.2.1"), resume: resume, seq: 0) == nil)
    #expect(stage.ends[3]?.code == 4004)
  }

  @Test("a room remembers 256 bans, of which the one that ends first gives way")
  func banLimit() {
    let stage = Stage(RoomRules(emptyRoomTTL: .seconds(60)))
    stage.enter(1, as: "m", .moderator)
    for number in 0...256 {
      stage.enter(2, as: "x", Pass(client: "\(number)"))
      stage.say(1, #"{"type":"kick","peer":"x","ban_for":\#(1000 - number)}"#)
    }
    // The one before the last one was to end first.
    #expect(stage.enter(3, Pass(client: "255")) != nil)
    #expect(stage.enter(4, Pass(client: "256")) == nil)
    #expect(stage.enter(5, Pass(client: "0")) == nil)
  }

  @Test("nobody kicks who is not there, or itself")
  func kickFaults() {
    let stage = hall()
    stage.say(1, #"{"type":"kick","peer":"x","id":1}"#)
    stage.say(1, #"{"type":"kick","peer":"m","id":2}"#)
    #expect(stage.heard(1).map { $0["code"] } == ["no_such_peer", "bad_message"])
    #expect(stage.peerCount == 3)
  }

  @Test("a host by a moderator's word may moderate, until it is none any more")
  func promotion() {
    let stage = hall()
    stage.say(1, #"{"type":"role","peer":"a","role":"host","id":1}"#)
    #expect(
      stage.heard(3) == [["type": "updated", "version": 4, "peer": "a", "role": "host"]])
    #expect(stage.heard(2).types == ["updated"])
    stage.say(2, #"{"type":"lock","locked":true,"id":1}"#)
    #expect(stage.heard(2).of("ack").count == 1)
    stage.say(1, #"{"type":"role","peer":"a","role":"guest","id":2}"#)
    stage.say(2, #"{"type":"lock","locked":false,"id":2}"#)
    #expect(stage.heard(2).of("error").map { $0["code"] } == ["forbidden"])
    stage.say(1, #"{"type":"role","peer":"x","role":"host","id":3}"#)
    #expect(stage.heard(1).of("error").map { $0["code"] } == ["no_such_peer"])
  }

  @Test("a host by its token may what the token says, and no more")
  func hostByToken() {
    let stage = Stage()
    stage.enter(1, as: "a", Pass(role: .host))
    stage.say(1, #"{"type":"lock","locked":true,"id":1}"#)
    #expect(stage.heard(1).map { $0["code"] } == ["forbidden"])
  }

  @Test("a role is kept over a resume")
  func promotionAndResume() throws {
    let stage = Stage()
    stage.enter(1, as: "m", .moderator)
    let resume = try #require(stage.enter(2)?["resume"]?.text)
    let id = try #require(stage.admitted[2])
    stage.say(1, #"{"type":"role","peer":"\#(id)","role":"host"}"#)
    stage.lose(2)
    let welcome = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(welcome["role"] == "host")
    #expect(welcome["can"]?.list.contains("moderate") == true)
  }

  @Test("a room's meta and limit are a moderator's to change")
  func room() throws {
    let stage = hall(RoomRules(peerCountMax: 10))
    stage.say(1, #"{"type":"room","meta":{"t": 1},"max_peers":3}"#)
    #expect(stage.heard(2).first?["max_peers"] == 3)
    #expect(stage.enter(4) == nil)
    #expect(stage.ends[4]?.code == 4100)
    // More than the route allows has no effect.
    stage.say(1, #"{"type":"room","max_peers":1000}"#)
    let welcome = try #require(stage.enter(4))
    #expect(welcome["room"]?["max_peers"] == 10)
    #expect(welcome["room"]?["meta"] == ["t": 1])
    stage.say(1, #"{"type":"room","meta":null}"#)
    #expect(stage.enter(5)?["room"]?["meta"] == nil)
    // Fewer than there are send nobody away.
    stage.say(1, #"{"type":"room","max_peers":1}"#)
    #expect(stage.peerCount == 5)
  }

  @Test("what moderators said is kept for as long as the room is")
  func emptyRoom() throws {
    let stage = Stage(RoomRules(emptyRoomTTL: .seconds(10)))
    stage.enter(1, as: "m", .moderator)
    stage.enter(2, as: "x", Pass(client: "192.0.2.1"))
    stage.say(1, #"{"type":"kick","peer":"x","ban_for":600}"#)
    stage.say(1, #"{"type":"room","meta":{"t":1},"max_peers":5}"#)
    stage.leave(1)
    stage.pass(.seconds(9))
    #expect(stage.enter(3, Pass(client: "192.0.2.1")) == nil)
    let kept = try #require(stage.enter(4))
    #expect(kept["room"]?["meta"] == ["t": 1])
    #expect(kept["room"]?["max_peers"] == 5)
    #expect(kept["room"]?["version"] == 6)
    stage.say(4, #"{"type":"leave"}"#)
    // Whoever was refused meanwhile did not prolong its life.
    stage.pass(.seconds(9))
    #expect(stage.enter(3, Pass(client: "192.0.2.1")) == nil)
    #expect(stage.roomCount == 1)
    stage.pass(.seconds(1))
    #expect(stage.roomCount == 0)
    let fresh = try #require(stage.enter(3, Pass(client: "192.0.2.1")))
    #expect(fresh["room"] == ["name": "hall", "version": 1, "locked": false, "max_peers": 64])
  }

  @Test("a locked room that is empty stays locked, and ends in time all the same")
  func emptyLockedRoom() {
    let stage = Stage(RoomRules(emptyRoomTTL: .seconds(10)))
    stage.enter(1, .moderator)
    stage.say(1, #"{"type":"lock","locked":true}"#)
    stage.leave(1)
    for _ in 0..<5 {
      stage.pass(.seconds(1))
      #expect(stage.enter(2) == nil)
      #expect(stage.ends[2]?.code == 4101)
    }
    stage.pass(.seconds(5))
    #expect(stage.enter(2) != nil)
  }

  @Test("a room that is kept for no time at all ends with its last peer")
  func noTTL() {
    let stage = Stage(RoomRules(emptyRoomTTL: .zero))
    stage.enter(1)
    stage.enter(2)
    stage.leave(1)
    #expect(stage.roomCount == 1)
    stage.lose(2)
    #expect(stage.roomCount == 1)
    stage.pass(.seconds(30))
    #expect(stage.roomCount == 0)
    #expect(stage.nextWake == nil)
    #expect(stage.counts.roomsClosed == 1)
  }

  @Test("the last one that comes anew does not end its room")
  func noTTLMoved() {
    let stage = Stage(RoomRules(emptyRoomTTL: .zero))
    stage.enter(1, as: "a", .moderator)
    stage.say(1, #"{"type":"room","meta":{"t":1}}"#)
    #expect(stage.enter(2, as: "a")?["room"]?["meta"] == ["t": 1])
    #expect(stage.counts.roomsOpened == 1)
    #expect(stage.counts.roomsClosed == 0)
  }
}
