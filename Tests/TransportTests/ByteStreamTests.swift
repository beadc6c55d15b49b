import Net
import TLS
import Testing

@testable import Transport

/// Whether a stream's octets are sealed.
enum Cover: Sendable, CaseIterable {
  case plain
  case tls
}

@Suite("byte stream")
struct ByteStreamTests {
  private static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8 ^ $0 >> 16) }
  }

  @Test("octets arrive in both directions", arguments: Cover.allCases)
  func transfer(cover: Cover) throws {
    let line = try Line(cover)
    #expect(line.client.send([1, 2, 3]) == nil)
    #expect(try line.server.hear(3) == [1, 2, 3])
    #expect(line.server.send([4, 5]) == nil)
    #expect(try line.client.hear(2) == [4, 5])
    #expect(line.server.tlsVersion == (cover == .tls ? "TLSv1.3" : nil))
  }

  @Test("the order survives a peer that does not read for a while", arguments: Cover.allCases)
  func backPressure(cover: Cover) throws {
    let line = try Line(cover)
    let octets = Self.pattern(12 << 20)
    for start in stride(from: 0, to: octets.count, by: 3 << 20) {
      #expect(line.client.send(Array(octets[start..<start + (3 << 20)])) == nil)
    }
    #expect(line.client.queuedByteCount > 0, "the kernel took all")
    // The end waits behind all that is queued.
    #expect(line.client.end() == nil)
    #expect(try line.server.hearAll(while: line.client) == octets)
    #expect(line.client.queuedByteCount == 0)
    #expect(line.server.hasEnded)
    #expect(line.client.spareMemoryIsBounded)
  }

  @Test("an end is told once, and the other direction stays open", arguments: Cover.allCases)
  func halfClose(cover: Cover) throws {
    let line = try Line(cover)
    #expect(line.client.send([1]) == nil)
    #expect(line.client.end() == nil)
    #expect(line.client.end() == nil)
    #expect(try line.server.hearAll() == [1])
    #expect(line.server.send([2]) == nil)
    #expect(line.server.end() == nil)
    #expect(try line.client.hearAll() == [2])
  }

  @Test("an abort is a fault, not an end", arguments: Cover.allCases)
  func reset(cover: Cover) throws {
    let line = try Line(cover)
    line.server.abort()
    #expect(throws: StreamFault.self) { try line.client.hearAll() }
    guard case .socket(let fault)? = line.client.lastFault else {
      Issue.record("\(String(describing: line.client.lastFault))")
      return
    }
    #expect(fault.isReset)
    #expect(line.client.lastFault?.reason == fault.description)
  }

  @Test("discarding forgets the queue", arguments: Cover.allCases)
  func discard(cover: Cover) throws {
    let line = try Line(cover)
    #expect(line.client.send(Self.pattern(16 << 20)) == nil)
    #expect(line.client.queuedByteCount > 0)
    line.client.discardQueue()
    #expect(line.client.queuedByteCount == 0)
  }

  @Test("a short read ends the turn's reading until the loop reports again")
  func shortRead() throws {
    let line = try Line(.plain)
    #expect(line.client.send([1, 2, 3]) == nil)
    try line.server.waitUntilReadable()
    #expect(line.server.isReadable)
    #expect(line.server.receiveOnce() == .octets)
    #expect(!line.server.isReadable)
    #expect(line.client.send([4]) == nil)
    try line.server.waitUntilReadable()
    #expect(line.server.receiveOnce() == .octets)
    #expect(line.server.takeHeard() == [1, 2, 3, 4])
  }

  @Test("near the end, reading goes on until the end is seen")
  func endIsSeen() throws {
    let line = try Line(.plain)
    #expect(line.client.send([1]) == nil)
    #expect(line.client.end() == nil)
    try line.server.waitUntil { $0.contains(.peerEnded) }
    #expect(line.server.receiveOnce() == .octets)
    // The read was short, and yet there is something to read: the end.
    #expect(line.server.isReadable)
    // No event tells of the end again, so it stays there for whoever is to act on it.
    for _ in 0..<2 {
      #expect(line.server.receiveOnce() == .ended)
      #expect(line.server.isReadable)
    }
  }

  @Test("a send that TLS refuses leaves nothing for the next stream of the worker")
  func refusedSend() throws {
    let line = try Line(.tls)
    #expect(line.client.end() == nil)
    guard case .tls? = line.client.send([1, 2, 3]) else {
      Issue.record("sent after the end")
      return
    }
    #expect(line.client.scratchIsEmpty)
  }

  @Test("a plain peer on a TLS stream is a fault with a reason")
  func plainPeer() throws {
    let plain = try Scratch()
    let scratch = try Scratch()
    let tls = try TLSConnection(accepting: Certificate.server, over: scratch.wire)
    let sockets = try Line.sockets()
    let one = Conversation(sockets.client, tls: nil, plain)
    let two = Conversation(sockets.server, tls: tls, scratch)
    #expect(one.send(Array("GET / HTTP/1.1\r\n\r\n".utf8)) == nil)
    #expect(throws: StreamFault.tls(TLSFault(reason: "http request"))) {
      try two.shakeHands(with: nil)
    }
  }

  @Test("octets that come with the last flight of the handshake are not lost")
  func earlyOctets() throws {
    let line = try Line(.tls, sending: [7, 8, 9])
    #expect(try line.server.hear(3) == [7, 8, 9])
  }
}
