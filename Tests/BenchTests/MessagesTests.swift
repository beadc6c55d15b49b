import Testing

@testable import bench

@Suite struct MessagesTests {
  @Test("the same connection has the same messages in every run")
  func repeats() {
    var one = MessageSequence(.mixed, connection: 3)
    var other = MessageSequence(.mixed, connection: 3)
    var stranger = MessageSequence(.mixed, connection: 4)
    let first = (0..<100).map { _ in one.next() }
    let second = (0..<100).map { _ in other.next() }
    let third = (0..<100).map { _ in stranger.next() }
    #expect(first == second)
    #expect(first != third)
    #expect(one.count == 100)
  }

  @Test("mixed sizes are spread as stated")
  func spread() {
    var sequence = MessageSequence(.mixed, connection: 0)
    let sizes = (0..<10_000).map { _ in sequence.next().byteCount }
    #expect(sizes.allSatisfy { (32...262_144).contains($0) })
    let small = sizes.filter { $0 <= 512 }.count
    let large = sizes.filter { $0 > 8192 }.count
    #expect((5800...6200).contains(small))
    #expect((850...1150).contains(large))
  }

  @Test("a message is recognized, whole and in pieces, and a changed octet is seen")
  func matching() {
    let pattern = Pattern()
    let message = Message(byteCount: 200_000, shift: Pattern.period - 10)
    var octets = Self.octets(of: message, pattern)
    #expect(octets.count == message.byteCount)
    let whole = pattern.matches(octets.span, message, from: 0)
    let part = pattern.matches(octets.span.extracting(70_000..<140_001), message, from: 70_000)
    let elsewhere = pattern.matches(octets.span.extracting(1..<100), message, from: 0)
    let tooLong = pattern.matches(octets.span, message, from: 1)
    #expect(whole && part && !elsewhere && !tooLong)
    octets[123_456] ^= 1
    let changed = pattern.matches(octets.span, message, from: 0)
    #expect(!changed)
  }

  @Test("messages of other connections, and later ones, have other octets")
  func distinct() {
    var sequence = MessageSequence(.fixed(32), connection: 7)
    var other = MessageSequence(.fixed(32), connection: 8)
    let shifts = [sequence.next().shift, sequence.next().shift, other.next().shift]
    #expect(Set(shifts).count == 3)
  }

  static func octets(of message: Message, _ pattern: Pattern) -> [UInt8] {
    var octets: [UInt8] = []
    while octets.count < message.byteCount {
      pattern.withOctets(of: message, from: octets.count, count: .max) { piece in
        for index in piece.indices { octets.append(piece[index]) }
      }
    }
    return octets
  }
}
