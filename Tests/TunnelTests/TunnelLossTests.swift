import Net
import Testing
import WebSocket

@testable import Tunnel

private let sides: [Side] = [.downstream, .upstream]
private let manners = [false, true]

@Suite("tunnel: peers that are lost")
struct TunnelLossTests {
  @Test("a client that ends is told to the server in the same way, which may finish")
  func clientEnds() {
    var wire = Wire()
    wire.lose(.downstream, isBroken: false)
    #expect(wire.end == "u")
    #expect(wire.reads == "u")
    wire.say(frame(.upstream), from: .upstream)
    #expect(wire.log(.downstream) == "2")
    wire.lose(.upstream, isBroken: false)
    #expect(wire.end == "du over")
    #expect((wire.log(.downstream), wire.log(.upstream)) == ("2", ""))
    #expect((wire.tunnel.cause, wire.tunnel.closeCode) == (.lost(.downstream), .abnormalClosure))
    #expect((wire.tunnel.cause?.closer, wire.tunnel.cause?.reason) == (.downstream, "lost"))
  }

  @Test("a client that has ended still gets the server's close frame")
  func closeAfterClientEnds() {
    var wire = Wire()
    wire.lose(.downstream, isBroken: false)
    wire.say(closeFrame(.upstream, 1001) + frame(.upstream), from: .upstream)
    #expect(wire.log(.downstream) == "4")
    #expect(wire.end == "du")
    #expect((wire.tunnel.cause, wire.tunnel.closeCode) == (.lost(.downstream), .goingAway))
  }

  @Test("a server that was told of its client's end is told nothing behind it")
  func nothingBehindEnd() {
    var fault = Wire()
    fault.lose(.downstream, isBroken: false)
    #expect(fault.end == "u")
    fault.say(frame(.upstream) + [0x83, 0], from: .upstream)
    fault.settle()
    #expect((fault.log(.downstream), fault.log(.upstream)) == ("2 close 1011", ""))
    var shed = Wire()
    shed.lose(.downstream, isBroken: false)
    shed.close(.shed(.downstream))
    #expect((shed.log(.downstream), shed.log(.upstream)) == ("close 1013", ""))
    let hasFrames = shed.tunnel.hasFrames(towards: .upstream)
    #expect(!hasFrames)
    #expect((fault.end, shed.end) == ("du", "du"))
  }

  @Test("for a client that broke nothing passes any more")
  func clientBreaks() {
    var wire = Wire()
    let first = begun(.upstream)
    wire.say(first, from: .upstream)
    wire.lose(.downstream, isBroken: true)
    #expect(wire.end == "u")
    wire.say([3] + frame(.upstream) + closeFrame(.upstream), from: .upstream)
    #expect(wire.log(.downstream) == "\(first.count)")
    #expect(wire.log(.upstream) == "")
    wire.lose(.upstream, isBroken: false)
    #expect(wire.end == "du over")
    #expect(wire.tunnel.cause == .broken(.downstream))
  }

  @Test("a server that is lost is told to the client with a code", arguments: manners)
  func serverIsLost(isBroken: Bool) {
    var wire = Wire()
    wire.lose(.upstream, isBroken: isBroken)
    let code = isBroken ? 1011 : 1012
    #expect(wire.log(.downstream) == "close \(code)")
    #expect(wire.log(.upstream) == "")
    #expect(wire.end == "u")
    #expect(Int(wire.tunnel.closeCode.rawValue) == code)
    wire.say(frame(.downstream) + closeFrame(.downstream), from: .downstream)
    #expect(wire.end == "du over")
    #expect(wire.tunnel.cause == (isBroken ? .broken(.upstream) : .lost(.upstream)))
    #expect((wire.tunnel.cause?.closer, wire.tunnel.cause?.reason) == (.upstream, "lost"))
  }

  @Test("the beginning of a header stands in no close frame's way")
  func midHeader() {
    var wire = Wire()
    wire.say([0x82], from: .upstream)
    wire.lose(.upstream, isBroken: false)
    #expect(wire.log(.downstream) == "close 1012")
  }

  @Test("behind a part of a frame no close frame can stand", arguments: sides, manners)
  func midFrame(side: Side, isBroken: Bool) {
    var wire = Wire()
    let first = begun(side)
    wire.say(first, from: side)
    wire.lose(side, isBroken: isBroken)
    #expect(wire.log(side.other) == "\(first.count)")
    #expect(wire.log(side) == "")
    #expect(wire.tunnel.closeCode == .abnormalClosure)
    #expect(wire.end == (side == .downstream ? "u" : "du"))
  }

  @Test("a close frame that waited for the rest of a frame is not sent", arguments: sides, manners)
  func midFrameOfEnd(side: Side, isBroken: Bool) {
    var wire = Wire()
    let first = begun(side)
    wire.say(first, from: side)
    wire.close(.shutdown)
    wire.lose(side, isBroken: isBroken)
    #expect(wire.log(side.other) == "\(first.count)")
    #expect(wire.log(side) == "close 1001")
    let hasFrames = wire.tunnel.hasFrames(towards: side.other)
    #expect(!hasFrames)
    #expect(wire.end.contains(side == .downstream ? "u" : "d"))
    #expect(wire.tunnel.cause == .shutdown)
  }

  @Test("where frames are made anew, a part of one does not matter", arguments: manners)
  func reframed(isBroken: Bool) {
    var wire = Wire(isOffloaded: true)
    let first = begun(.upstream)
    wire.say(first, from: .upstream)
    wire.lose(.upstream, isBroken: isBroken)
    #expect(wire.log(.downstream) == "\(first.count) close \(isBroken ? 1011 : 1012)")
  }

  @Test("what broke is not sent the close frame that waited for it", arguments: sides)
  func goneBeforeTold(side: Side) {
    var wire = Wire()
    wire.say(begun(side.other), from: side.other)
    wire.close(.shutdown)
    wire.lose(side, isBroken: true)
    wire.say([3], from: side.other)
    #expect(wire.log(side) == "\(begun(side.other).count)")
    #expect(wire.droppedCount == 1)
  }

  @Test("after its own close frame its end is nothing new", arguments: sides, manners)
  func afterOwnClose(side: Side, isBroken: Bool) {
    var wire = Wire()
    let close = closeFrame(side)
    wire.say(close, from: side)
    wire.lose(side, isBroken: isBroken)
    #expect((wire.log(side.other), wire.log(side)) == ("\(close.count)", ""))
    wire.say(closeFrame(side.other), from: side.other)
    // What broke gets no answer.
    #expect(wire.log(side) == (isBroken ? "" : "\(closeFrame(side.other).count)"))
    wire.lose(.upstream, isBroken: false)
    #expect(wire.end.hasSuffix("over"))
    #expect((wire.tunnel.cause, wire.tunnel.closeCode) == (.closed(side), .normalClosure))
  }

  @Test("whoever closes in order is answered in order", arguments: sides, [nil, 4000])
  func afterOthersClose(side: Side, code: UInt16?) {
    for isBroken in manners {
      var wire = Wire()
      let close = closeFrame(side.other, code)
      wire.say(close, from: side.other)
      wire.lose(side, isBroken: isBroken)
      #expect(wire.log(side) == "\(close.count)")
      #expect(wire.log(side.other) == "close \(code ?? 1000)")
      #expect(wire.tunnel.cause == .closed(side.other))
      #expect(wire.tunnel.closeCode.rawValue == code ?? 1005)
      // The client has said its last; the server ends first.
      #expect(wire.end == (side == .upstream ? "du over" : "d"))
    }
  }

  @Test("who is lost after the edge's close changes no more than its own end", arguments: sides)
  func afterEdgeClose(side: Side) {
    for isBroken in manners {
      var wire = Wire()
      wire.close(.lifetime)
      wire.lose(side, isBroken: isBroken)
      #expect((wire.log(.downstream), wire.log(.upstream)) == ("close 1001", "close 1001"))
      #expect(wire.end == (side == .downstream ? "d" : "u"))
      wire.lose(side.other, isBroken: isBroken)
      #expect(wire.end == "du over")
      #expect((wire.tunnel.cause, wire.tunnel.closeCode) == (.lifetime, .goingAway))
    }
  }

  @Test("an end behind an end is none, and the first cause holds", arguments: sides, manners)
  func again(side: Side, isBroken: Bool) {
    var wire = Wire()
    wire.lose(side, isBroken: isBroken)
    let first = (wire.tunnel.cause, wire.log(.downstream), wire.log(.upstream), wire.end)
    wire.lose(side, isBroken: isBroken)
    wire.lose(side, isBroken: !isBroken)
    wire.lose(side, isBroken: isBroken)
    let last = (wire.tunnel.cause, wire.log(.downstream), wire.log(.upstream), wire.end)
    #expect(first == last)
    wire.lose(side.other, isBroken: !isBroken)
    #expect(wire.end == "du over")
    #expect(wire.tunnel.cause == first.0)
  }

  @Test("a source that waited for one that broke is read again, to its end", arguments: sides)
  func paused(side: Side) {
    var wire = Wire()
    _ = wire.tunnel.queued(100_000, towards: side, now: second(0))
    #expect(wire.reads == (side == .downstream ? "d" : "u"))
    wire.lose(side, isBroken: true)
    #expect(wire.reads == (side == .downstream ? "u" : "d"))
    wire.say(frame(side.other), from: side.other)
    #expect(wire.droppedCount == frame(side.other).count)
  }

  @Test("a throttled source is read again when the other one broke")
  func throttled() {
    var wire = Wire(TunnelRules(bytes: .init(perSecond: 1, burst: 1), heartbeat: nil))
    wire.say(frame(.downstream), from: .downstream)
    #expect(wire.reads == "u")
    wire.lose(.upstream, isBroken: true)
    #expect(wire.reads == "d")
  }

  @Test("for one that broke nothing waits", arguments: sides)
  func stalled(side: Side) {
    var wire = Wire()
    _ = wire.tunnel.queued(10, towards: side, now: second(5))
    #expect(wire.tunnel.stalledSince(side) == second(5))
    wire.lose(side, isBroken: true, at: second(6))
    #expect(wire.tunnel.stalledSince(side) == nil)
    let isUnmeasured = wire.tunnel.isUnmeasured(side)
    #expect(!isUnmeasured)
  }

  @Test("a ping that waited dies with the source of the frame before it", arguments: sides, manners)
  func ping(side: Side, isBroken: Bool) {
    var wire = Wire(TunnelRules(heartbeat: .init(to: .both)))
    let first = begun(side)
    wire.say(first, from: side)
    #expect(wire.wake(at: second(25)) == "ping downstream ping upstream")
    wire.lose(side, isBroken: isBroken, at: second(26))
    let hasFrames = wire.tunnel.hasFrames(towards: side.other)
    #expect(!hasFrames)
    #expect((wire.log(side.other), wire.log(side)) == ("\(first.count)", "ping"))
  }
}
