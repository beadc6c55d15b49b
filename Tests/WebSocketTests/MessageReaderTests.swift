import Net
import Testing

@testable import WebSocket

@Suite("message reader")
struct MessageReaderTests {
  /// A client's frame.
  private static func frame(
    _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, key: UInt32? = 0x1234_5678,
    rsv: FrameHeader.ReservedBits = []
  ) -> [UInt8] {
    var octets: [UInt8] = []
    FrameHeader(
      opcode: opcode, payloadByteCount: UInt64(payload.count), isFinal: isFinal, rsv: rsv,
      maskKey: key
    ).write(into: &octets)
    var payload = payload
    if let key {
      var span = payload.mutableSpan
      Mask(key: key).apply(to: &span, at: 0)
    }
    return octets + payload
  }

  private static func reader(_ limit: UInt64 = 1000, skips: UInt64 = 2000) -> MessageReader {
    MessageReader(from: .client, messageByteCountMax: limit, skippedByteCountMax: skips)
  }

  /// What comes of octets that arrive in pieces of a length.
  private static func events(
    _ octets: [UInt8], piece: Int = .max, _ reader: MessageReader = reader()
  ) -> [MessageReader.Event] {
    var (reader, events) = (reader, [MessageReader.Event]())
    var start = 0
    while start < octets.count {
      let end = start + min(piece, octets.count - start)
      let span = octets.span.extracting(start..<end)
      var index = 0
      while let event = reader.next(span, from: &index) {
        events.append(event)
        switch event {
        case .violation, .endless: return events
        default: break
        }
      }
      start = end
    }
    return events
  }

  private static func text(_ text: String) -> MessageReader.Event { .text(Array(text.utf8)) }

  @Test("a stream comes out the same however it is cut", arguments: [1, 2, 3, 5, 7, 64, 100_000])
  func cuts(piece: Int) {
    let long = [UInt8](repeating: 0x61, count: 700)
    let octets =
      Self.frame(.text, Array("hello".utf8)) + Self.frame(.ping, [1, 2])
      + Self.frame(.text, Array("one ".utf8), isFinal: false)
      + Self.frame(.pong, [9]) + Self.frame(.continuation, [], isFinal: false, key: 7)
      + Self.frame(.continuation, Array("message".utf8), key: 99)
      + Self.frame(.binary, long) + Self.frame(.text, [])
      + Self.frame(.close, [0x03, 0xE8] + Array("bye".utf8))
    #expect(
      Self.events(octets, piece: piece) == [
        Self.text("hello"), .ping([1, 2]), .pong([9]), Self.text("one message"), .binary(long),
        .text([]), .close(ClosePayload(code: .normalClosure, reason: "bye")),
      ])
  }

  @Test("what is too large is skipped, and what follows is read", arguments: [1, 13, 100_000])
  func tooLarge(piece: Int) {
    let octets =
      Self.frame(.text, [UInt8](repeating: 1, count: 600), isFinal: false)
      + Self.frame(.ping, [5])
      + Self.frame(.continuation, [UInt8](repeating: 1, count: 600))
      + Self.frame(.text, [UInt8](repeating: 0x62, count: 1000))
    let events = Self.events(octets, piece: piece)
    #expect(
      events == [.ping([5]), .tooLarge, .text([UInt8](repeating: 0x62, count: 1000))])
  }

  @Test("what is beyond all measure ends the reading at its header")
  func endless() {
    var header: [UInt8] = []
    FrameHeader(opcode: .text, payloadByteCount: 1 << 40, maskKey: 1).write(into: &header)
    #expect(Self.events(header, piece: 1) == [.endless])
    let parts = Self.frame(.text, [UInt8](repeating: 1, count: 1500), isFinal: false)
    var rest: [UInt8] = []
    FrameHeader(opcode: .continuation, payloadByteCount: 501, maskKey: 1).write(into: &rest)
    #expect(Self.events(parts + rest) == [.endless])
  }

  @Test("a skipped message keeps nothing")
  func skippedMemory() {
    var reader = Self.reader()
    let octets = Self.frame(.text, [UInt8](repeating: 1, count: 1900))
    var index = 0
    let event = reader.next(octets.span.extracting(0..<1000), from: &index)
    let held = reader.heldByteCount
    #expect(event == nil)
    #expect(held == 0)
  }

  @Test("another limit holds from the next message on", arguments: [10, 5000] as [UInt64])
  func otherLimit(limit: UInt64) {
    var reader = MessageReader(
      from: .client, messageByteCountMax: 1000, skippedByteCountMax: 10_000)
    let large = Self.frame(.text, [UInt8](repeating: 1, count: 2000), isFinal: false)
    let small = Self.frame(.text, [UInt8](repeating: 1, count: 500), isFinal: false)
    let rest = Self.frame(.continuation, [2])
    for (first, event) in [
      (large, MessageReader.Event.tooLarge),
      (small, .text([UInt8](repeating: 1, count: 500) + [2])),
    ] {
      reader.setLimit(1000)
      var index = 0
      let none = reader.next(first.span, from: &index)
      #expect(none == nil)
      reader.setLimit(limit)
      index = 0
      let found = reader.next(rest.span, from: &index)
      #expect(found == event)
    }
  }

  @Test(
    "a frame that must not be sent ends the reading",
    arguments: [
      (frame(.text, [1], key: nil), FrameViolation.unmasked),
      (frame(.continuation, [1]), .unexpectedContinuation),
      (frame(.text, [1], isFinal: false) + frame(.text, [1]), .expectedContinuation),
      (frame(.text, [1], rsv: .rsv1), .reservedBits),
      ([0x83, 0x80, 0, 0, 0, 0], .reservedOpcode), ([0x09, 0x80, 0, 0, 0, 0], .fragmentedControl),
      (frame(.close, [3]), .badCloseCode), (frame(.close, [0x03, 0xE8, 0xFF]), .badCloseReason),
    ])
  func violations(octets: [UInt8], violation: FrameViolation) {
    for piece in [1, 100] {
      #expect(Self.events(octets, piece: piece).last == .violation(violation))
    }
  }

  @Test("random octets never trap")
  func garbage() {
    var chance = SplitMix(seed: 7)
    for _ in 0..<20_000 {
      let count = Int.random(in: 0..<40, using: &chance)
      var octets = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &chance) }
      // Half of them begin as a client's frame does.
      if count > 1, Bool.random(using: &chance) {
        octets[0] = 0x80 | octets[0] & 0xA
        octets[1] |= 0x80
      }
      _ = Self.events(octets, piece: Int.random(in: 1...8, using: &chance))
    }
  }

  @Test(
    "UTF-8 is told from what is none",
    arguments: [
      ("", true), ("plain", true), ("plain text of more than eight octets", true),
      ("eight octets, then é and 漢 and 🎈", true),
    ])
  func utf8(text: String, isGood: Bool) {
    let octets = Array(text.utf8)
    let found = isUTF8(octets.span)
    #expect(found == isGood)
    guard let last = octets.last, last >= 0x80 else { return }
    // Cut inside of a character.
    let cut = isUTF8(octets.span.extracting(..<(octets.count - 1)))
    #expect(!cut)
  }

  @Test(
    "octets that are no UTF-8 are seen wherever they stand",
    arguments: [[0x80], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF]])
  func badUTF8(bad: [UInt8]) {
    for before in [0, 1, 7, 8, 9, 16, 31] {
      let octets = [UInt8](repeating: 0x61, count: before) + bad + Array("rest of it".utf8)
      let isGood = isUTF8(octets.span)
      #expect(!isGood)
    }
  }
}
