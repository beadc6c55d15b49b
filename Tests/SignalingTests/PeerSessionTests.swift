import Net
import Testing
import WebSocket

@testable import Signaling

@Suite("peer session")
struct PeerSessionTests {
  private static func at(_ milliseconds: UInt64) -> Deadline {
    Deadline(nanoseconds: milliseconds * 1_000_000)
  }

  private static func terms(
    messages: SessionTerms.Rate? = nil, octets: SessionTerms.Rate? = nil,
    heartbeat: SessionTerms.Heartbeat? = .init(interval: .seconds(25), timeout: .seconds(10)),
    lifetime: Duration? = nil
  ) -> SessionTerms {
    SessionTerms(
      messageByteCountMax: 1000, messages: messages, octets: octets, heartbeat: heartbeat,
      stallTimeout: .seconds(30), lifetimeMax: lifetime, outboxByteCountMax: 1000)
  }

  private static func session(_ terms: SessionTerms = terms(), greets: Bool = false) -> PeerSession
  {
    PeerSession(terms, greets: greets, now: at(0))
  }

  private static func message(_ sequence: UInt64, _ byteCount: Int = 10) -> Outgoing {
    Outgoing(sequence: sequence, head: [UInt8](repeating: 1, count: byteCount))
  }

  @Test("a silent client is asked, and one that does not answer is dead")
  func heartbeat() {
    var session = Self.session()
    #expect(session.nextDeadline == Self.at(25_000))
    let found1 = session.deadlinePassed(now: Self.at(24_999))
    #expect(found1 == .nothing)
    let found2 = session.deadlinePassed(now: Self.at(25_000))
    #expect(found2 == .ping)
    let asks = session.takePing(now: Self.at(25_000))
    #expect(asks)
    let found3 = session.deadlinePassed(now: Self.at(34_999))
    #expect(found3 == .nothing)
    let found4 = session.deadlinePassed(now: Self.at(35_000))
    #expect(found4 == .close(.heartbeat))
  }

  @Test("any octet shows that it lives; the pong tells what has arrived")
  func life() {
    var session = Self.session()
    session.sent(Self.message(7))
    _ = session.deadlinePassed(now: Self.at(25_000))
    _ = session.takePing(now: Self.at(25_000))
    session.sent(Self.message(8))
    let heard = session.heard(6, now: Self.at(30_000))
    #expect(heard == .pass)
    let found5 = session.deadlinePassed(now: Self.at(39_000))
    #expect(found5 == .nothing)
    let early = session.confirmed(now: Self.at(30_000))
    #expect(early == nil, "the script may not have seen it yet")
    let unasked = session.confirmed(now: Self.at(30_001))
    #expect(unasked == nil)
    #expect(session.nextDeadline == Self.at(55_000))
    _ = session.deadlinePassed(now: Self.at(55_000))
    _ = session.takePing(now: Self.at(55_000))
    let confirmed = session.confirmed(now: Self.at(55_001))
    #expect(confirmed == 7)
  }

  @Test("a busy connection is asked behind so many messages, or octets")
  func unconfirmed() {
    var session = Self.session()
    for sequence in 1..<UInt64(PeerSession.unconfirmedMessageCountMax) {
      session.sent(Self.message(sequence))
    }
    let early = session.takePing(now: Self.at(1))
    #expect(!early)
    session.sent(Self.message(64))
    let asks = session.takePing(now: Self.at(1))
    #expect(asks)
    session.sent(Self.message(65, PeerSession.unconfirmedByteCountMax))
    let twice = session.takePing(now: Self.at(2))
    #expect(!twice, "one question at a time")
    _ = session.confirmed(now: Self.at(3))
    let next = session.takePing(now: Self.at(3))
    #expect(next)
    // What has no number is not kept, and need not be confirmed.
    session.sent(Outgoing(head: [UInt8](repeating: 1, count: 100_000)))
    let soon = session.confirmed(now: Self.at(4))
    #expect(soon == nil, "its answer came a moment ago")
    let last = session.takePing(now: Self.at(4))
    #expect(!last)
  }

  @Test("messages beyond the rate pass and are the last for a while")
  func throttle() {
    var session = Self.session(
      Self.terms(messages: .init(perSecond: 10, burst: 3, closes: false)))
    let first = (0..<2).map { _ in session.received(now: Self.at(0)) }
    #expect(first == [.pass, .pass])
    let found6 = session.received(now: Self.at(0))
    #expect(found6 == .throttled(.milliseconds(100)))
    #expect(!session.isRead)
    #expect(session.nextDeadline == Self.at(100))
    let found7 = session.deadlinePassed(now: Self.at(100))
    #expect(found7 == .resume)
    #expect(session.isRead)
    let found8 = session.received(now: Self.at(100))
    #expect(found8 == .throttled(.milliseconds(100)))
  }

  @Test("where the rate says so, one message too many ends it")
  func flooding() {
    var session = Self.session(
      Self.terms(messages: .init(perSecond: 10, burst: 2, closes: true)))
    let found = (0..<3).map { _ in session.received(now: Self.at(0)) }
    #expect(found == [.pass, .pass, .flooding])
    let found9 = session.received(now: Self.at(100))
    #expect(found9 == .pass)
  }

  @Test("octets have a rate of their own, and a debt is paid first")
  func octets() {
    var session = Self.session(
      Self.terms(octets: .init(perSecond: 1000, burst: 1000, closes: false)))
    let found10 = session.heard(3000, now: Self.at(0))
    #expect(found10 == .throttled(.milliseconds(2001)))
    // A client that is not read cannot show that it lives.
    let found11 = session.deadlinePassed(now: Self.at(2000))
    #expect(found11 == .nothing)
    let found12 = session.deadlinePassed(now: Self.at(2001))
    #expect(found12 == .resume)
  }

  @Test("the announced join has its time")
  func join() {
    var session = Self.session(greets: true)
    #expect(session.phase == .greeting)
    let found13 = session.deadlinePassed(now: Self.at(10_000))
    #expect(found13 == .close(.noJoin))
    var other = Self.session(greets: true)
    other.greeted()
    #expect(other.phase == .attending)
    let found14 = other.deadlinePassed(now: Self.at(10_000))
    #expect(found14 == .nothing)
  }

  @Test("who takes nothing is closed; who takes a little is not")
  func stall() {
    var session = Self.session()
    let found15 = session.queued(900, now: Self.at(0))
    #expect(!found15)
    let found16 = session.queued(950, now: Self.at(10_000))
    #expect(!found16)
    #expect(session.waitsSince == Self.at(0))
    let found17 = session.queued(940, now: Self.at(20_000))
    #expect(!found17)
    #expect(session.waitsSince == Self.at(20_000))
    let found18 = session.deadlinePassed(now: Self.at(49_999))
    #expect(found18 == .nothing)
    let found19 = session.deadlinePassed(now: Self.at(50_000))
    #expect(found19 == .close(.stall))
    let found20 = session.queued(1001, now: Self.at(50_000))
    #expect(found20, "more than may wait")
    let found21 = session.queued(0, now: Self.at(50_001))
    #expect(!found21)
    #expect(session.waitsSince == nil)
  }

  @Test("a drain and a lifetime end it, and a drain can be taken back")
  func ends() {
    var session = Self.session(Self.terms(heartbeat: nil, lifetime: .seconds(100)))
    #expect(session.nextDeadline == Self.at(100_000))
    session.drains(at: Self.at(5000), because: "route_removed")
    let drained = session.deadlinePassed(now: Self.at(5000))
    #expect(drained == .close(.draining(reason: "route_removed")))
    session.drains(at: .never)
    let found22 = session.deadlinePassed(now: Self.at(5000))
    #expect(found22 == .nothing)
    let found23 = session.deadlinePassed(now: Self.at(100_000))
    #expect(found23 == .close(.lifetime))
  }

  @Test("who is throttled and gone is not waited for")
  func gone() {
    var session = Self.session(
      Self.terms(messages: .init(perSecond: 0.001, burst: 1, closes: false)))
    _ = session.received(now: Self.at(0))
    session.ended(now: Self.at(1000))
    session.ended(now: Self.at(2000))
    #expect(session.nextDeadline == Self.at(6000))
    let end = session.deadlinePassed(now: Self.at(6000))
    #expect(end == .cut)
  }

  @Test("a close frame is answered, or time is up")
  func closing() {
    var session = Self.session()
    session.close(.binary, now: Self.at(1000))
    session.close(.notUTF8, now: Self.at(1001))
    #expect(session.ending == .binary, "the first reason counts")
    #expect(session.phase == .closing)
    #expect(!session.isAnswered)
    #expect(session.nextDeadline == Self.at(6000))
    let found24 = session.deadlinePassed(now: Self.at(5999))
    #expect(found24 == .nothing)
    let found25 = session.deadlinePassed(now: Self.at(6000))
    #expect(found25 == .cut)
    session.answered()
    #expect(session.isAnswered)
  }

  @Test("new terms hold from now on, and a debt stays")
  func adopt() {
    var session = Self.session(
      Self.terms(messages: .init(perSecond: 1, burst: 1, closes: false)))
    let found26 = session.received(now: Self.at(0))
    #expect(found26 == .throttled(.seconds(1)))
    session.adopt(
      Self.terms(messages: .init(perSecond: 10, burst: 5, closes: false)), now: Self.at(100))
    let found27 = session.deadlinePassed(now: Self.at(100))
    #expect(found27 == .resume)
    let found28 = session.received(now: Self.at(100))
    #expect(found28 != .pass)
  }
}
