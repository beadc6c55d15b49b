import Net
import Testing

@testable import Signaling

@Suite("tokens that end, and fresh ones")
struct TokenTests {
  private static func pass(_ seconds: Int, subject: String? = "alice") -> Pass {
    Pass(
      subject: subject, hasToken: true, expiresAt: .at(.seconds(seconds)),
      expiry: Stage.unixStart + Int64(seconds))
  }

  @Test("who has an expired token is told so and closed with 4001")
  func expiry() {
    let stage = Stage()
    stage.enter(1, as: "b")
    stage.enter(2, as: "a", Self.pass(60))
    stage.pass(.seconds(59))
    #expect(stage.ends[2] == nil)
    _ = stage.heard(1)
    stage.pass(.seconds(1))
    #expect(stage.ends[2]?.code == 4001)
    #expect(stage.ends[2]?.error?["code"] == "token_refused")
    #expect(stage.heard(1).map { $0["reason"] } == ["expired"])
    #expect(stage.ids() == ["b"])
  }

  @Test("who is away loses its place with its token, or with its window")
  func expiryAway() {
    let stage = Stage()
    stage.enter(1, as: "z")
    stage.enter(2, as: "a", Self.pass(40))
    stage.enter(3, as: "b", Self.pass(20))
    stage.forgetAll()
    stage.lose(2, 3)
    stage.pass(.seconds(50))
    let left = stage.heard(1)
    #expect(left.map { $0["peer"] } == ["b", "a"])
    #expect(left.map { $0["reason"] } == ["expired", "timeout"])
    #expect(stage.ends[3] == nil)
  }

  @Test("a fresh token is answered with its expiry, and holds from then on")
  func renewal() {
    let stage = Stage()
    stage.enter(1, as: "a", Self.pass(60))
    stage.enter(2, as: "b")
    stage.forgetAll()
    var pass = Self.pass(120)
    pass.rights = [.moderate]
    stage.feed(.renewed(pass, id: Array("7".utf8)), from: 1)
    #expect(
      stage.heard(1) == [
        [
          "type": "ack", "seq": 1, "id": 7, "delivered": true,
          "expires_at": .number(Double(Stage.unixStart) + 120),
        ]
      ])
    #expect(stage.heard(2) == [])
    stage.say(1, #"{"type":"broadcast","data":1,"id":1}"#)
    stage.say(1, #"{"type":"lock","locked":true,"id":2}"#)
    let answers = stage.heard(1).filter { $0["id"] != nil }
    #expect(answers.types == ["error", "ack"])
    stage.pass(.seconds(119))
    #expect(stage.ends[1] == nil)
    stage.pass(.seconds(1))
    #expect(stage.ends[1]?.code == 4001)
  }

  @Test("a fresh token without an end is answered without one")
  func renewalForEver() {
    let stage = Stage()
    stage.enter(1, as: "a", Self.pass(60))
    stage.feed(.renewed(Pass(subject: "alice", hasToken: true), id: Array("7".utf8)), from: 1)
    #expect(stage.heard(1).first?.names == ["delivered", "id", "seq", "type"])
    stage.pass(.seconds(100))
    #expect(stage.ends[1] == nil)
  }

  @Test("a fresh token that has ended already ends the place")
  func renewalLate() {
    let stage = Stage()
    stage.enter(1, as: "a", Self.pass(60))
    stage.pass(.seconds(10))
    stage.feed(.renewed(Self.pass(5), id: []), from: 1)
    stage.pass(.milliseconds(8))
    #expect(stage.ends[1]?.code == 4001)
  }

  @Test("a fresh token for somebody else ends the connection with 4001")
  func renewalOfOthers() {
    let others: [Pass] = [
      Self.pass(120, subject: "bob"), Self.pass(120, subject: nil), Self.pass(120).fixed(to: "b"),
    ]
    for other in others {
      let stage = Stage()
      stage.enter(1, as: "a", Self.pass(60))
      stage.enter(2, as: "z")
      stage.forgetAll()
      stage.feed(.renewed(other, id: Array("7".utf8)), from: 1)
      #expect(stage.ends[1]?.code == 4001)
      #expect(stage.ends[1]?.error?["code"] == "token_refused")
      #expect(stage.heard(2).first?["reason"] == "expired")
    }
  }

  @Test("one that is refused does the same")
  func refused() {
    let stage = Stage()
    stage.enter(1, as: "a", Self.pass(60))
    stage.feed(.tokenRefused(words: "The token has expired."), from: 1)
    #expect(
      stage.ends[1]
        == End(
          code: 4001, words: "The token has expired.",
          error: ["type": "error", "code": "token_refused", "message": "The token has expired."]))
    #expect(stage.peerCount == 0)
  }

  @Test("a fresh token's name and role are told to all, but only where they are others")
  func renewedIdentity() {
    let stage = Stage()
    stage.enter(1, as: "a", Pass(name: "Ada", subject: "alice"))
    stage.enter(2, as: "b")
    stage.forgetAll()
    stage.feed(.renewed(Pass(name: "Ada", subject: "alice"), id: []), from: 1)
    stage.pass()
    #expect(stage.heard(2) == [])
    stage.feed(.renewed(Pass(name: "Countess", role: .host, subject: "alice"), id: []), from: 1)
    #expect(
      stage.heard(2) == [
        ["type": "updated", "version": 3, "peer": "a", "name": "Countess", "role": "host"]
      ])
  }

  @Test("what a moderator made of a peer outlives a token that says the same as before")
  func renewedPromotion() {
    let stage = Stage()
    stage.enter(1, as: "m", .moderator)
    stage.enter(2, as: "a", Pass(role: .guest))
    stage.say(1, #"{"type":"role","peer":"a","role":"host"}"#)
    stage.forgetAll()
    stage.feed(.renewed(Pass(role: .guest), id: []), from: 2)
    #expect(stage.peers()?.last?.peer.role == .host)
    stage.say(2, #"{"type":"lock","locked":true,"id":1}"#)
    #expect(stage.heard(2).of("ack").count == 1)
    // Another role is the token's word again, and has the token's rights.
    for role in [Role.member, .host] {
      stage.feed(.renewed(Pass(role: role), id: []), from: 2)
      #expect(stage.peers()?.last?.peer.role == role)
      stage.say(2, #"{"type":"lock","locked":false,"id":2}"#)
      #expect(stage.heard(2).of("error").map { $0["code"] } == ["forbidden"])
      stage.say(1, #"{"type":"role","peer":"a","role":"host"}"#)
    }
  }

  @Test("a token that stays with the relay is taken by nobody here")
  func message() {
    let stage = Stage()
    stage.enter(1)
    stage.say(1, #"{"type":"token","token":"x","id":1}"#)
    #expect(stage.heard(1).map { $0["code"] } == ["forbidden"])
  }
}
