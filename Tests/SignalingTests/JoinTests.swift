import Net
import Testing
import WebSocket

@testable import Signaling

@Suite("coming in")
struct JoinTests {
  @Test("the first one is told all about the room and itself")
  func welcome() throws {
    let stage = Stage()
    let welcome = try #require(stage.enter(1, as: "ada", name: "Ada", meta: #"{"a":1}"#))
    let resume = try #require(welcome["resume"]?.text)
    #expect(
      welcome == [
        "type": "welcome", "peer": "ada", "resume": .string(resume), "resumed": false, "seq": 0,
        "room": ["name": "hall", "version": 1, "locked": false, "max_peers": 64],
        "role": "member", "can": ["signal", "broadcast", "update"], "peers": [],
        "ice_servers": [], "limits": ["message_size": 65_536, "messages_per_second": 20],
        "heartbeat": 25_000,
      ])
    #expect(stage.heard(1) == [])
  }

  @Test("the second one is told of the first, and the first of the second")
  func roster() throws {
    let stage = Stage()
    stage.enter(1, as: "ada", Pass(role: .host), name: "Ada", meta: #"{"a" : [1]}"#)
    stage.pass()
    let welcome = try #require(stage.enter(2, as: "bob", Pass(role: .guest)))
    #expect(
      welcome["peers"] == [
        ["peer": "ada", "name": "Ada", "role": "host", "meta": ["a": [1]], "polite": false]
      ])
    #expect(welcome["role"] == "guest")
    #expect(welcome["room"]?["version"] == 2)
    #expect(
      stage.heard(1) == [
        ["type": "joined", "version": 2, "peer": "bob", "role": "guest", "polite": true]
      ])
    #expect(stage.heard(2) == [])
  }

  @Test(
    "of two peers the smaller one is polite, whoever came first",
    arguments: [("a", "b"), ("b", "a"), ("Z", "a"), ("aa", "a"), ("10", "9"), ("~", "-")])
  func polite(first: String, second: String) throws {
    let stage = Stage()
    stage.enter(1, as: first)
    stage.pass()
    let welcome = try #require(stage.enter(2, as: second))
    let secondIsPolite = Array(second.utf8).lexicographicallyPrecedes(Array(first.utf8))
    #expect(welcome["peers"]?.list.first?["polite"] == .flag(secondIsPolite))
    #expect(stage.heard(1).first?["polite"] == .flag(!secondIsPolite))
  }

  @Test("each pair of many has one polite peer, and both say the same")
  func politePairs() throws {
    let stage = Stage()
    let ids = ["m", "M", "0", "zz", "z", "a-b", "a.b", "_"]
    var polite: [String: [String: Bool]] = [:]
    func note(_ reader: String, _ others: [JSON]) {
      for other in others {
        guard let id = other["peer"]?.text, case .flag(let flag)? = other["polite"] else {
          continue
        }
        polite[reader, default: [:]][id] = flag
      }
    }
    for (index, id) in ids.enumerated() {
      note(id, try #require(stage.enter(index, as: id))["peers"]?.list ?? [])
      stage.pass()
    }
    for (index, id) in ids.enumerated() { note(id, stage.heard(index).of("joined")) }
    for one in ids {
      #expect(polite[one]?.count == ids.count - 1)
      for other in ids where other != one {
        #expect(polite[one]?[other] != polite[other]?[one])
      }
    }
  }

  @Test("who has no id gets one, and no two get the same")
  func freshIDs() throws {
    let stage = Stage(RoomRules(peerCountMax: 1000))
    let ids = try (0..<200).map { number in
      let welcome = try #require(stage.enter(number))
      return try #require(welcome["peer"]?.text)
    }
    #expect(Set(ids).count == 200)
    #expect(ids.allSatisfy { PeerID($0) != nil })
  }

  @Test("chance that gives an id which is there already is asked again")
  func idCollision() throws {
    var rooms = Rooms(
      route: "r", RoomRules(), Stage.limits, secret: Stage.secret, now: .at(.zero))
    let name = try #require(RoomName("hall"))
    let moment = Moment(now: .at(.zero), unixSeconds: 0)
    for number in 1...20 {
      let isIn = rooms.join(
        Newcomer(socket: PeerSocket(number), greeting: Greeting(), pass: Pass(), chance: 5), name,
        moment)
      #expect(isIn)
    }
    let listing = rooms.peers(of: name, now: .at(.zero))
    let peers = try #require(listing)
    #expect(Set(peers.map(\.peer.id)).count == 20)
  }

  @Test("the token's name counts, and not what the peer says")
  func tokenName() throws {
    let stage = Stage()
    stage.enter(1, as: "ada", Pass(name: "Countess"), name: "Ada")
    let welcome = try #require(stage.enter(2))
    #expect(welcome["peers"]?.list.first?["name"] == "Countess")
  }

  @Test("names are escaped wherever they are told")
  func escapedName() throws {
    let stage = Stage()
    let name = "\"\\/😀\u{2028}</script>"
    stage.enter(1, as: "a", name: name)
    stage.pass()
    let welcome = try #require(stage.enter(2, as: "b", name: name))
    #expect(welcome["peers"]?.list.first?["name"] == .string(name))
    #expect(stage.heard(1).first?["name"] == .string(name))
  }

  @Test("limits that do not hold are not told, and an expiry is")
  func sparseWelcome() throws {
    let stage = Stage(
      limits: PeerLimits(messageByteCountMax: 9, messagesPerSecond: nil, heartbeat: nil))
    let pass = Pass(expiresAt: .at(.seconds(60)), expiry: Stage.unixStart + 60)
    let welcome = try #require(stage.enter(1, pass))
    #expect(welcome["limits"] == ["message_size": 9])
    #expect(welcome["heartbeat"] == nil)
    #expect(welcome["expires_at"]?.integer == Int(Stage.unixStart) + 60)
  }

  @Test("what a peer may do is told by the words of the protocol")
  func can() throws {
    let all: [(Rights, JSON)] = [
      ([], []), (.signal, ["signal"]), ([.update, .moderate], ["update", "moderate"]),
      ([.signal, .broadcast, .update, .moderate], ["signal", "broadcast", "update", "moderate"]),
    ]
    for (rights, words) in all {
      let stage = Stage()
      #expect(try #require(stage.enter(1, Pass(rights: rights)))["can"] == words)
    }
    for word in ["signal", "broadcast", "update", "moderate"] {
      #expect(Rights(word: word) != nil)
    }
    #expect(Rights(word: "Signal") == nil)
  }

  @Test("rooms have nothing to do with each other")
  func rooms() throws {
    let stage = Stage()
    stage.enter(1, in: "one", as: "a")
    stage.enter(2, in: "two", as: "a")
    stage.enter(3, in: "one", as: "b")
    stage.forgetAll()
    stage.say(3, #"{"type":"broadcast","data":1}"#)
    stage.say(2, #"{"type":"signal","to":"b","kind":"custom","data":1,"id":1}"#)
    #expect(stage.heard(1).types == ["broadcast"])
    #expect(stage.heard(2).first?["code"] == "no_such_peer")
    #expect(stage.ids("one") == ["a", "b"])
    #expect(stage.ids("two") == ["a"])
    #expect(stage.roomCount == 2)
  }
}

@Suite("being refused")
struct RefusalTests {
  /// Somebody is refused with this, and nothing has come of it.
  private func expectRefused(
    _ stage: Stage, _ socket: Int, _ error: String, _ code: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let end = stage.ends[socket]
    #expect(end?.code == code, sourceLocation: sourceLocation)
    #expect(end?.error?["type"] == "error", sourceLocation: sourceLocation)
    #expect(end?.error?["code"] == .string(error), sourceLocation: sourceLocation)
    #expect(end?.error?["message"]?.text == end?.words, sourceLocation: sourceLocation)
    #expect(end?.error?["seq"] == nil, sourceLocation: sourceLocation)
    #expect(stage.heard(socket) == [], sourceLocation: sourceLocation)
  }

  @Test("a password has to be the same, octet for octet")
  func password() {
    let stage = Stage(RoomRules(password: "Sesam öffne dich"))
    for (socket, wrong) in [nil, "", "sesam öffne dich", "Sesam öffne dich "].enumerated() {
      #expect(stage.enter(socket, password: wrong) == nil)
      self.expectRefused(stage, socket, "wrong_password", 4002)
    }
    #expect(stage.enter(9, password: "Sesam öffne dich") != nil)
    #expect(stage.counts.refusals == 4)
    #expect(stage.counts.joins == 1)
  }

  @Test("who is refused opens no room", arguments: [Duration.zero, .seconds(30)])
  func nothingOpened(emptyRoomTTL: Duration) {
    let stage = Stage(
      RoomRules(
        listed: [], emptyRoomTTL: emptyRoomTTL, password: "p"))
    let refusals: [() -> JSON?] = [
      { stage.enter(1, in: "one", password: "wrong") },
      { stage.enter(2, in: "two", password: "p", mayAddPeer: false) },
      { stage.enter(3, in: "three", password: "p", mayOpenRoom: false) },
      { stage.enter(4, in: "four", Pass(peerCountMax: 0), password: "p") },
    ]
    for refusal in refusals { #expect(refusal() == nil) }
    #expect(stage.roomCount == 0)
    #expect(stage.listing == [])
    #expect(stage.notices == [])
    #expect(stage.counts.roomsOpened == stage.counts.roomsClosed)
    #expect(stage.counts.refusals == 4)
    #expect(stage.nextWake == nil)
  }

  @Test("what a refused one's token says of the room is not kept")
  func refusedClaim() throws {
    let stage = Stage(RoomRules(password: "p"))
    stage.enter(1, Pass(peerCountMax: 1))
    #expect(try #require(stage.enter(2, password: "p"))["room"]?["max_peers"] == 64)
  }

  @Test("rooms that take a token to open take none to enter")
  func creationByToken() {
    let stage = Stage(RoomRules(creation: .token))
    #expect(stage.enter(1) == nil)
    self.expectRefused(stage, 1, "no_such_room", 4005)
    #expect(stage.enter(2, Pass(hasToken: true)) != nil)
    #expect(stage.enter(1) != nil)
  }

  @Test("of listed rooms there are no others")
  func creationListed() throws {
    let hall = try #require(RoomName("hall"))
    let stage = Stage(RoomRules(creation: .listed, listed: [.init(name: hall)]))
    #expect(stage.enter(1, in: "attic", Pass(hasToken: true)) == nil)
    self.expectRefused(stage, 1, "no_such_room", 4005)
    #expect(stage.enter(2, in: "hall") != nil)
    #expect(stage.roomCount == 1)
  }

  @Test("a listed room has its own limit and password, where it says so")
  func listedRules() throws {
    let (hall, attic) = (try #require(RoomName("hall")), try #require(RoomName("attic")))
    let stage = Stage(
      RoomRules(
        peerCountMax: 3,
        listed: [
          .init(name: hall, peerCountMax: 1, password: "secret"), .init(name: attic),
        ], password: "common"))
    #expect(stage.enter(1, in: "hall", password: "common") == nil)
    self.expectRefused(stage, 1, "wrong_password", 4002)
    let welcome = try #require(stage.enter(1, in: "hall", password: "secret"))
    #expect(welcome["room"]?["max_peers"] == 1)
    #expect(stage.enter(2, in: "hall", password: "secret") == nil)
    self.expectRefused(stage, 2, "room_full", 4100)
    for room in ["attic", "elsewhere"] {
      #expect(stage.enter(3, in: room, password: "secret") == nil)
      let welcome = try #require(stage.enter(4, in: room, password: "common"))
      #expect(welcome["room"]?["max_peers"] == 3)
    }
  }

  @Test("a room is full with as many peers as the route says")
  func full() {
    let stage = Stage(RoomRules(peerCountMax: 2))
    #expect(stage.enter(1) != nil)
    #expect(stage.enter(2) != nil)
    #expect(stage.enter(3) == nil)
    self.expectRefused(stage, 3, "room_full", 4100)
    // A place that is kept is taken.
    stage.lose(1)
    #expect(stage.enter(3) == nil)
    stage.leave(2)
    #expect(stage.enter(3) != nil)
  }

  @Test("who opens a room may say in its token how many peers it has, but no more than the route")
  func claimedLimit() throws {
    let stage = Stage(RoomRules(peerCountMax: 5))
    let first = try #require(stage.enter(1, in: "one", Pass(peerCountMax: 2)))
    #expect(first["room"]?["max_peers"] == 2)
    // What others' tokens say is nothing to a room that is there.
    let second = try #require(stage.enter(2, in: "one", Pass(peerCountMax: 4)))
    #expect(second["room"]?["max_peers"] == 2)
    #expect(stage.enter(3, in: "one") == nil)
    self.expectRefused(stage, 3, "room_full", 4100)
    let other = try #require(stage.enter(4, in: "two", Pass(peerCountMax: 100)))
    #expect(other["room"]?["max_peers"] == 5)
  }

  @Test("too many rooms or peers are the relay's or the client's, and come back later")
  func overloaded() {
    let stage = Stage()
    #expect(stage.enter(1, mayOpenRoom: false) == nil)
    self.expectRefused(stage, 1, "overloaded", 4102)
    #expect(stage.enter(1) != nil)
    #expect(stage.enter(2, mayOpenRoom: false) != nil)
    #expect(stage.enter(3, mayAddPeer: false) == nil)
    self.expectRefused(stage, 3, "overloaded", 4102)
  }

  @Test("who takes its own place again adds no peer")
  func replacing() throws {
    let stage = Stage(RoomRules(peerCountMax: 1))
    stage.enter(1, as: "ada")
    #expect(stage.enter(2, as: "ada", mayAddPeer: false) != nil)
    #expect(stage.ends[1]?.code == 4000)
    #expect(stage.ids() == ["ada"])
  }

  @Test("each error has the close code that the document gives it")
  func codes() {
    let codes: [ErrorCode: Int] = [
      .tokenRefused: 4001, .wrongPassword: 4002, .kicked: 4003, .banned: 4004, .noSuchRoom: 4005,
      .closed: 4006, .flooding: 4008, .roomFull: 4100, .roomLocked: 4101, .overloaded: 4102,
    ]
    for code in ErrorCode.allCases {
      #expect(code.closeCode.map { Int($0.rawValue) } == codes[code], "\(code)")
    }
    let words = [
      "bad_message", "too_large", "forbidden", "no_such_peer", "rate_limited", "not_in_room",
      "token_refused", "wrong_password", "kicked", "banned", "no_such_room", "closed", "flooding",
      "room_full", "room_locked", "overloaded",
    ]
    #expect(ErrorCode.allCases.map(\.rawValue) == words)
  }
}
