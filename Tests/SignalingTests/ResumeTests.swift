import Net
import Testing

@testable import Signaling

@Suite("coming back")
struct ResumeTests {
  /// Peers a and b on connections 1 and 2, who have heard all of it, and what a's place is named by.
  private static func stage(_ rules: RoomRules = RoomRules()) throws -> (Stage, resume: String) {
    let stage = Stage(rules)
    let resume = try #require(stage.enter(1, as: "a", name: "Ada")?["resume"]?.text)
    stage.enter(2, as: "b", .moderator)
    stage.forgetAll()
    return (stage, resume)
  }

  private static func signal(_ number: Int) -> String {
    #"{"type":"signal","to":"a","kind":"custom","data":\#(number)}"#
  }

  @Test("who comes back in time gets what it missed, in order, behind a roster as it is now")
  func resume() throws {
    let (stage, resume) = try Self.stage()
    for number in 1...3 { stage.say(2, Self.signal(number)) }
    stage.lose(1)
    for number in 4...6 { stage.say(2, Self.signal(number)) }
    stage.enter(3, as: "c")
    stage.say(2, #"{"type":"update","name":"Bob"}"#)
    stage.pass()
    let welcome = try #require(stage.enter(4, resume: resume, seq: 2))
    #expect(welcome["resumed"] == true)
    #expect(welcome["peer"] == "a")
    #expect(welcome["resume"] == .string(resume))
    #expect(welcome["seq"] == 6)
    #expect(welcome["room"]?["version"] == 4)
    #expect(
      welcome["peers"] == [
        ["peer": "b", "name": "Bob", "role": "member", "polite": true],
        ["peer": "c", "role": "member", "polite": true],
      ])
    let missed = stage.heard(4)
    #expect(missed.types == ["signal", "signal", "signal", "signal"])
    #expect(missed.map { $0["data"] } == [3, 4, 5, 6])
    #expect(missed.map { $0["seq"] } == [3, 4, 5, 6])
    // The others saw nothing.
    stage.pass()
    #expect(stage.heard(2).of("left") + stage.heard(2).of("joined") == [])
    stage.say(2, Self.signal(7))
    #expect(stage.heard(4).map { $0["seq"] } == [7])
    #expect(stage.counts.resumesWon == 1)
    #expect(stage.peers()?.first?.peer.name == "Ada")
    #expect(stage.peers()?.first?.isAway == false)
  }

  @Test("who has missed nothing gets nothing again")
  func nothingMissed() throws {
    let (stage, resume) = try Self.stage()
    stage.say(2, Self.signal(1))
    stage.lose(1)
    #expect(stage.enter(3, resume: resume, seq: 1)?["seq"] == 1)
    #expect(stage.heard(3) == [])
    #expect(stage.peers()?.map(\.keptMessageCount) == [0, 0])
  }

  @Test("the newest connection wins, and the older one is told")
  func newestWins() throws {
    let (stage, resume) = try Self.stage()
    stage.say(2, Self.signal(1))
    _ = stage.heard(1)
    #expect(stage.enter(3, resume: resume, seq: 0)?["resumed"] == true)
    #expect(stage.ends[1]?.code == 4000)
    #expect(stage.ends[1]?.error == nil)
    #expect(stage.heard(3).map { $0["data"] } == [1])
    // What the older one still says is nobody's, and its loss is no loss.
    stage.say(1, #"{"type":"broadcast","data":1}"#)
    stage.lose(1)
    stage.pass(.seconds(60))
    #expect(stage.heard(2).of("broadcast") == [])
    #expect(stage.ids() == ["a", "b"])
    #expect(stage.enter(4, resume: resume, seq: 1)?["resumed"] == true)
    #expect(stage.ends[3]?.code == 4000)
  }

  @Test("answers come again, too, the kinds of which a peer has to know")
  func answers() throws {
    let (stage, resume) = try Self.stage()
    stage.say(1, #"{"type":"ping","id":1}"#)
    stage.say(1, #"{"type":"signal","to":"x","kind":"offer","data":"","id":2}"#)
    stage.say(1, #"{"type":"signal","to":"x","kind":"offer","data":""}"#)
    stage.say(1, #"{"type":"what","id":"3"}"#)
    stage.say(1, #"{"type":"broadcast","data":1,"id":4}"#)
    let answers = stage.heard(1)
    #expect(answers.types == ["ack", "error", "error", "error", "ack"])
    #expect(answers.map { $0["seq"] } == [1, 2, nil, 3, 4])
    stage.lose(1)
    let welcome = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(welcome["seq"] == 4)
    #expect(stage.heard(3) == answers.filter { $0["seq"] != nil })
  }

  @Test("news of the room do not come again: the roster has them")
  func presenceIsNotReplayed() throws {
    let (stage, resume) = try Self.stage()
    stage.lose(1)
    for _ in 0..<5 {
      stage.enter(9, as: "z")
      stage.pass()
      stage.leave(9)
      stage.pass()
    }
    let welcome = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(welcome["room"]?["version"] == 12)
    stage.pass()
    #expect(stage.heard(3) == [])
  }

  @Test("behind the window the peer comes in afresh, under the id that it had")
  func windowOver() throws {
    let (stage, resume) = try Self.stage(RoomRules(resumeWindow: .seconds(10)))
    stage.lose(1)
    stage.say(2, Self.signal(1))
    stage.pass(.seconds(10))
    stage.forgetAll()
    let welcome = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(welcome["resumed"] == false)
    #expect(welcome["peer"] == "a")
    #expect(welcome["seq"] == 0)
    #expect(welcome["resume"] != .string(resume))
    #expect(stage.heard(3) == [])
    #expect(stage.heard(2).types == ["joined"])
    #expect(stage.counts.joins == 3)
  }

  @Test("while the process ends, no place is given up")
  func ending() throws {
    let (stage, resume) = try Self.stage()
    stage.enter(3, as: "c")
    stage.lose(1)
    stage.pass(.seconds(29))
    stage.keepPlaces(for: .seconds(60))
    stage.forgetAll()
    stage.lose(3)
    stage.pass(.seconds(59))
    #expect(stage.heard(2).of("left") == [])
    #expect(stage.enter(4, resume: resume, seq: 0)?["resumed"] == true)
    stage.pass(.seconds(2))
    #expect(stage.heard(2).of("left").map { $0["peer"] } == ["c"])
  }

  @Test("to the last moment of the window the place is kept")
  func windowEnd() throws {
    let (stage, resume) = try Self.stage(RoomRules(resumeWindow: .seconds(10)))
    stage.lose(1)
    stage.pass(.milliseconds(9992))
    #expect(stage.enter(3, resume: resume, seq: 0)?["resumed"] == true)
    // And the next window begins with the next loss.
    stage.pass(.seconds(60))
    stage.lose(3)
    stage.pass(.milliseconds(9992))
    #expect(stage.enter(4, resume: resume, seq: 0)?["resumed"] == true)
  }

  @Test(
    "who knows its name and not what it has seen leaves and comes anew", arguments: [true, false])
  func withoutSequence(isAway: Bool) throws {
    let (stage, resume) = try Self.stage()
    if isAway { stage.lose(1) }
    let welcome = try #require(stage.enter(3, name: "Ada 2", resume: resume))
    #expect(welcome["resumed"] == false)
    #expect(welcome["peer"] == "a")
    #expect(stage.ends[1]?.code == (isAway ? nil : 4000))
    let news = stage.heard(2)
    #expect(news.types == ["presence"])
    #expect(news.first?["left"] == [["peer": "a", "reason": "moved"]])
    #expect(news.first?["joined"]?.list.first?["name"] == "Ada 2")
    #expect(stage.counts.departures == 1)
  }

  @Test("256 messages are kept, and not one more", arguments: [(256, true), (257, false)])
  func messageBound(count: Int, isResumed: Bool) throws {
    let (stage, resume) = try Self.stage()
    stage.lose(1)
    for number in 1...count { stage.say(2, Self.signal(number)) }
    #expect(stage.peers()?.first?.keptMessageCount == 256)
    let welcome = stage.enter(3, resume: resume, seq: 0)
    #expect((welcome != nil) == isResumed)
    guard !isResumed else {
      return #expect(stage.heard(3).map { $0["data"]?.integer } == Array(1...256))
    }
    #expect(stage.ends[3]?.code == 4200)
    #expect(stage.heard(3) == [])
    #expect(stage.counts.resumesAfresh == 1)
    // The place is there still, for who has seen more, and for who comes in afresh.
    #expect(stage.ids() == ["a", "b"])
    #expect(stage.enter(4, resume: resume, seq: 1)?["resumed"] == true)
    #expect(stage.heard(4).count == 256)
    #expect(stage.enter(5, resume: resume)?["peer"] == "a")
  }

  @Test("256 KiB are kept, and not one octet more")
  func byteBound() throws {
    func stage(with count: Int, of byteCount: Int) throws -> (Stage, String) {
      let (stage, resume) = try Self.stage()
      stage.lose(1)
      let data = String(repeating: "x", count: byteCount)
      for _ in 0..<count {
        stage.say(2, #"{"type":"signal","to":"a","kind":"custom","data":"\#(data)"}"#)
      }
      return (stage, resume)
    }
    // What is counted is the message without its number: here 70 octets and the data's.
    let overhead = #""type":"signal","from":"b","kind":"custom","generation":0,"data":""}"#.utf8
      .count
    let (fits, resume) = try stage(with: 8, of: 32 * 1024 - overhead)
    #expect(fits.peers()?.first?.keptMessageCount == 8)
    #expect(fits.enter(3, resume: resume, seq: 0)?["resumed"] == true)
    #expect(fits.heard(3).count == 8)
    let (tooMuch, other) = try stage(with: 8, of: 32 * 1024 - overhead + 1)
    #expect(tooMuch.peers()?.first?.keptMessageCount == 7)
    #expect(tooMuch.enter(3, resume: other, seq: 0) == nil)
    #expect(tooMuch.ends[3]?.code == 4200)
    // One message that is larger than all that is kept is not kept at all.
    let (huge, third) = try stage(with: 1, of: 300 * 1024)
    #expect(huge.peers()?.first?.keptMessageCount == 0)
    #expect(huge.enter(3, resume: third, seq: 1)?["resumed"] == true)
  }

  @Test(
    "what has arrived need not be kept: numbers before it are too old", arguments: [0, 2, 6, 99])
  func oldSequence(seq: UInt64) throws {
    let (stage, resume) = try Self.stage()
    for number in 1...5 { stage.say(2, Self.signal(number)) }
    stage.feed(.confirmed(3), from: 1)
    stage.lose(1)
    #expect(stage.enter(3, resume: resume, seq: seq) == nil)
    #expect(stage.ends[3]?.code == 4200)
    #expect(stage.enter(4, resume: resume, seq: 3)?["resumed"] == true)
    #expect(stage.heard(4).map { $0["data"] } == [4, 5])
  }

  @Test("a number once told is an answer: what was before it need not be kept")
  func sequenceConfirms() throws {
    let (stage, resume) = try Self.stage()
    for number in 1...5 { stage.say(2, Self.signal(number)) }
    stage.lose(1)
    stage.enter(3, resume: resume, seq: 4)
    #expect(stage.peers()?.first?.keptMessageCount == 1)
    stage.lose(3)
    #expect(stage.enter(4, resume: resume, seq: 3) == nil)
  }

  @Test("names that nobody gave are a stranger's")
  func forged() throws {
    let (stage, resume) = try Self.stage()
    stage.lose(1)
    let parts = resume.split(separator: ".").map(String.init)
    var names = [
      "", ".", "..", "...", "a", "a.b.c", "a.\(parts[1]).", "a..\(parts[2])",
      ".\(parts[1]).\(parts[2])",
      "b.\(parts[1]).\(parts[2])", "a.0.\(parts[2])", "A.\(parts[1]).\(parts[2])", resume + "x",
      resume + ".", "x" + resume, resume.uppercased(), String(resume.dropLast()), " " + resume,
      resume + "=", "a.+\(parts[1]).\(parts[2])", "a.0\(parts[1]).\(parts[2])",
      String(repeating: "a", count: 10_000), "ü.\(parts[1]).\(parts[2])",
    ]
    let octets = Array(resume.utf8)
    for place in octets.indices {
      var changed = octets
      changed[place] = changed[place] == UInt8(ascii: "a") ? UInt8(ascii: "b") : UInt8(ascii: "a")
      names.append(String(decoding: changed, as: UTF8.self))
    }
    for (number, name) in names.enumerated() {
      let welcome = try #require(stage.enter(100 + number, resume: name, seq: 0))
      #expect(welcome["resumed"] == false, "\(name)")
      #expect(welcome["peer"] != "a", "\(name)")
      stage.leave(100 + number)
    }
    #expect(stage.enter(3, resume: resume, seq: 0)?["resumed"] == true)
  }

  @Test("a name is good in its room and on its route only")
  func foreign() throws {
    let (stage, resume) = try Self.stage()
    #expect(stage.enter(3, in: "elsewhere", resume: resume)?["peer"] != "a")
    let other = Stage(route: "other")
    #expect(other.enter(1, resume: resume)?["peer"] != "a")
    #expect(stage.ends[1] == nil)
  }

  @Test("a name of an older life gets the id and not the place")
  func olderLife() throws {
    let (stage, resume) = try Self.stage()
    stage.leave(1)
    let second = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(second["resumed"] == false)
    stage.say(2, Self.signal(1))
    let third = try #require(stage.enter(4, resume: resume, seq: 0))
    #expect(third["resumed"] == false)
    #expect(third["peer"] == "a")
    #expect(stage.heard(4) == [])
    #expect(stage.ends[3]?.code == 4000)
    let name = try #require(third["resume"]?.text)
    #expect(stage.enter(5, resume: name, seq: 0)?["resumed"] == true)
  }

  @Test("a place is given back to who its token speaks for, and to nobody else")
  func subjects() throws {
    let stage = Stage()
    let pass = Pass(subject: "alice")
    let resume = try #require(stage.enter(1, pass)?["resume"]?.text)
    let id = try #require(stage.admitted[1])
    stage.lose(1)
    for other in [Pass(), Pass(subject: "bob")] {
      let welcome = try #require(stage.enter(2, other, resume: resume, seq: 0))
      #expect(welcome["resumed"] == false)
      #expect(welcome["peer"]?.text != id)
      stage.leave(2)
    }
    let fixed = try #require(stage.enter(3, as: "x", pass, resume: resume, seq: 0))
    #expect(fixed["resumed"] == false)
    #expect(fixed["peer"] == "x")
    #expect(stage.enter(4, pass, resume: resume, seq: 0)?["resumed"] == true)
  }

  @Test("the pass of the newer connection holds, and its name and role are told")
  func newPass() throws {
    let stage = Stage()
    let resume = try #require(stage.enter(1, Pass(name: "Ada", subject: "s"))?["resume"]?.text)
    stage.enter(2, as: "b")
    stage.forgetAll()
    stage.lose(1)
    let pass = Pass(
      name: "Countess", role: .host, rights: .moderate, subject: "s", expiresAt: .at(.seconds(60)))
    let welcome = try #require(stage.enter(3, pass, resume: resume, seq: 0))
    #expect(welcome["role"] == "host")
    #expect(welcome["can"] == ["moderate"])
    stage.pass()
    let news = stage.heard(2)
    #expect(news.map { $0["name"] } == ["Countess"])
    #expect(news.map { $0["role"] } == ["host"])
    stage.pass(.seconds(60))
    #expect(stage.ends[3]?.code == 4001)
  }

  @Test("neither password nor a full or locked room keeps a peer from its place")
  func noQuestions() throws {
    let stage = Stage(RoomRules(peerCountMax: 1, password: "p"))
    let resume = try #require(stage.enter(1, .moderator, password: "p")?["resume"]?.text)
    stage.say(1, #"{"type":"lock","locked":true}"#)
    stage.lose(1)
    let welcome = stage.enter(
      2, .moderator, resume: resume, seq: 0, mayOpenRoom: false, mayAddPeer: false)
    #expect(welcome?["resumed"] == true)
  }

  @Test("an id is kept over a restart with the same secret, and not with another")
  func restart() throws {
    let (_, resume) = try Self.stage()
    let next = Stage()
    let welcome = try #require(next.enter(1, resume: resume, seq: 7))
    #expect(welcome["peer"] == "a")
    #expect(welcome["resumed"] == false)
    #expect(welcome["seq"] == 0)
    for secret in [[], [0], Array(1...32)] as [[UInt8]] {
      let stranger = Stage(secret: secret)
      #expect(stranger.enter(1, resume: resume, seq: 7)?["peer"] != "a")
    }
  }

  @Test("who left on purpose has no place to come back to, and no id to lose")
  func afterLeave() throws {
    let (stage, resume) = try Self.stage()
    stage.say(1, #"{"type":"leave"}"#)
    let welcome = try #require(stage.enter(3, resume: resume, seq: 0))
    #expect(welcome["resumed"] == false)
    #expect(welcome["peer"] == "a")
  }
}

@Suite("names of places")
struct ResumeSignerTests {
  @Test("what is sealed is opened", arguments: ["a", "a.b", "..", "0.zz.~", "-"], [0, 36, .max])
  func roundTrip(id: String, nonce: UInt64) throws {
    let signer = ResumeSigner(secret: [1, 2, 3], route: "r")
    let (peer, room) = (try #require(PeerID(id)), try #require(RoomName("hall")))
    let opened = try #require(signer.open(signer.seal(peer, nonce: nonce, room: room), room: room))
    #expect(opened.peer == peer)
    #expect(opened.nonce == nonce)
  }

  @Test("names outlive a release: this one was made by another program")
  func known() throws {
    // printf 'resume\nrooms\nhall\nada\n16' | openssl dgst -sha256 -mac HMAC \
    //   -macopt hexkey:000102…1f -binary | head -c 16 | basenc --base64url
    let signer = ResumeSigner(secret: Array(0..<32), route: "rooms")
    let (ada, hall) = (try #require(PeerID("ada")), try #require(RoomName("hall")))
    #expect(signer.seal(ada, nonce: 42, room: hall) == "ada.16.evTeWxOSyDDRdjKmitUDzQ")
  }
}
