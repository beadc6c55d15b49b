import Testing
import WebSocket

@Suite struct FrameHeaderTests {
  private static let sizes: [UInt64] = [
    0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 0x1_0001, UInt64(UInt32.max) + 1, UInt64(Int64.max),
  ]

  private static let headers: [FrameHeader] = sizes.flatMap { size in
    Opcode.allCases.filter { !$0.isControl || size <= 125 }.flatMap { opcode in
      [nil, 0, 0xA1B2_C3D4].flatMap { key in
        [true, false].filter { $0 || !opcode.isControl }.flatMap { isFinal in
          (0..<8).map { bits in
            FrameHeader(
              opcode: opcode, payloadByteCount: size, isFinal: isFinal,
              rsv: .init(rawValue: bits), maskKey: key)
          }
        }
      }
    }
  }

  @Test("what is written is read, at every length of the span")
  func roundTrip() throws {
    for header in Self.headers {
      var octets: [UInt8] = []
      header.write(into: &octets)
      #expect(octets.count == header.headerByteCount)
      #expect(octets.count <= FrameHeader.byteCountMax)
      for count in 0..<octets.count {
        let partial = try FrameHeader.parse(Array(octets[..<count]).span)
        #expect(partial == nil)
      }
      let whole = try FrameHeader.parse(octets.span)
      let more = try FrameHeader.parse((octets + [1, 2, 3]).span)
      #expect(whole == header)
      #expect(more == header)
    }
  }

  private static let examples: [([UInt8], FrameHeader)] = [
    ([0x81, 0x05], FrameHeader(opcode: .text, payloadByteCount: 5)),
    (
      [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D],
      FrameHeader(opcode: .text, payloadByteCount: 5, maskKey: 0x37FA_213D)
    ),
    ([0x01, 0x03], FrameHeader(opcode: .text, payloadByteCount: 3, isFinal: false)),
    ([0x80, 0x02], FrameHeader(opcode: .continuation, payloadByteCount: 2)),
    ([0x82, 0x7E, 0x01, 0x00], FrameHeader(opcode: .binary, payloadByteCount: 256)),
    (
      [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0],
      FrameHeader(opcode: .binary, payloadByteCount: 65536)
    ),
    ([0xC1, 0x07], FrameHeader(opcode: .text, payloadByteCount: 7, rsv: .rsv1)),
  ]

  @Test("the examples of RFC 6455 §5.7 and RFC 7692 §7.2.3.1", arguments: examples)
  func example(octets: [UInt8], header: FrameHeader) throws {
    var written: [UInt8] = []
    header.write(into: &written)
    #expect(written == octets)
    #expect(try FrameHeader.parse(octets.span) == header)
  }

  private static let violations: [([UInt8], FrameViolation)] =
    [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map { ([0x80 | $0], .reservedOpcode) }
    + [8, 9, 10].map { ([$0], .fragmentedControl) }
    + [8, 9, 10].map { ([0x80 | $0, 0x7E], .controlTooLong) }
    + [8, 9, 10].map { ([0x80 | $0, 0xFF], .controlTooLong) }
    + [
      ([0x82, 0x7E, 0, 0], .lengthNotMinimal), ([0x82, 0xFE, 0, 125], .lengthNotMinimal),
      ([0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0, 1], .lengthNotMinimal),
      ([0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .lengthNotMinimal),
      ([0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0], .lengthTooLarge),
      ([0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .lengthTooLarge),
    ]

  @Test("what is wrong is refused with the octet that shows it", arguments: violations)
  func violation(octets: [UInt8], expected: FrameViolation) throws {
    for count in 0..<octets.count {
      let partial = try FrameHeader.parse(Array(octets[..<count]).span)
      #expect(partial == nil)
    }
    #expect(throws: expected) { try FrameHeader.parse(octets.span) }
    #expect(throws: expected) { try FrameHeader.parse((octets + [0, 0, 0, 0]).span) }
  }

  @Test("a client masks, a server does not, and reserved bits are those of the first frame")
  func check() throws {
    let masked = FrameHeader(opcode: .text, payloadByteCount: 0, maskKey: 1)
    let plain = FrameHeader(opcode: .text, payloadByteCount: 0)
    try masked.check(from: .client)
    try plain.check(from: .server)
    #expect(throws: FrameViolation.unmasked) { try plain.check(from: .client) }
    #expect(throws: FrameViolation.masked) { try masked.check(from: .server) }
    for opcode in Opcode.allCases {
      let compressed = FrameHeader(opcode: opcode, payloadByteCount: 0, rsv: .rsv1)
      #expect(throws: FrameViolation.reservedBits) { try compressed.check(from: .server) }
      if opcode == .text || opcode == .binary {
        try compressed.check(from: .server, allowing: .rsv1)
      } else {
        #expect(throws: FrameViolation.reservedBits) {
          try compressed.check(from: .server, allowing: .rsv1)
        }
      }
      let other = FrameHeader(opcode: opcode, payloadByteCount: 0, rsv: .rsv2)
      #expect(throws: FrameViolation.reservedBits) {
        try other.check(from: .server, allowing: .rsv1)
      }
    }
  }

  private static let sequences: [([(Opcode, Bool)], FrameViolation?, Bool)] = [
    ([(.text, true), (.binary, true)], nil, false),
    ([(.text, false)], nil, true),
    ([(.text, false), (.ping, true), (.continuation, false), (.continuation, true)], nil, false),
    ([(.continuation, true)], .unexpectedContinuation, false),
    ([(.text, true), (.continuation, false)], .unexpectedContinuation, false),
    ([(.binary, false), (.text, true)], .expectedContinuation, true),
    ([(.binary, false), (.pong, true), (.binary, false)], .expectedContinuation, true),
    ([(.close, true)], nil, false),
  ]

  @Test("the order of frames", arguments: sequences)
  func sequence(frames: [(Opcode, Bool)], violation: FrameViolation?, isInside: Bool) {
    var sequence = FrameSequence()
    var thrown: FrameViolation?
    for (opcode, isFinal) in frames {
      do throws(FrameViolation) {
        try sequence.received(FrameHeader(opcode: opcode, payloadByteCount: 0, isFinal: isFinal))
      } catch {
        thrown = error
      }
    }
    #expect(thrown == violation)
    #expect(sequence.isInsideMessage == isInside)
  }
}
