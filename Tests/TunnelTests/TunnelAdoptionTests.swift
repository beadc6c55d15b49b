import Net
import Testing
import WebSocket

@testable import Tunnel

@Suite("tunnel: another configuration")
struct TunnelAdoptionTests {
  private static func terms(_ change: (inout TunnelRules) -> Void) -> TunnelTerms {
    var rules = TunnelRules(heartbeat: nil)
    change(&rules)
    return TunnelTerms(rules)
  }

  @Test("a smaller message size holds from the next header on")
  func messageSize() {
    var wire = Wire()
    wire.say(frame(.downstream, .text, [UInt8](repeating: 0, count: 2000)), from: .downstream)
    wire.tunnel.adopt(Self.terms { $0.messageByteCountMax = 1000 }, now: second(1))
    #expect(wire.tunnel.cause == nil)
    wire.say(
      frame(.downstream, .text, [UInt8](repeating: 0, count: 1000)), from: .downstream,
      at: second(1))
    #expect(wire.tunnel.cause == nil)
    wire.say(
      frame(.downstream, .text, [UInt8](repeating: 0, count: 1001)), from: .downstream,
      at: second(1))
    #expect(wire.tunnel.cause == .messageTooBig(.downstream))
  }

  @Test("a timeout counts from when the peers last spoke, not from the change")
  func idle() {
    var wire = Wire()
    wire.say(frame(.downstream), from: .downstream, at: second(3))
    wire.tunnel.adopt(Self.terms { $0.idleTimeout = .seconds(10) }, now: second(8))
    #expect(wire.tunnel.nextDeadline == second(13))
    #expect(wire.wake(at: second(13)) == "ending")
    #expect(wire.tunnel.cause == .idle)
  }

  @Test("a lifetime counts from the beginning")
  func lifetime() {
    var wire = Wire()
    wire.tunnel.adopt(Self.terms { $0.lifetimeMax = .seconds(10) }, now: second(30))
    #expect(wire.wake(at: second(30)) == "ending")
    #expect(wire.tunnel.cause == .lifetime)
  }

  @Test("a new rate is not a new burst for who has used it up")
  func rate() {
    let slow = TunnelRules.RateLimit(perSecond: 1, burst: 3, excess: .close)
    var wire = Wire(TunnelRules(messages: slow, heartbeat: nil))
    for _ in 0..<3 { wire.say(frame(.downstream), from: .downstream) }
    wire.tunnel.adopt(
      Self.terms { $0.messages = .init(perSecond: 1, burst: 5, excess: .close) }, now: second(0))
    wire.say(frame(.downstream), from: .downstream)
    #expect(wire.tunnel.cause == .messageRate(.downstream))
  }

  @Test("a limit that is taken away lets those go on that it held up")
  func throttleEnds() {
    let slow = TunnelRules.RateLimit(perSecond: 0.001, burst: 1)
    var wire = Wire(TunnelRules(messages: slow, heartbeat: nil))
    for _ in 0..<2 { wire.say(frame(.downstream), from: .downstream) }
    let isHeldUp = !wire.tunnel.mayRead(.downstream)
    #expect(isHeldUp)
    wire.tunnel.adopt(Self.terms { _ in }, now: second(2))
    #expect(wire.tunnel.nextDeadline == second(2))
    #expect(wire.wake(at: second(2)) == "resume downstream")
    let isRead = wire.tunnel.mayRead(.downstream)
    #expect(isRead)
    #expect(wire.tunnel.throttledNanoseconds == 2_000_000_000)
  }

  @Test("the same terms change nothing")
  func same() {
    let terms = Self.terms { $0.messages = .init(perSecond: 1, burst: 1, excess: .close) }
    var wire = Wire(terms.rules)
    wire.tunnel.adopt(terms, now: second(0))
    wire.say(frame(.downstream), from: .downstream)
    #expect(wire.tunnel.cause == nil)
  }

  @Test(
    "what the peers are told when it has no place any more",
    arguments: [
      (Cause.routeRemoved, "1001", "1001"), (.serverRemoved, "1012", "1001"),
      (.serverDead, "1012", "1001"),
      (.operatorClose(CloseCode(rawValue: 4001), words: "bye"), "4001", "1001"),
    ])
  func told(cause: Cause, client: String, server: String) {
    var wire = Wire()
    wire.tunnel.drains(at: second(5), because: cause)
    #expect(wire.wakeFirst(at: 5) == "ending")
    #expect(wire.tunnel.cause == cause)
    #expect(wire.log(.downstream) == "close \(client)")
    #expect(wire.log(.upstream) == "close \(server)")
  }

  @Test("the first of two turns holds, and both can be taken back")
  func turns() {
    var wire = Wire()
    wire.tunnel.drains(at: second(9), because: .routeRemoved)
    wire.tunnel.drains(at: second(12), because: .serverRemoved)
    #expect(wire.tunnel.drainCause == .routeRemoved)
    wire.tunnel.drains(at: .never, because: .shutdown)
    #expect(wire.tunnel.drainCause == nil)
    #expect(wire.wake(at: second(12)) == "")
    wire.tunnel.drains(at: second(20), because: .shutdown)
    #expect(wire.wake(at: second(20)) == "ending")
  }
}
