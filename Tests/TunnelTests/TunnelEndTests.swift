import Net
import Testing
import WebSocket

@testable import Tunnel

private let sides: [Side] = [.downstream, .upstream]

extension Wire {
  /// Sides that may be told of the end of the stream, and whether all is over.
  var end: String { self.ends + (self.tunnel.isOver ? " over" : "") }

  /// The edge ends it, and puts in what may be put in.
  mutating func close(_ cause: Cause, at now: Deadline = second(0)) {
    self.tunnel.close(cause, now: now)
    self.settle(at: now)
  }

  /// A peer sends nothing more, or breaks.
  mutating func lose(_ side: Side, isBroken: Bool, at now: Deadline = second(0)) {
    if isBroken {
      self.tunnel.failed(side, now: now)
    } else {
      self.tunnel.ended(side, now: now)
    }
    self.settle(at: now)
  }
}

/// The header of a frame with three octets of payload, and two of them.
func begun(_ side: Side) -> [UInt8] { Array(frame(side, .binary, [1, 2, 3]).dropLast()) }

@Suite("tunnel: close frames of peers")
struct TunnelCloseFrameTests {
  @Test("the client's passes, the server's answer too, and the server ends first")
  func clientCloses() {
    var wire = Wire()
    wire.say(closeFrame(.downstream), from: .downstream)
    #expect(wire.end == "")
    #expect(wire.reads == "du")
    wire.say(closeFrame(.upstream), from: .upstream)
    // RFC 6455 §7.1.1: whoever ends first has to remember the connection for a while.
    #expect(wire.end == "d")
    wire.tunnel.ended(.upstream, now: second(1))
    #expect(wire.end == "du over")
    #expect((wire.log(.upstream), wire.log(.downstream)) == ("8", "4"))
    #expect(wire.tunnel.cause == .closed(.downstream))
  }

  @Test("the server's passes, the client's answer too, and the server ends first")
  func serverCloses() {
    var wire = Wire()
    wire.say(closeFrame(.upstream), from: .upstream)
    #expect(wire.end == "")
    wire.say(closeFrame(.downstream), from: .downstream)
    #expect(wire.end == "d")
    wire.tunnel.ended(.upstream, now: second(1))
    #expect(wire.end == "du over")
    #expect((wire.log(.upstream), wire.log(.downstream)) == ("8", "4"))
    #expect(wire.tunnel.cause == .closed(.upstream))
  }

  @Test("a server that ends behind its close frame still gets the client's answer")
  func serverHurries() {
    var wire = Wire()
    wire.say(closeFrame(.upstream), from: .upstream)
    wire.lose(.upstream, isBroken: false)
    #expect(wire.end == "")
    wire.say(closeFrame(.downstream), from: .downstream)
    #expect(wire.end == "du over")
    #expect((wire.log(.upstream), wire.log(.downstream)) == ("8", "4"))
  }

  @Test("a client's end is not told to the server while a close frame says it all")
  func clientHurries() {
    var wire = Wire()
    wire.say(closeFrame(.downstream), from: .downstream)
    wire.lose(.downstream, isBroken: false)
    #expect(wire.end == "")
    wire.say(closeFrame(.upstream), from: .upstream)
    #expect(wire.end == "d")
    #expect(wire.log(.downstream) == "4")
    wire.tunnel.ended(.upstream, now: second(1))
    #expect(wire.end == "du over")
  }

  @Test("the first close frame's code is kept", arguments: sides, [nil, 1000, 1011, 4001])
  func codes(side: Side, code: UInt16?) {
    var wire = Wire()
    #expect(wire.tunnel.closeCode == .abnormalClosure)
    wire.say(closeFrame(side, code), from: side)
    #expect(wire.tunnel.closeCode.rawValue == code ?? 1005)
    wire.say(closeFrame(side.other, 3000), from: side.other)
    #expect(wire.tunnel.closeCode.rawValue == code ?? 1005)
    #expect(wire.tunnel.cause == .closed(side))
    #expect((wire.tunnel.cause?.closer, wire.tunnel.cause?.reason) == (side, "closed"))
  }

  @Test("what follows a close frame goes nowhere, whatever it is", arguments: sides)
  func behindClose(side: Side) {
    var wire = Wire()
    let close = closeFrame(side)
    let rest = frame(side) + closeFrame(side) + [0xFF, 0xFF]
    wire.say(close + rest, from: side)
    wire.say(frame(side), from: side)
    #expect(wire.log(side.other) == "\(close.count)")
    #expect(wire.droppedCount == rest.count + frame(side).count)
    #expect(wire.end == "")
    #expect(wire.counts.close == 1)
  }

  @Test("the other side may finish what it says before it answers", arguments: sides)
  func finishing(side: Side) {
    var wire = Wire()
    let first = begun(side.other)
    wire.say(first, from: side.other)
    wire.say(closeFrame(side), from: side)
    wire.say([3] + frame(side.other) + closeFrame(side.other), from: side.other)
    let rest = 1 + frame(side.other).count + closeFrame(side.other).count
    #expect(wire.log(side) == "\(first.count) \(rest)")
    #expect(wire.end == "d")
  }

  @Test("it may stand between fragments, and comes in pieces", arguments: sides)
  func pieces(side: Side) {
    var wire = Wire()
    let fragment = frame(side, .text, [1], isFinal: false)
    let close = closeFrame(side)
    wire.say(fragment, from: side)
    for octet in close.dropLast() { wire.say([octet], from: side) }
    #expect(wire.tunnel.cause == nil)
    wire.say(close.suffix(1), from: side)
    // A control frame waits for its last octet, so that nothing of a bad one passes.
    #expect(wire.log(side.other) == "\(fragment.count) \(close.count)")
    #expect(wire.tunnel.cause == .closed(side))
  }

  private static let badPayloads: [([UInt8], FrameViolation)] = [
    ([3], .badCloseCode), ([0x03, 0xED], .badCloseCode), ([0x03, 0xE8, 0xFF], .badCloseReason),
  ]

  @Test("a bad one does not pass", arguments: sides, badPayloads)
  func bad(side: Side, row: (payload: [UInt8], violation: FrameViolation)) {
    var wire = Wire()
    wire.say(frame(side) + frame(side, .close, row.payload), from: side)
    wire.settle()
    let told = side == .upstream ? 1011 : 1001
    #expect(wire.log(side.other) == "\(frame(side).count) close \(told)")
    #expect(wire.log(side) == "close \(row.violation.closeCode)")
    #expect(wire.tunnel.cause == .violation(side, row.violation))
  }
}

@Suite("tunnel: the edge closes")
struct TunnelEdgeCloseTests {
  /// The codes that client and server are told; `nil` for no close frame.
  private static let codes: [(Cause, Int?, Int?)] = [
    (.closed(.downstream), nil, nil), (.closed(.upstream), nil, nil),
    (.lost(.downstream), nil, nil), (.broken(.downstream), nil, nil),
    (.lost(.upstream), 1012, nil), (.broken(.upstream), 1011, nil),
    (.violation(.downstream, .unmasked), 1002, 1001), (.violation(.upstream, .masked), 1011, 1002),
    (.violation(.downstream, .badCloseReason), 1007, 1001),
    (.violation(.upstream, .badCloseReason), 1011, 1007),
    (.messageTooBig(.downstream), 1009, 1001), (.messageTooBig(.upstream), 1001, 1009),
    (.messageRate(.downstream), 1008, 1001), (.messageRate(.upstream), 1001, 1008),
    (.byteRate(.downstream), 1008, 1001), (.byteRate(.upstream), 1001, 1008),
    (.badCompression, 1007, 1001), (.tokenExpired, 1008, 1001), (.idle, 1001, 1001),
    (.lifetime, 1001, 1001), (.stall(.downstream), 1008, 1013), (.stall(.upstream), 1013, 1008),
    (.shed(.downstream), 1013, 1013), (.shed(.upstream), 1013, 1013),
    (.heartbeat(.downstream), 1001, 1001), (.heartbeat(.upstream), 1011, 1001),
    (.closeTimeout(.upstream, CloseCode(rawValue: 4000)), 4000, 4000),
    (.closeTimeout(.downstream, nil), 1000, 1000), (.shutdown, 1001, 1001),
  ]

  @Test("each peer is told what it means for it", arguments: codes)
  func told(cause: Cause, client: Int?, server: Int?) {
    var wire = Wire()
    wire.close(cause)
    #expect(wire.log(.downstream) == (client.map { "close \($0)" } ?? ""))
    #expect(wire.log(.upstream) == (server.map { "close \($0)" } ?? ""))
    #expect(wire.tunnel.cause == cause)
    let first = client ?? server ?? 1006
    #expect(Int(wire.tunnel.closeCode.rawValue) == first)
    // Who was told has time to answer; who was not may be told of the end at once.
    #expect(wire.end == (client == nil ? "d" : "") + (server == nil ? "u" : ""))
  }

  @Test("a close frame's words fit into it, and its code may be sent", arguments: codes)
  func words(cause: Cause, client: Int?, server: Int?) {
    for (side, code) in zip(sides, [client, server]) {
      let payload = cause.closePayload(for: side)
      #expect(payload?.code.map { Int($0.rawValue) } == code)
      #expect(payload?.code?.mayAppearOnWire ?? true)
      var octets: [UInt8] = []
      payload?.writeFrame(into: &octets)
      #expect(octets.count <= 127)
      guard case .closeTimeout = cause else {
        #expect(payload?.reason.isEmpty ?? true == (code == nil))
        continue
      }
      #expect(payload?.reason == "")
    }
  }

  @Test("words say who it was")
  func wordsNamePeers() {
    let cause = Cause.messageRate(.downstream)
    #expect(cause.closePayload(for: .downstream)?.reason == "you sent too many messages")
    #expect(cause.closePayload(for: .upstream)?.reason == "the client sent too many messages")
    let violation = Cause.violation(.upstream, .masked)
    #expect(violation.closePayload(for: .downstream)?.reason == "the server broke the protocol")
    #expect(violation.closePayload(for: .upstream)?.reason == "frame masked")
    #expect((violation.detail, cause.detail) == ("frame masked", nil))
    #expect((violation.culprit, violation.closer) == (.upstream, nil))
    #expect((Cause.badCompression.culprit, Cause.idle.culprit) == (.downstream, nil))
  }

  @Test("it waits for the end of the frame under way, and for no more", arguments: sides)
  func midFrame(side: Side) {
    var wire = Wire()
    let first = begun(side)
    wire.say(first, from: side)
    wire.close(.shutdown)
    #expect((wire.log(side), wire.log(side.other)) == ("close 1001", "\(first.count)"))
    #expect(wire.end == "")
    let hasFrames = (
      wire.tunnel.hasFrames(towards: side), wire.tunnel.hasFrames(towards: side.other)
    )
    #expect(hasFrames == (false, true))
    wire.say([3] + frame(side), from: side)
    #expect(wire.log(side.other) == "\(first.count) 1 close 1001")
    #expect(wire.droppedCount == frame(side).count)
  }

  @Test("the beginning of a header has not passed, and nothing waits for it", arguments: sides)
  func midHeader(side: Side) {
    var wire = Wire()
    let next = frame(side)
    wire.say([next[0]], from: side)
    wire.close(.idle)
    #expect(wire.log(side.other) == "close 1001")
    wire.say(next.dropFirst() + closeFrame(side), from: side)
    #expect(wire.log(side.other) == "close 1001")
    #expect(wire.droppedCount == next.count + closeFrame(side).count)
    #expect(wire.end == (side == .downstream ? "d" : ""))
  }

  private static let deafCauses: [@Sendable (Side) -> Cause] = [
    { .stall($0) }, { .shed($0) }, { .heartbeat($0) },
  ]

  @Test("who takes nothing is not waited for", arguments: sides)
  func deaf(side: Side) {
    for cause in Self.deafCauses.map({ $0(side) }) {
      var wire = Wire()
      let first = begun(side.other)
      wire.say(first, from: side.other)
      wire.close(cause)
      #expect(wire.log(side) == "\(first.count)")
      #expect(wire.log(side.other).hasPrefix("close"))
      #expect(wire.end == (side == .downstream ? "d" : "u"))
      // The frame's rest could stand before nothing.
      wire.say([3], from: side.other)
      #expect(wire.log(side) == "\(first.count)")
      wire.tunnel.ended(side.other, now: second(0))
      #expect(wire.end.hasSuffix("over"))
    }
  }

  @Test("behind it nothing passes, but the answer is heard", arguments: sides)
  func answer(side: Side) {
    var wire = Wire(TunnelRules(messageByteCountMax: 4, heartbeat: nil))
    wire.close(.lifetime)
    // What is dropped may be as large as it likes.
    let tail = ownPong(side) + frame(side, .ping) + frame(side, .text, [1, 2, 3, 4, 5])
    wire.say(tail.dropLast(), from: side)
    #expect(wire.end == "")
    wire.say([5] + closeFrame(side), from: side)
    #expect(wire.log(side.other) == "close 1001")
    #expect(wire.droppedCount == tail.count + closeFrame(side).count)
    #expect(wire.end == (side == .downstream ? "d" : ""))
    wire.tunnel.ended(.upstream, now: second(0))
    // A client that has not answered is not told of the end yet.
    #expect(wire.end == (side == .downstream ? "du over" : "u"))
    #expect((wire.tunnel.cause, wire.tunnel.closeCode) == (.lifetime, .goingAway))
  }

  @Test("who answers with garbage is not waited for", arguments: sides)
  func garbage(side: Side) {
    var wire = Wire()
    wire.close(.lifetime)
    wire.say([0xFF, 0xFF, 0xFF] + closeFrame(side), from: side)
    wire.say(frame(side), from: side)
    #expect(wire.end == (side == .downstream ? "d" : "u"))
    #expect(wire.tunnel.cause == .lifetime)
  }

  @Test("frames before one at fault pass, and nothing of it", arguments: sides)
  func violation(side: Side) {
    var wire = Wire()
    let first = begun(side.other)
    wire.say(first, from: side.other)
    wire.say(frame(side) + [0x83, 0, 1, 2] + frame(side), from: side)
    let told = side == .upstream ? 1011 : 1001
    #expect(wire.log(side.other) == "\(frame(side).count) close \(told)")
    // Its own close frame waits for the other's frame.
    #expect(wire.log(side) == "\(first.count)")
    #expect(wire.end == "")
    wire.say([3], from: side.other)
    #expect(wire.log(side) == "\(first.count) 1 close 1002")
    #expect(wire.end == (side == .downstream ? "d" : "u"))
    #expect(wire.tunnel.cause == .violation(side, .reservedOpcode))
  }

  @Test("the first cause holds")
  func firstCause() {
    var wire = Wire()
    wire.say(begun(.upstream), from: .upstream)
    wire.close(.shutdown)
    wire.close(.tokenExpired)
    wire.say([3], from: .upstream)
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("4 1 close 1001", "close 1001"))
    #expect(wire.tunnel.cause == .shutdown)
  }

  @Test("after a peer's close frame the edge tells only who has none", arguments: sides)
  func afterPeer(side: Side) {
    var wire = Wire()
    wire.say(closeFrame(side, 4000), from: side)
    wire.close(.shutdown)
    #expect(wire.log(side.other) == "\(closeFrame(side).count)")
    #expect(wire.log(side) == "close 1001")
    #expect(wire.tunnel.cause == .closed(side))
    #expect(wire.tunnel.closeCode.rawValue == 4000)
  }

  @Test("a throttled source is read again, for the rest of its frame and for the answer")
  func throttled() {
    var wire = Wire(TunnelRules(bytes: .init(perSecond: 1, burst: 1), heartbeat: nil))
    wire.say(begun(.downstream), from: .downstream)
    #expect(wire.reads == "u")
    wire.close(.lifetime)
    #expect(wire.reads == "du")
    wire.say([3] + frame(.downstream) + closeFrame(.downstream), from: .downstream)
    #expect((wire.reads, wire.end) == ("du", "d"))
    #expect(wire.log(.upstream) == "8 1 close 1001")
  }

  @Test("a ping that waits for the end of a frame is forgotten")
  func ping() {
    var wire = Wire(TunnelRules(heartbeat: .init()))
    wire.say(begun(.upstream), from: .upstream)
    #expect(wire.wake(at: second(25)) == "ping downstream")
    wire.close(.lifetime, at: second(25))
    wire.say([3], from: .upstream, at: second(25))
    #expect(wire.log(.downstream) == "4 1 close 1001")
  }

  @Test("where frames are made anew, it never waits", arguments: sides)
  func reframed(side: Side) {
    var wire = Wire(isOffloaded: true)
    let first = begun(side)
    wire.say(first, from: side)
    wire.close(.badCompression)
    let told = side == .upstream ? 1007 : 1001
    #expect(wire.log(side.other) == "\(first.count) close \(told)")
    wire.say([3] + closeFrame(side), from: side)
    #expect(wire.log(side.other) == "\(first.count) close \(told)")
    #expect(wire.end == (side == .downstream ? "d" : ""))
  }
  @Test("a peer's close frame that passes before the edge's stands for it", arguments: sides)
  func reframedClose(side: Side) {
    var wire = Wire(isOffloaded: true)
    // What waits inside of zlib keeps the edge's own frames back.
    wire.tunnel.close(.lifetime, now: second(0))
    wire.say(closeFrame(side, 4000), from: side)
    wire.settle()
    #expect(wire.log(side.other) == "\(closeFrame(side).count)")
    #expect(wire.log(side) == "close 1001")
  }

  @Test("where frames are made anew, a peer at fault is closed all the same")
  func reframedFaults() {
    let rate = TunnelRules.RateLimit(perSecond: 1, burst: 1, excess: .close)
    let rules = TunnelRules(messageByteCountMax: 2, messages: rate, heartbeat: nil)
    let two = frame(.downstream) + frame(.downstream)
    let rows: [(Side, [UInt8], String)] = [
      (.downstream, [0x83, 0x80, 0, 0, 0, 0], "close 1001"), (.upstream, [0x83, 0], "close 1011"),
      (.downstream, two + closeFrame(.downstream), "6 close 1001"),
      (.upstream, frame(.upstream, .text, [1, 2, 3]), "close 1001"),
    ]
    for (side, octets, told) in rows {
      var wire = Wire(rules, isOffloaded: true)
      wire.say(octets, from: side)
      wire.settle()
      #expect(wire.log(side.other) == told)
    }
  }
}
