import Net
import Testing
import WebSocket

@testable import Tunnel

@Suite("tunnel: octets")
struct TunnelTests {
  private static let sides: [Side] = [.downstream, .upstream]

  @Test("frames pass, and are counted by their source", arguments: sides)
  func pass(side: Side) {
    var wire = Wire()
    let octets =
      frame(side, .text, [1, 2], isFinal: false) + frame(side, .ping)
      + frame(side, .continuation, [3])
    wire.say(octets, from: side)
    wire.say(frame(side.other), from: side.other)
    #expect(wire.log(side.other) == "\(octets.count)")
    let count = wire.tunnel.octetCount(from: side)
    let messages = (
      wire.tunnel.messageCount(from: side), wire.tunnel.messageCount(from: side.other)
    )
    #expect(count == UInt64(octets.count))
    #expect(messages == (1, 1))
    let (counts, isEnding) = (wire.counts, wire.tunnel.isEnding)
    #expect((counts.text, counts.continuation, counts.ping) == (2, 1, 1))
    #expect(!isEnding)
    #expect((wire.reads, wire.ends) == ("du", ""))
  }

  @Test("a header waits for its end, and payload does not", arguments: sides)
  func pieces(side: Side) {
    var wire = Wire()
    let octets = frame(side, .binary, [1, 2, 3])
    for octet in octets { wire.say([octet], from: side) }
    let header = octets.count - 3
    #expect(wire.log(side.other) == "\(header) 1 1 1")
  }

  @Test("a look ahead judges nothing", arguments: sides)
  func lookAhead(side: Side) {
    var wire = Wire(TunnelRules(messageByteCountMax: 60_000, heartbeat: nil))
    let large = frame(side, .binary, [UInt8](repeating: 0, count: 50_000))
    let start = Array(large[..<14])
    let short = Array(large[..<3])
    let tooLarge = Array(frame(side, .text, [UInt8](repeating: 0, count: 60_001))[..<14])
    let wrong = frame(side, .continuation, [1, 2, 3])
    let found = [start, short, tooLarge, wrong, frame(side, .ping)].map { octets in
      wire.tunnel.payload(behind: octets.span, from: side, now: second(0))
    }
    #expect(found == [UInt64(large.count - start.count), 0, 0, 0, 0])
    let (count, isBetweenFrames) = (
      wire.tunnel.octetCount(from: side), wire.tunnel.isBetweenFrames(side)
    )
    #expect(count == 0)
    #expect(isBetweenFrames)
    // Where a frame of the edge's own is owed, nothing is looked at any more.
    wire.tunnel.close(.idle, now: second(0))
    #expect(wire.tunnel.payload(behind: start.span, from: side, now: second(0)) == 0)
  }

  @Test("payload may pass unread, and an answer to the edge's ping goes nowhere")
  func unread() {
    var wire = Wire()
    let octets = frame(.upstream, .binary, [1, 2, 3, 4])
    wire.say(Array(octets[..<3]), from: .upstream)
    let left = wire.tunnel.unreadPayload(from: .upstream)
    let isBulky = (
      wire.tunnel.isBulky(.upstream, from: 4), wire.tunnel.isBulky(.upstream, from: 5)
    )
    #expect(left == 3)
    #expect(isBulky == (true, false))
    wire.tunnel.passedUnread(3, from: .upstream, now: second(1))
    let after = wire.tunnel.isBetweenFrames(.upstream)
    let count = wire.tunnel.octetCount(from: .upstream)
    #expect(after)
    #expect(count == 6)
    wire.say(ownPong(.downstream) + frame(.downstream), from: .downstream)
    #expect(wire.log(.upstream) == "6")
    #expect(wire.droppedCount == ownPong(.downstream).count)
  }

  @Test("reading stops above the high mark and goes on below the low one, not at either")
  func watermarks() {
    var wire = Wire(watermarks: Watermarks(highByteCount: 100, lowByteCount: 10))
    var reads: [String] = []
    var resumed: [Tunnel.OnQueue] = []
    for count in [99, 100, 101, 100, 10, 9, 0] {
      resumed.append(wire.tunnel.queued(count, towards: .upstream, now: second(0)))
      reads.append(wire.reads)
    }
    #expect(reads == ["du", "du", "u", "u", "u", "du", "du"])
    #expect(resumed.filter { $0 != .nothing } == [.resume(.downstream)])
    #expect(resumed[5] == .resume(.downstream))
  }

  @Test("a source that has ended is not resumed; one whose sink is gone never waits")
  func watermarksAtEnds() {
    var wire = Wire()
    _ = wire.tunnel.queued(100_000, towards: .upstream, now: second(0))
    wire.tunnel.ended(.downstream, now: second(0))
    #expect(wire.tunnel.queued(0, towards: .upstream, now: second(0)) == .nothing)
    var gone = Wire()
    _ = gone.tunnel.queued(100_000, towards: .upstream, now: second(0))
    gone.tunnel.failed(.upstream, now: second(0))
    #expect(gone.reads == "d")
    _ = gone.tunnel.queued(100_000, towards: .upstream, now: second(0))
    #expect(gone.reads == "d")
  }

  @Test("what goes nowhere needs no room: its source is read, whatever waits", arguments: sides)
  func watermarksOfDropped(side: Side) {
    let alone = side == .downstream ? "d" : "u"
    var edge = Wire()
    _ = edge.tunnel.queued(100_000, towards: side, now: second(0))
    edge.tunnel.close(.lifetime, now: second(0))
    #expect(edge.reads == alone)
    edge.settle()
    #expect(edge.reads == "du")
    #expect(edge.tunnel.queued(100_000, towards: side, now: second(1)) == .nothing)
    #expect(edge.reads == "du")
    var peer = Wire()
    _ = peer.tunnel.queued(100_000, towards: side, now: second(0))
    #expect(peer.reads == alone)
    // It was read before the queue grew.
    peer.say(closeFrame(side.other), from: side.other)
    _ = peer.tunnel.queued(100_000, towards: side, now: second(1))
    #expect(peer.reads == "du")
  }

  @Test("who floods a peer that is gone is cut off", arguments: sides)
  func flood(gone: Side) {
    var wire = Wire()
    wire.tunnel.failed(gone, now: second(0))
    wire.settle()
    let side = gone.other
    let piece = frame(side, .binary, [UInt8](repeating: 0, count: 65536))
    let pieceCount = Tunnel.droppedByteCountMax / piece.count
    for _ in 0..<pieceCount { wire.say(piece, from: side) }
    let early = (wire.tunnel.isOver, wire.tunnel.mayRead(side))
    wire.say(piece, from: side)
    let late = (wire.tunnel.isOver, wire.tunnel.mayRead(side))
    #expect(early == (false, true))
    #expect(late == (true, false))
    #expect(wire.droppedCount == (pieceCount + 1) * piece.count)
  }

  @Test("sides are each other's other")
  func others() {
    #expect(Side.downstream.other == .upstream)
    #expect(Side.upstream.other == .downstream)
  }
}

@Suite("tunnel: limits")
struct TunnelLimitTests {
  private static func rules(
    messages: TunnelRules.RateLimit? = nil, bytes: TunnelRules.RateLimit? = nil
  ) -> TunnelRules {
    TunnelRules(messages: messages, bytes: bytes, heartbeat: nil)
  }

  @Test("messages wait for their time, control frames do not")
  func throttledMessages() {
    var wire = Wire(Self.rules(messages: .init(perSecond: 2, burst: 2)))
    let text = frame(.downstream)
    let ping = frame(.downstream, .ping)
    wire.say(text + ping + text + ping + text + text + ping, from: .downstream)
    #expect(wire.log(.upstream) == "\(2 * text.count + 2 * ping.count)")
    #expect(wire.reads == "u")
    #expect(wire.tunnel.nextDeadline == second(0.5))
    #expect(wire.wake(at: second(0.25)) == "")
    #expect(wire.wake(at: second(0.5)) == "resume downstream")
    wire.goOn(.downstream, at: second(0.5))
    #expect(wire.reads == "u")
    #expect(wire.wake(at: second(1)) == "resume downstream")
    wire.goOn(.downstream, at: second(1))
    #expect(wire.log(.upstream) == "24 6 12")
    #expect(wire.reads == "du")
    let (messages, isEnding) = (wire.tunnel.messageCount(from: .downstream), wire.tunnel.isEnding)
    #expect(messages == 4)
    #expect(!isEnding)
  }

  @Test("octets are paid for afterwards")
  func throttledOctets() {
    var wire = Wire(Self.rules(bytes: .init(perSecond: 10, burst: 20)))
    wire.say(frame(.downstream, .binary, [UInt8](repeating: 0, count: 34)), from: .downstream)
    #expect(wire.log(.upstream) == "40")
    #expect(wire.reads == "u")
    #expect(wire.tunnel.nextDeadline == second(2))
    #expect(wire.wake(at: second(2)) == "resume downstream")
    #expect(wire.reads == "du")
  }

  @Test("a throttled source that is also paused goes on when both are over")
  func throttledAndPaused() {
    var wire = Wire(Self.rules(bytes: .init(perSecond: 10, burst: 6)))
    wire.say(frame(.downstream) + frame(.downstream), from: .downstream)
    _ = wire.tunnel.queued(100_000, towards: .upstream, now: second(0))
    #expect(wire.wake(at: second(1)) == "")
    #expect(wire.tunnel.queued(0, towards: .upstream, now: second(1)) == .resume(.downstream))
  }

  @Test("a close frame ends the limits of both", arguments: [Side.downstream, .upstream])
  func closeFrameEndsLimits(closer: Side) {
    let slow = TunnelRules.RateLimit(perSecond: 0.1, burst: 1, from: .both)
    var wire = Wire(Self.rules(messages: slow, bytes: slow))
    let text = frame(closer.other)
    wire.say(text + text, from: closer.other)
    #expect(wire.log(closer) == "\(text.count)")
    #expect(wire.reads == (closer == .downstream ? "d" : "u"))
    wire.say(closeFrame(closer), from: closer)
    #expect(wire.reads == "du")
    #expect(wire.tunnel.nextDeadline == second(5))
    let rest = text + closeFrame(closer.other)
    wire.say(rest, from: closer.other, at: second(1))
    #expect(wire.log(closer) == "\(text.count) \(text.count + rest.count)")
    #expect((wire.reads, wire.ends) == ("du", "d"))
  }

  @Test("payload that goes unread is counted too")
  func unreadOctets() {
    var wire = Wire(Self.rules(bytes: .init(perSecond: 10, burst: 10, excess: .close)))
    wire.say(
      Array(frame(.downstream, .binary, [UInt8](repeating: 0, count: 50))[..<6]), from: .downstream)
    wire.tunnel.passedUnread(20, from: .downstream, now: second(0))
    #expect(wire.tunnel.cause == .byteRate(.downstream))
  }

  private static let closes: [(TunnelRules.Peers, Side, Bool)] = [
    (.client, .downstream, true), (.client, .upstream, false), (.server, .downstream, false),
    (.server, .upstream, true), (.both, .downstream, true), (.both, .upstream, true),
  ]

  @Test("who is over the limit is closed, where it is counted", arguments: closes)
  func close(from peers: TunnelRules.Peers, side: Side, isCounted: Bool) {
    let limit = TunnelRules.RateLimit(perSecond: 1, burst: 1, excess: .close, from: peers)
    var byMessages = Wire(Self.rules(messages: limit))
    byMessages.say(frame(side) + frame(side), from: side)
    #expect(byMessages.tunnel.cause == (isCounted ? .messageRate(side) : nil))
    // The message that is too much does not pass.
    #expect(byMessages.tunnel.messageCount(from: side) == (isCounted ? 1 : 2))
    var byOctets = Wire(Self.rules(bytes: limit))
    byOctets.say(frame(side), from: side)
    #expect(byOctets.tunnel.cause == (isCounted ? .byteRate(side) : nil))
  }

  @Test("the sum of a message's fragments is bounded", arguments: [Side.downstream, .upstream])
  func messageSize(side: Side) {
    var wire = Wire(TunnelRules(messageByteCountMax: 4, heartbeat: nil))
    let fits = frame(side, .text, [1, 2, 3, 4])
    let begun = frame(side, .text, [1, 2, 3], isFinal: false)
    wire.say(fits + begun + frame(side, .continuation, [1, 2]), from: side)
    wire.settle()
    #expect(wire.log(side.other) == "\(fits.count + begun.count) close 1001")
    #expect(wire.log(side) == "close 1009")
    #expect(wire.tunnel.cause == .messageTooBig(side))
  }
}
