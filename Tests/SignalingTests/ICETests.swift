import Net
import Testing

@testable import Signaling

@Suite("ICE servers")
struct ICETests {
  private static let stun = ["stun:stun.example:3478", "stun:stun.example:5349"]
  private static func rules(_ secrets: String..., ttl: Duration = .seconds(3600)) -> RoomRules {
    let urls = ["turn:turn.example:3478", "turns:turn.example:5349?transport=tcp"]
    return RoomRules(turn: TURNRules(urls: urls, secrets: secrets, ttl: ttl))
  }

  @Test(
    "credentials are those that TURN servers compute",
    arguments: [
      // printf '1700003600:ada' | openssl dgst -sha1 -hmac north -binary | base64
      ("ada", 1_700_003_600, "north", "1700003600:ada", "xnSlQG4JwD6eDlwPBFdbTt6sTJk="),
      ("ada", 1_700_003_600, "south", "1700003600:ada", "Tqcs+PF9fmQbz/pARqCk5Amqio4="),
      ("~", 0, "", "0:~", "Vhq4y3sOFnoN2seTIa8da5UzoJk="),
    ] as [(String, Int64, String, String, String)])
  func known(
    peer: String, expiry: Int64, secret: String, username: String, password: String
  ) throws {
    let peer = try #require(PeerID(peer))
    let credentials = TURNCredentials(peer: peer, expiry: expiry, secret: secret)
    #expect(credentials.username == username)
    #expect(credentials.password == password)
  }

  @Test("without servers the list is empty, and ends never")
  func none() throws {
    let stage = Stage()
    let welcome = try #require(stage.enter(1))
    #expect(welcome["ice_servers"] == [])
    #expect(welcome["ice_expires_at"] == nil)
    #expect(stage.nextWake.map { $0 < .at(.seconds(1)) } ?? true)
  }

  @Test("STUN servers have neither name nor password")
  func stunOnly() throws {
    let stage = Stage(RoomRules(stunURLs: Self.stun))
    let welcome = try #require(stage.enter(1))
    #expect(
      welcome["ice_servers"]
        == [["urls": ["stun:stun.example:3478", "stun:stun.example:5349"]]])
    #expect(welcome["ice_expires_at"] == nil)
    #expect(stage.counts.credentialsMinted == 0)
  }

  @Test("TURN servers come with credentials of the peer's own")
  func turn() throws {
    var rules = Self.rules("north")
    rules.stunURLs = ["stun:stun.example"]
    let stage = Stage(rules)
    let welcome = try #require(stage.enter(1, as: "ada"))
    #expect(
      welcome["ice_servers"] == [
        ["urls": ["stun:stun.example"]],
        [
          "urls": ["turn:turn.example:3478", "turns:turn.example:5349?transport=tcp"],
          "username": "1700003600:ada", "credential": "xnSlQG4JwD6eDlwPBFdbTt6sTJk=",
        ],
      ])
    #expect(welcome["ice_expires_at"] == 1_700_003_600)
    #expect(stage.counts.credentialsMinted == 1)
  }

  @Test("a second secret signs a second offer")
  func rotation() throws {
    let stage = Stage(Self.rules("north", "south"))
    let welcome = try #require(stage.enter(1, as: "ada"))
    let servers = welcome["ice_servers"]?.list ?? []
    #expect(
      servers.map { $0["credential"] }
        == ["xnSlQG4JwD6eDlwPBFdbTt6sTJk=", "Tqcs+PF9fmQbz/pARqCk5Amqio4="])
    #expect(Set(servers.map { $0["urls"] }).count == 1)
    #expect(stage.counts.credentialsMinted == 2)
  }

  @Test("at half of their lifetime there are new ones, again and again")
  func renewal() {
    let stage = Stage(Self.rules("north", ttl: .seconds(600)))
    stage.enter(1, as: "ada")
    stage.enter(2, as: "bob")
    stage.pass(.seconds(299))
    #expect(stage.heard(1).of("ice") == [])
    stage.pass(.seconds(1))
    let ice = stage.heard(1).of("ice")
    #expect(ice.map { $0["ice_expires_at"] } == [1_700_000_900])
    #expect(ice.first?["ice_servers"]?.list.first?["username"] == "1700000900:ada")
    #expect(ice.first?.names == ["ice_expires_at", "ice_servers", "type"])
    #expect(stage.heard(2).of("ice").count == 1)
    stage.pass(.seconds(3000))
    let later = stage.heard(1).of("ice")
    #expect(
      later.map { $0["ice_expires_at"]?.integer } == (2...11).map { 1_700_000_600 + 300 * $0 })
    #expect(stage.counts.credentialsMinted == 24)
  }

  @Test("who is away is told none, and gets fresh ones when it comes back")
  func away() throws {
    var rules = Self.rules("north", ttl: .seconds(60))
    rules.resumeWindow = .seconds(300)
    let stage = Stage(rules)
    let resume = try #require(stage.enter(1)?["resume"]?.text)
    stage.lose(1)
    stage.pass(.seconds(100))
    #expect(stage.counts.credentialsMinted == 1)
    let welcome = try #require(stage.enter(2, resume: resume, seq: 0))
    #expect(welcome["ice_expires_at"] == 1_700_000_160)
    stage.pass(.seconds(29))
    #expect(stage.heard(2) == [])
    stage.pass(.seconds(1))
    #expect(stage.heard(2).types == ["ice"])
    #expect(stage.heard(2).map { $0["seq"] } == [])
  }

  @Test("who sleeps through several half-lives is told once")
  func lateWake() {
    let stage = Stage(Self.rules("north", ttl: .seconds(60)))
    stage.enter(1)
    stage.jump(to: .at(.seconds(1000)))
    #expect(stage.heard(1).types == ["ice"])
    stage.pass(.seconds(29))
    #expect(stage.heard(1) == [])
    stage.pass(.seconds(1))
    #expect(stage.heard(1).types == ["ice"])
  }
}
