import Net
import Testing

@testable import Signaling

@Suite("operators, new rules and books")
struct OperatorTests {
  @Test("rooms and peers are listed")
  func listings() throws {
    let stage = Stage(RoomRules(peerCountMax: 9))
    #expect(stage.listing == [])
    #expect(stage.peers() == nil)
    let pass = Pass(role: .host, subject: "alice", client: "192.0.2.1")
    stage.enter(1, as: "a", pass, name: "Ada")
    stage.pass(.seconds(10))
    stage.enter(2, as: "b", .moderator)
    stage.enter(3, in: "attic", as: "c")
    stage.say(2, #"{"type":"lock","locked":true}"#)
    stage.say(2, #"{"type":"broadcast","data":1}"#)
    stage.lose(1)
    stage.pass(.seconds(5))
    let (hall, attic) = (try #require(RoomName("hall")), try #require(RoomName("attic")))
    #expect(
      stage.listing.sorted { $0.version > $1.version } == [
        RoomListing(
          name: hall, peerCount: 2, awayCount: 1, peerCountMax: 9, isLocked: true, version: 3,
          age: .seconds(15)),
        RoomListing(
          name: attic, peerCount: 1, awayCount: 0, peerCountMax: 9, isLocked: false, version: 1,
          age: .seconds(5)),
      ])
    let ada = PeerNotice(
      id: try #require(PeerID("a")), name: "Ada", role: .host, subject: "alice", client: "192.0.2.1"
    )
    #expect(
      stage.peers()?.first
        == PeerListing(peer: ada, isAway: true, age: .seconds(15), keptMessageCount: 1))
    #expect(stage.peers("nowhere") == nil)
  }

  @Test("an operator's kick is a moderator's")
  func kick() {
    let stage = Stage()
    stage.enter(1, as: "a", Pass(client: "192.0.2.1"))
    stage.enter(2, as: "b", Pass(client: "192.0.2.2"))
    stage.forgetAll()
    #expect(!stage.kick("x"))
    #expect(!stage.kick("a", "nowhere"))
    #expect(stage.kick("a", reason: "spam", ban: .seconds(30)))
    #expect(stage.ends[1]?.code == 4004)
    #expect(stage.ends[1]?.error?["retry_after"] == 30_000)
    #expect(stage.heard(2).map { $0["reason"] } == ["kicked"])
    #expect(stage.enter(3, Pass(client: "192.0.2.1")) == nil)
    #expect(stage.kick("b"))
    #expect(stage.ends[2]?.code == 4003)
    #expect(stage.peerCount == 0)
    // Its room is kept for as long as others are.
    #expect(stage.roomCount == 1)
    stage.pass(.seconds(30))
    #expect(stage.roomCount == 0)
  }

  @Test("a room that is closed is closed for all, and nothing of it is left")
  func close() throws {
    let stage = Stage()
    #expect(stage.close() == nil)
    stage.enter(1, as: "a", .moderator)
    stage.enter(2, as: "b")
    let resume = try #require(stage.enter(3, as: "c")?["resume"]?.text)
    stage.lose(3)
    stage.say(1, #"{"type":"room","meta":{"t":1}}"#)
    stage.forgetAll()
    #expect(stage.close(words: "night") == 3)
    for socket in [1, 2] {
      #expect(
        stage.ends[socket]
          == End(
            code: 4006, words: "night",
            error: ["type": "error", "code": "closed", "message": "night"]))
      #expect(stage.heard(socket) == [])
    }
    #expect(stage.roomCount == 0)
    #expect(stage.peerCount == 0)
    #expect(stage.nextWake == nil)
    #expect(stage.enter(4, resume: resume, seq: 0)?["room"]?["version"] == 1)
  }

  @Test("an empty room can be closed, too")
  func closeEmpty() {
    let stage = Stage()
    stage.enter(1)
    stage.leave(1)
    #expect(stage.close() == 0)
    #expect(stage.roomCount == 0)
    stage.pass(.seconds(60))
    #expect(stage.counts.roomsClosed == 1)
  }

  @Test("other rules hold for who comes next, and send nobody away")
  func adopt() throws {
    let stage = Stage(RoomRules(peerCountMax: 3))
    let resume = try #require(stage.enter(1, as: "a")?["resume"]?.text)
    stage.enter(2, as: "b")
    stage.lose(1)
    stage.adopt(
      RoomRules(peerCountMax: 1, resumeWindow: .seconds(5), password: "p"),
      limits: PeerLimits(messageByteCountMax: 100, messagesPerSecond: nil, heartbeat: nil))
    #expect(stage.peerCount == 2)
    // A window that has begun stays as long as it was.
    stage.pass(.seconds(29))
    let welcome = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(welcome["resumed"] == true)
    #expect(welcome["room"]?["max_peers"] == 1)
    #expect(welcome["limits"] == ["message_size": 100])
    #expect(stage.enter(4, password: "p") == nil)
    #expect(stage.ends[4]?.code == 4100)
    #expect(stage.enter(4) == nil)
    #expect(stage.ends[4]?.code == 4002)
    stage.lose(3)
    stage.pass(.seconds(5))
    #expect(stage.ids() == ["b"])
  }

  @Test("a shorter time for empty rooms holds for those that are empty already")
  func adoptEmptyTTL() {
    let stage = Stage(RoomRules(emptyRoomTTL: .seconds(3600)))
    stage.enter(1, in: "one")
    stage.enter(2, in: "two")
    stage.leave(1)
    stage.pass(.seconds(10))
    stage.adopt(RoomRules(emptyRoomTTL: .seconds(20)))
    stage.pass(.seconds(9))
    #expect(stage.roomCount == 2)
    stage.pass(.seconds(1))
    #expect(stage.roomCount == 1)
    stage.adopt(RoomRules(emptyRoomTTL: .seconds(3600)))
    stage.leave(2)
    stage.pass(.seconds(3599))
    #expect(stage.roomCount == 1)
  }

  @Test("TURN servers that are taken away are not told again")
  func adoptTURN() {
    let turn = TURNRules(urls: ["turn:x"], secrets: ["s"], ttl: .seconds(60))
    let stage = Stage(RoomRules(turn: turn))
    stage.enter(1)
    stage.adopt(RoomRules(stunURLs: ["stun:y"]))
    stage.pass(.seconds(30))
    #expect(
      stage.heard(1) == [["type": "ice", "ice_servers": [["urls": ["stun:y"]]]]])
    stage.pass(.seconds(600))
    #expect(stage.heard(1) == [])
  }

  @Test("what happens is noted in order, with who it was")
  func notices() throws {
    let stage = Stage(RoomRules(emptyRoomTTL: .zero))
    let hall = try #require(RoomName("hall"))
    stage.enter(1, as: "a", Pass(role: .guest, subject: "s", client: "192.0.2.1"), name: "Ada")
    stage.say(1, #"{"type":"update","name":"Countess"}"#)
    stage.enter(2, as: "a")
    stage.leave(2)
    let first = try #require(stage.notices.first)
    #expect(first == RoomNotice(room: hall, kind: .roomOpened))
    var ada = PeerNotice(
      id: try #require(PeerID("a")), name: "Ada", role: .guest, subject: "s", client: "192.0.2.1")
    #expect(stage.notices[1].kind == .peerJoined(ada))
    ada.name = "Countess"
    #expect(stage.notices[2].kind == .peerLeft(ada, .moved))
    guard case .peerJoined(let second) = stage.notices[3].kind else {
      Issue.record("\(stage.notices[3])")
      return
    }
    #expect(stage.notices[4].kind == .peerLeft(second, .closed))
    #expect(stage.notices[5] == RoomNotice(room: hall, kind: .roomClosed))
    #expect(stage.notices.count == 6)
  }
}

@Suite("wake-ups")
struct WakeTests {
  @Test("with nobody there, nothing is due")
  func idle() {
    let stage = Stage()
    #expect(stage.nextWake == nil)
    stage.enter(1)
    stage.pass(.seconds(1))
    #expect(stage.nextWake == nil)
    stage.leave(1)
    stage.pass(.seconds(30))
    #expect(stage.nextWake == nil)
    #expect(stage.roomCount == 0)
  }

  @Test("each thing that is due wakes in time")
  func due() {
    let turn = TURNRules(urls: ["turn:x"], secrets: ["s"], ttl: .seconds(1000))
    let stage = Stage(
      RoomRules(resumeWindow: .seconds(30), emptyRoomTTL: .seconds(40), turn: turn))
    func expectWake(by seconds: Int, _ sourceLocation: SourceLocation = #_sourceLocation) {
      stage.pass(.seconds(1))
      #expect(
        stage.nextWake.map { $0 <= .at(.seconds(seconds)) } == true, sourceLocation: sourceLocation)
    }
    stage.enter(1, Pass(expiresAt: .at(.seconds(700))))
    expectWake(by: 500)
    stage.enter(2, in: "attic", Pass(expiresAt: .at(.seconds(200))))
    expectWake(by: 200)
    stage.lose(1)
    expectWake(by: 32)
    stage.feed(.renewed(Pass(expiresAt: .at(.seconds(10))), id: []), from: 2)
    expectWake(by: 10)
    stage.pass(.seconds(30))
    #expect(stage.peerCount == 0)
    expectWake(by: 50)
    stage.pass(.seconds(60))
    #expect(stage.nextWake == nil)
  }

  @Test("deadlines beyond what the wheel reaches come all the same")
  func farAway() {
    let stage = Stage(RoomRules(emptyRoomTTL: .seconds(86_400 * 7)))
    stage.enter(1, Pass(expiresAt: .at(.seconds(86_400 * 10))))
    stage.pass(.seconds(86_400 * 10 - 1))
    #expect(stage.peerCount == 1)
    stage.pass(.seconds(1))
    #expect(stage.peerCount == 0)
    stage.pass(.seconds(86_400 * 7 - 1))
    #expect(stage.roomCount == 1)
    stage.pass(.seconds(1))
    #expect(stage.roomCount == 0)
  }

  @Test("who wakes late finds everything done at once")
  func late() {
    let stage = Stage(RoomRules(resumeWindow: .seconds(30), emptyRoomTTL: .seconds(10)))
    for number in 0..<50 { stage.enter(number, in: "room-\(number % 10)") }
    for number in 0..<50 { stage.lose(number) }
    stage.jump(to: .at(.seconds(100_000)))
    #expect(stage.peerCount == 0)
    #expect(stage.roomCount == 10)
    stage.jump(to: .at(.seconds(100_010)))
    #expect(stage.roomCount == 0)
    #expect(stage.nextWake == nil)
  }

  @Test("a window without an end is one")
  func forEver() {
    let stage = Stage(
      RoomRules(
        resumeWindow: .nanoseconds(Int64.max), emptyRoomTTL: .nanoseconds(Int64.max)))
    stage.enter(1)
    stage.lose(1)
    stage.pass(.seconds(86_400 * 30))
    #expect(stage.peerCount == 1)
  }
}
