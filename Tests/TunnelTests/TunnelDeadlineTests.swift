import Net
import Testing
import WebSocket

@testable import Tunnel

private let sides: [Side] = [.downstream, .upstream]

/// Just before a point of the tests' clock.
private func before(_ seconds: Double) -> Deadline {
  Deadline(nanoseconds: second(seconds).nanoseconds - 1)
}

extension Wire {
  /// Nothing is due until `seconds`, and the tunnel says so; what is due then, as words.
  mutating func wakeFirst(at seconds: Double) -> String {
    let next = self.tunnel.nextDeadline
    #expect(next == second(seconds), "the next deadline is another one")
    let early = self.tunnel.deadlinePassed(now: before(seconds))
    #expect(early == .nothing, "it came too early")
    return self.wake(at: second(seconds))
  }
}

@Suite("tunnel: heartbeat")
struct TunnelHeartbeatTests {
  private static func rules(
    _ interval: Int = 20, _ timeout: Int = 5, to peers: TunnelRules.Peers = .client
  ) -> TunnelRules {
    TunnelRules(
      heartbeat: .init(interval: .seconds(interval), timeout: .seconds(timeout), to: peers))
  }

  @Test("a silent peer is asked, and lives if it answers")
  func answers() {
    var wire = Wire(Self.rules())
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("ping", ""))
    wire.say(ownPong(.downstream), from: .downstream, at: second(21))
    #expect(wire.log(.upstream) == "")
    #expect(wire.wakeFirst(at: 41) == "ping downstream")
  }

  @Test("any octet is a sign of life", arguments: [20, 24.9])
  func anyOctet(seconds: Double) {
    var wire = Wire(Self.rules())
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    wire.say([0x81], from: .downstream, at: second(seconds))
    #expect(wire.wakeFirst(at: seconds + 20) == "ping downstream")
  }

  @Test("octets of the other peer are none")
  func otherPeer() {
    var wire = Wire(Self.rules())
    wire.say(frame(.upstream), from: .upstream, at: second(19))
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    wire.say(frame(.upstream), from: .upstream, at: second(24))
    #expect(wire.wakeFirst(at: 25) == "ending")
  }

  @Test("a peer that does not answer is dead")
  func dead() {
    var wire = Wire(Self.rules())
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    #expect(wire.wakeFirst(at: 25) == "ending")
    #expect(wire.tunnel.cause == .heartbeat(.downstream))
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("ping close 1001", "close 1001"))
    var server = Wire(Self.rules(to: .server))
    #expect(server.wakeFirst(at: 20) == "ping upstream")
    #expect(server.wakeFirst(at: 25) == "ending")
    #expect(server.tunnel.cause == .heartbeat(.upstream))
    #expect((server.log(.downstream), server.log(.upstream)) == ("close 1011", "ping close 1001"))
  }

  @Test("who is asked")
  func peers() {
    for (peers, words) in [
      (TunnelRules.Peers.client, "ping downstream"), (.server, "ping upstream"),
      (.both, "ping downstream ping upstream"),
    ] {
      var wire = Wire(Self.rules(to: peers))
      #expect(wire.wakeFirst(at: 20) == words)
    }
    var none = Wire(TunnelRules(heartbeat: nil))
    #expect(none.wakeFirst(at: 600) == "ending")
  }

  @Test("both are asked, each by its own clock")
  func both() {
    var wire = Wire(Self.rules(to: .both))
    wire.say([0x81], from: .upstream, at: second(7))
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    wire.say(ownPong(.downstream), from: .downstream, at: second(21))
    #expect(wire.wakeFirst(at: 27) == "ping upstream")
    #expect(wire.wakeFirst(at: 32) == "ending")
    #expect(wire.tunnel.cause == .heartbeat(.upstream))
  }

  @Test("a ping waits for the end of a frame, and its time begins there")
  func midFrame() {
    var wire = Wire(Self.rules())
    wire.say(begun(.upstream), from: .upstream, at: second(19))
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    #expect(wire.log(.downstream) == "4")
    #expect(wire.wake(at: second(100)) == "")
    wire.say([3] + frame(.upstream), from: .upstream, at: second(100))
    #expect(wire.log(.downstream) == "4 1 ping 2")
    #expect(wire.wakeFirst(at: 105) == "ending")
  }

  @Test("a ping behind a backlog is asked when all of that is taken")
  func backlog() {
    var wire = Wire(Self.rules())
    wire.say(begun(.upstream), from: .upstream, at: second(19))
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    _ = wire.tunnel.queued(50, towards: .downstream, now: second(20))
    wire.say([3], from: .upstream, at: second(21))
    #expect(wire.log(.downstream) == "4 1 ping")
    _ = wire.tunnel.queued(10, towards: .downstream, now: second(30))
    #expect(wire.tunnel.nextDeadline == second(60))
    _ = wire.tunnel.queued(0, towards: .downstream, now: second(32))
    #expect(wire.wakeFirst(at: 37) == "ending")
    #expect(wire.tunnel.cause == .heartbeat(.downstream))
  }

  @Test("a ping that was answered is not asked again by a queue that empties")
  func answered() {
    var wire = Wire(Self.rules())
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    wire.say(ownPong(.downstream), from: .downstream, at: second(21))
    _ = wire.tunnel.queued(10, towards: .downstream, now: second(30))
    _ = wire.tunnel.queued(0, towards: .downstream, now: second(31))
    #expect(wire.wakeFirst(at: 41) == "ping downstream")
    #expect(wire.tunnel.cause == nil)
  }

  @Test("a queue behind a ping does not put off the time for its answer")
  func queueBehindPing() {
    var wire = Wire(Self.rules())
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    for at in [21.0, 22, 23] {
      _ = wire.tunnel.queued(10, towards: .downstream, now: second(at))
      _ = wire.tunnel.queued(0, towards: .downstream, now: second(at + 0.5))
    }
    #expect(wire.wakeFirst(at: 25) == "ending")
    #expect(wire.tunnel.cause == .heartbeat(.downstream))
  }

  @Test("in the middle of a message it does not wait")
  func midMessage() {
    var wire = Wire(Self.rules())
    wire.say(frame(.upstream, .text, [1], isFinal: false), from: .upstream)
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    wire.say(frame(.upstream, .continuation, [1]), from: .upstream, at: second(20))
    #expect(wire.log(.downstream) == "3 ping 3")
  }

  @Test("a peer that is not read because the other one is slow is not judged")
  func paused() {
    var wire = Wire(Self.rules())
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    _ = wire.tunnel.queued(100_000, towards: .upstream, now: second(21))
    #expect(wire.wakeFirst(at: 51) == "ending")
    #expect(wire.tunnel.cause == .stall(.upstream))
  }

  @Test("a peer that is not read because it was too fast is not judged")
  func throttled() {
    var rules = Self.rules()
    rules.bytes = .init(perSecond: 1, burst: 1)
    var wire = Wire(rules)
    wire.say(frame(.downstream, .binary, [UInt8](repeating: 0, count: 94)), from: .downstream)
    #expect(wire.wakeFirst(at: 99) == "resume downstream ping downstream")
    #expect(wire.wakeFirst(at: 104) == "ending")
  }

  @Test("a peer that takes nothing is not asked")
  func stalled() {
    var wire = Wire(Self.rules())
    _ = wire.tunnel.queued(1, towards: .downstream, now: second(10))
    #expect(wire.wakeFirst(at: 40) == "ending")
    #expect(wire.tunnel.cause == .stall(.downstream))
  }
}

@Suite("tunnel: bounds")
struct TunnelBoundTests {
  @Test("a tunnel on which nothing is said ends, whatever control frames of the edge's pass")
  func idle() {
    var wire = Wire(
      TunnelRules(
        heartbeat: .init(interval: .seconds(20), timeout: .seconds(10)), idleTimeout: .seconds(45)))
    wire.say(frame(.upstream), from: .upstream, at: second(4))
    #expect(wire.wakeFirst(at: 20) == "ping downstream")
    wire.say(ownPong(.downstream), from: .downstream, at: second(21))
    #expect(wire.wakeFirst(at: 41) == "ping downstream")
    wire.say(ownPong(.downstream), from: .downstream, at: second(42))
    #expect(wire.wakeFirst(at: 49) == "ending")
    #expect(wire.tunnel.cause == .idle)
  }

  @Test("the peers' own pings are said, and so is payload that goes unread")
  func notIdle() {
    var wire = Wire(TunnelRules(heartbeat: nil, idleTimeout: .seconds(10)))
    wire.say(frame(.downstream, .ping), from: .downstream, at: second(5))
    #expect(wire.tunnel.nextDeadline == second(15))
    wire.say(begun(.upstream), from: .upstream, at: second(7))
    wire.tunnel.passedUnread(1, from: .upstream, now: second(8))
    #expect(wire.tunnel.nextDeadline == second(18))
    wire.tunnel.took(.downstream, now: second(9))
    #expect(wire.wakeFirst(at: 19) == "ending")
  }

  @Test("a tunnel lives no longer than it may, however much is said")
  func lifetime() {
    var wire = Wire(TunnelRules(heartbeat: nil, lifetimeMax: .seconds(60)))
    wire.say(frame(.upstream), from: .upstream, at: second(59))
    #expect(wire.wakeFirst(at: 60) == "ending")
    #expect(wire.tunnel.cause == .lifetime)
  }

  @Test("an admission that expires ends it, in the middle of a message too")
  func expiry() {
    var wire = Wire(expiresAt: second(30))
    wire.say(frame(.downstream, .text, [1], isFinal: false), from: .downstream)
    #expect(wire.wakeFirst(at: 30) == "ending")
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("close 1008", "7 close 1001"))
    #expect(wire.tunnel.cause == .tokenExpired)
  }

  @Test("an admission that expires in the middle of a frame lets the frame end")
  func expiryMidFrame() {
    var wire = Wire(expiresAt: second(30))
    wire.say(begun(.upstream), from: .upstream)
    #expect(wire.wakeFirst(at: 30) == "ending")
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("4", "close 1001"))
    wire.say([3] + frame(.upstream), from: .upstream, at: second(31))
    #expect(wire.log(.downstream) == "4 1 close 1008")
  }

  @Test("what was due before it began is due at once")
  func expired() {
    var wire = Wire(expiresAt: second(0))
    #expect(wire.wake(at: second(0)) == "ending")
  }

  @Test("a shutdown has its time for each tunnel")
  func drain() {
    var wire = Wire()
    wire.tunnel.drains(at: second(7), because: .shutdown)
    #expect(wire.wakeFirst(at: 7) == "ending")
    #expect(wire.tunnel.cause == .shutdown)
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("close 1001", "close 1001"))
    #expect(wire.wakeFirst(at: 12) == "cut")
  }

  @Test("of what is due at once, the admission comes first")
  func order() {
    var wire = Wire(
      TunnelRules(heartbeat: nil, idleTimeout: .seconds(5), lifetimeMax: .seconds(5)),
      expiresAt: second(5))
    #expect(wire.wakeFirst(at: 5) == "ending")
    #expect(wire.tunnel.cause == .tokenExpired)
  }
}

@Suite("tunnel: slow peers")
struct TunnelStallTests {
  private static let rules = TunnelRules(heartbeat: nil, stallTimeout: .seconds(30))

  @Test("a peer that takes nothing is closed", arguments: sides)
  func stall(side: Side) {
    var wire = Wire(Self.rules)
    _ = wire.tunnel.queued(10, towards: side, now: second(5))
    // More of it is no sign of life.
    _ = wire.tunnel.queued(20, towards: side, now: second(20))
    #expect(wire.tunnel.stalledSince(side) == second(5))
    #expect(wire.tunnel.stalledSince(side.other) == nil)
    #expect(wire.wakeFirst(at: 35) == "ending")
    #expect(wire.tunnel.cause == .stall(side))
  }

  @Test("whatever it takes counts from there, and nothing counts once it has all")
  func took() {
    var wire = Wire(Self.rules)
    _ = wire.tunnel.queued(20, towards: .downstream, now: second(5))
    _ = wire.tunnel.queued(19, towards: .downstream, now: second(6))
    #expect(wire.tunnel.nextDeadline == second(36))
    _ = wire.tunnel.queued(0, towards: .downstream, now: second(7))
    #expect(wire.tunnel.stalledSince(.downstream) == nil)
    #expect(wire.tunnel.nextDeadline == second(600))
    _ = wire.tunnel.queued(1, towards: .downstream, now: second(100))
    #expect(wire.wakeFirst(at: 130) == "ending")
  }

  @Test("what it takes out of the kernel's queue counts too", arguments: sides)
  func untaken(side: Side) {
    var wire = Wire(Self.rules)
    _ = wire.tunnel.queued(20, towards: side, now: second(0))
    // The first look has nothing to compare with.
    for (at, count, since) in [(5.0, 900, 0.0), (10, 900, 0), (15, 899, 15), (20, 950, 15)] {
      wire.tunnel.untaken(count, towards: side, now: second(at))
      #expect(wire.tunnel.stalledSince(side) == second(since), "at \(at)")
    }
    #expect(wire.wakeFirst(at: 45) == "ending")
  }

  @Test("what waits has to be looked at once, before a second look says anything", arguments: sides)
  func unmeasured(side: Side) {
    var wire = Wire(Self.rules)
    var isUnmeasured = [wire.tunnel.isUnmeasured(side)]
    for count in [20, 30] {
      _ = wire.tunnel.queued(count, towards: side, now: second(0))
      isUnmeasured.append(wire.tunnel.isUnmeasured(side))
    }
    wire.tunnel.untaken(900, towards: side, now: second(1))
    // More of it, or less, is the same heap; what waits behind none is another one.
    for count in [30, 40, 10, 0, 10] {
      _ = wire.tunnel.queued(count, towards: side, now: second(2))
      isUnmeasured.append(wire.tunnel.isUnmeasured(side))
    }
    #expect(isUnmeasured == [false, true, true, false, false, false, false, true])
    let other = wire.tunnel.isUnmeasured(side.other)
    #expect(!other)
  }

  @Test("taking is saying something: a tunnel with a slow peer is not idle")
  func notIdle() {
    var wire = Wire(TunnelRules(heartbeat: nil, idleTimeout: .seconds(20)))
    _ = wire.tunnel.queued(20, towards: .upstream, now: second(0))
    wire.tunnel.untaken(900, towards: .upstream, now: second(1))
    wire.tunnel.untaken(800, towards: .upstream, now: second(19))
    #expect(wire.wakeFirst(at: 39) == "ending")
    #expect(wire.tunnel.cause == .idle)
  }
}
