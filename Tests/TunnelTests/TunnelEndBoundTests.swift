import Net
import Testing
import WebSocket

@testable import Tunnel

private let sides: [Side] = [.downstream, .upstream]

/// What ends a tunnel at its time, whatever its peers do.
private let fates: [Cause] = [.tokenExpired, .lifetime, .shutdown]

/// A tunnel that has ten seconds to live.
private func mortal(_ fate: Cause) -> Wire {
  let rules = TunnelRules(heartbeat: nil, lifetimeMax: fate == .lifetime ? .seconds(10) : nil)
  var wire = Wire(rules, expiresAt: fate == .tokenExpired ? second(10) : .never)
  if fate == .shutdown { wire.tunnel.drains(at: second(10), because: .shutdown) }
  return wire
}

/// The header of a frame whose end nobody lives to see.
private func endless(_ side: Side) -> [UInt8] {
  var octets: [UInt8] = []
  FrameHeader(
    opcode: .binary, payloadByteCount: 1 << 62, isFinal: true,
    maskKey: side == .downstream ? 0 : nil
  ).write(into: &octets)
  return octets
}

extension Wire {
  /// Each second three octets come from `side`, and the other one takes them; nothing is due.
  fileprivate mutating func trickle(from side: Side, _ seconds: Range<Int>) {
    for at in seconds.map(Double.init) {
      #expect(self.wake(at: second(at)) == "", "at \(at)")
      self.say([1, 2, 3], from: side, at: second(at))
      self.tunnel.took(side.other, now: second(at))
    }
  }
}

@Suite("tunnel: bounds of an end")
struct TunnelEndBoundTests {
  @Test("who does not answer a close frame is not waited for", arguments: sides, [nil, 4000])
  func noAnswer(side: Side, code: UInt16?) {
    var wire = Wire()
    wire.say(closeFrame(side, code), from: side)
    #expect(wire.wakeFirst(at: 5) == "ending cut")
    let expected = code.map { CloseCode(rawValue: $0) }
    #expect(wire.tunnel.cause == .closeTimeout(side.other, expected))
    #expect((wire.tunnel.cause?.closer, wire.tunnel.cause?.culprit) == (side, side.other))
    #expect(wire.tunnel.closeCode.rawValue == code ?? 1005)
    #expect(wire.log(side) == "close \(code ?? 1000)")
    #expect(wire.log(side.other) == "\(closeFrame(side, code).count)")
  }

  @Test("talk is no answer", arguments: sides)
  func talk(side: Side) {
    var wire = Wire()
    wire.say(closeFrame(side), from: side)
    wire.say(frame(side.other), from: side.other, at: second(4))
    #expect(wire.wakeFirst(at: 5) == "ending cut")
    #expect(wire.log(side) == "\(frame(side.other).count) close 1000")
  }

  @Test("talk without end is no answer, however much of it is taken", arguments: sides)
  func chatter(side: Side) {
    var wire = Wire()
    let text = frame(side.other)
    wire.say(closeFrame(side), from: side)
    for at in [1.0, 2, 3, 4] {
      wire.say(text, from: side.other, at: second(at))
      wire.tunnel.took(side, now: second(at))
    }
    #expect(wire.wakeFirst(at: 5) == "ending")
    let passed = [String](repeating: "\(text.count)", count: 4).joined(separator: " ")
    #expect(wire.log(side) == "\(passed) close 1000")
    for at in [6.0, 7, 8] { wire.say(text, from: side.other, at: second(at)) }
    #expect(wire.wakeFirst(at: 9) == "cut")
    #expect(wire.droppedCount == 3 * text.count)
  }

  @Test("in a frame without end, whoever has closed gets no answer, but an end", arguments: sides)
  func endlessTalk(side: Side) {
    var wire = Wire()
    wire.say(endless(side.other), from: side.other)
    wire.say(closeFrame(side), from: side)
    wire.trickle(from: side.other, 1..<5)
    let passed = wire.log(side)
    #expect(wire.wakeFirst(at: 5) == "ending")
    #expect(wire.end == (side == .downstream ? "d" : "u"))
    wire.say([1, 2, 3], from: side.other, at: second(8))
    #expect(wire.wakeFirst(at: 9) == "cut")
    #expect(wire.log(side) == passed)
  }

  @Test("who still takes what waits for it has time from the last of that", arguments: sides)
  func slowTaker(side: Side) {
    var wire = Wire()
    wire.say(closeFrame(side), from: side)
    for (taken, due) in [(4.0, 5.0), (8, 9), (12, 13)] {
      wire.say(frame(side.other), from: side.other, at: second(taken))
      wire.tunnel.took(side.other, now: second(taken))
      #expect(wire.wakeFirst(at: due) == "")
    }
    wire.say(frame(side.other), from: side.other, at: second(16))
    #expect(wire.wakeFirst(at: 17) == "ending cut")
    #expect(wire.tunnel.cause == .closeTimeout(side.other, .normalClosure))
  }

  @Test("a slow peer may take the close frame, and then its answer may be taken", arguments: sides)
  func patience(side: Side) {
    var wire = Wire()
    wire.say(closeFrame(side), from: side)
    wire.tunnel.took(side, now: second(2))
    wire.tunnel.took(side.other, now: second(3))
    #expect(wire.wakeFirst(at: 5) == "")
    wire.tunnel.took(side, now: second(6))
    #expect(wire.wakeFirst(at: 8) == "ending")
    #expect(wire.tunnel.cause == .closeTimeout(side.other, .normalClosure))
    #expect(wire.wakeFirst(at: 11) == "cut")
  }

  @Test("who has said its last has little time to end", arguments: sides)
  func noEnd(side: Side) {
    var wire = Wire()
    wire.say(closeFrame(side), from: side)
    wire.say(closeFrame(side.other), from: side.other)
    wire.tunnel.ended(.downstream, now: second(0))
    #expect(wire.wakeFirst(at: 5) == "cut")
    #expect(wire.tunnel.cause == .closed(side))
  }

  @Test("for a closer that has gone nobody is asked again", arguments: sides)
  func closerHasEnded(side: Side) {
    var wire = Wire()
    wire.say(closeFrame(side), from: side)
    wire.tunnel.ended(side, now: second(1))
    #expect(wire.wakeFirst(at: 5) == "cut")
    #expect(wire.log(side) == "")
  }

  @Test("after the edge's close talk is no reason to wait, but taking is", arguments: sides)
  func afterEdgeClose(side: Side) {
    var wire = Wire()
    wire.tunnel.close(.lifetime, now: second(1))
    wire.settle(at: second(1))
    wire.say(frame(side), from: side, at: second(3))
    wire.tunnel.took(side, now: second(4))
    wire.say(frame(side), from: side, at: second(5))
    #expect(wire.wakeFirst(at: 6) == "")
    #expect(wire.wakeFirst(at: 9) == "cut")
    #expect(wire.droppedCount == 2 * frame(side).count)
  }

  @Test("the rest of a frame has as much time, and the close frame may never go", arguments: sides)
  func midFrame(side: Side) {
    var wire = Wire()
    wire.say(begun(side).dropLast(), from: side)
    wire.tunnel.close(.lifetime, now: second(0))
    wire.settle()
    wire.say([2], from: side, at: second(4))
    #expect(wire.wakeFirst(at: 5) == "cut")
    #expect(wire.log(side.other) == "\(begun(side).count - 1) 1")
  }

  @Test("a frame without end outlives no tunnel", arguments: sides, fates)
  func endlessFrame(side: Side, fate: Cause) {
    var wire = mortal(fate)
    wire.say(endless(side), from: side)
    wire.trickle(from: side, 1..<10)
    #expect(wire.wakeFirst(at: 10) == "ending")
    #expect(wire.tunnel.cause == fate)
    #expect(wire.log(side).hasPrefix("close"))
    wire.trickle(from: side, 10..<15)
    let passed = wire.log(side.other)
    #expect(passed.hasSuffix("3 3 3"))
    #expect(wire.end == "")
    #expect(wire.wakeFirst(at: 15) == "")
    // Its rest is given up, and what is queued may be taken.
    #expect(wire.end == (side == .downstream ? "u" : "d"))
    wire.trickle(from: side, 15..<18)
    #expect(wire.wakeFirst(at: 19) == "")
    wire.say([1, 2, 3], from: side, at: second(21))
    #expect(wire.wakeFirst(at: 22) == "cut")
    #expect(wire.log(side.other) == passed)
    #expect(wire.droppedCount == 4 * 3)
  }

  @Test("a server that outlives its client does not outlive the tunnel", arguments: fates)
  func halfClosedFate(fate: Cause) {
    var wire = mortal(fate)
    wire.tunnel.ended(.downstream, now: second(1))
    for at in [2.0, 5, 9] {
      #expect(wire.wake(at: second(at)) == "")
      wire.say(frame(.upstream), from: .upstream, at: second(at))
    }
    #expect(wire.wakeFirst(at: 10) == "ending")
    // The server has been told of the end already, and of the two this was the first.
    let code = fate == .tokenExpired ? 1008 : 1001
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("2 2 2 close \(code)", ""))
    #expect(wire.tunnel.cause == .lost(.downstream))
    #expect(wire.end == "du")
    wire.say(frame(.upstream), from: .upstream, at: second(14))
    #expect(wire.wakeFirst(at: 15) == "cut")
  }

  @Test("what was not said before the client's end does not count", arguments: [false, true])
  func halfClosedLate(isBroken: Bool) {
    var wire = Wire()
    wire.say(frame(.upstream), from: .upstream)
    wire.lose(.downstream, isBroken: isBroken, at: second(60))
    #expect(wire.wakeFirst(at: 65) == "cut")
  }

  @Test("a server that was told of its client's end may finish, but not stand still")
  func halfClosed() {
    var wire = Wire(TunnelRules(heartbeat: .init(interval: .seconds(2), to: .both)))
    wire.say(frame(.downstream), from: .downstream, at: second(1))
    wire.tunnel.ended(.downstream, now: second(1))
    wire.say(frame(.upstream), from: .upstream, at: second(4))
    wire.tunnel.took(.downstream, now: second(8))
    #expect(wire.wakeFirst(at: 13) == "cut")
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("2", "6"))
  }

  @Test("a client whose server is lost has its time from there", arguments: [false, true])
  func serverIsLost(isBroken: Bool) {
    var wire = Wire()
    wire.lose(.upstream, isBroken: isBroken, at: second(60))
    #expect(wire.wakeFirst(at: 65) == "cut")
  }

  @Test("where an idle tunnel ends sooner, a half of one does, too", arguments: [false, true])
  func halfClosedIdle(isBroken: Bool) {
    var wire = Wire(TunnelRules(heartbeat: nil, idleTimeout: .seconds(3)))
    wire.lose(.downstream, isBroken: isBroken)
    #expect(wire.wakeFirst(at: 3) == "cut")
    #expect(wire.tunnel.cause?.reason == "lost")
  }

  @Test("a client that closes and ends is not half closed, and wakes nobody for nothing")
  func closedAndEnded() {
    var wire = Wire(TunnelRules(heartbeat: nil, idleTimeout: .seconds(2)))
    wire.say(closeFrame(.downstream), from: .downstream)
    wire.tunnel.ended(.downstream, now: second(0))
    wire.tunnel.took(.upstream, now: second(4))
    #expect(wire.wakeFirst(at: 5) == "")
    for at in [6.0, 7, 8] { #expect(wire.wake(at: second(at)) == "") }
    #expect(wire.wakeFirst(at: 9) == "cut")
  }

  @Test("what the edge has ended is due to nothing else")
  func nothingElse() {
    var rules = TunnelRules(heartbeat: .init(interval: .seconds(1), to: .both))
    rules.lifetimeMax = .seconds(3)
    rules.stallTimeout = .seconds(3)
    var wire = Wire(rules, expiresAt: second(2))
    wire.tunnel.drains(at: second(4), because: .shutdown)
    _ = wire.tunnel.queued(1, towards: .upstream, now: second(0))
    wire.close(.badCompression)
    #expect(wire.wakeFirst(at: 5) == "cut")
    #expect(wire.tunnel.cause == .badCompression)
  }

  @Test("a throttle ends with the tunnel, and is due no more")
  func throttled() {
    var wire = Wire(TunnelRules(bytes: .init(perSecond: 2.5, burst: 1), heartbeat: nil))
    wire.say(frame(.downstream), from: .downstream)
    #expect(wire.tunnel.nextDeadline == second(2))
    wire.close(.shutdown, at: second(1))
    #expect(wire.wakeFirst(at: 6) == "cut")
  }
}
