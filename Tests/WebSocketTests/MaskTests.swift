import Testing
import WebSocket

@Suite struct MaskTests {
  @Test("the example of RFC 6455 §5.7")
  func example() {
    var octets: [UInt8] = [0x7F, 0x9F, 0x4D, 0x51, 0x58]
    var span = octets.mutableSpan
    Mask(key: 0x37FA_213D).apply(to: &span, at: 0)
    #expect(octets == Array("Hello".utf8))
  }

  @Test("every length and every cut masks as one octet at a time does")
  func everyCut() {
    let key: [UInt8] = [0x01, 0x80, 0xFE, 0x5A]
    let mask = Mask(key: 0x0180_FE5A)
    for count in 0..<40 {
      let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
      let expected = payload.enumerated().map { $0.element ^ key[$0.offset % 4] }
      for cut in 0...count {
        var head = Array(payload[..<cut])
        var tail = Array(payload[cut...])
        var headSpan = head.mutableSpan
        mask.apply(to: &headSpan, at: 0)
        var tailSpan = tail.mutableSpan
        mask.apply(to: &tailSpan, at: cut)
        #expect(head + tail == expected)
      }
    }
  }
}

@Suite struct ClosePayloadTests {
  @Test("which codes may be sent, all of them")
  func codes() {
    for number in UInt16.min...UInt16.max {
      let isSent =
        (1000...1014).contains(number) && ![1004, 1005, 1006].contains(number)
        || (3000...4999).contains(number)
      let code = CloseCode(rawValue: number)
      #expect(code.mayAppearOnWire == isSent, "\(code)")
    }
  }

  private static let payloads: [([UInt8], UInt16?, String)] = [
    ([], nil, ""), ([0x03, 0xE8], 1000, ""), ([0x03, 0xE9, 0x62, 0x79, 0x65], 1001, "bye"),
    ([0x0F, 0xA0, 0xC3, 0xA9], 4000, "\u{00E9}"),
  ]

  @Test("payloads that are read and written", arguments: payloads)
  func read(payload: [UInt8], code: UInt16?, reason: String) throws {
    let close = try ClosePayload.parse(payload.span)
    #expect(close.code?.rawValue == code)
    #expect(close.reason == reason)
    var frame: [UInt8] = []
    close.writeFrame(into: &frame)
    #expect(frame == [0x88, UInt8(payload.count)] + payload)
    var masked: [UInt8] = []
    close.writeFrame(into: &masked, maskKey: 0x0102_0304)
    #expect(Array(masked[..<6]) == [0x88, 0x80 | UInt8(payload.count), 1, 2, 3, 4])
    var unmasked = Array(masked[6...])
    var span = unmasked.mutableSpan
    Mask(key: 0x0102_0304).apply(to: &span, at: 0)
    #expect(unmasked == payload)
  }

  private static let refusedPayloads: [([UInt8], FrameViolation, UInt16)] = [
    ([0x03], .badCloseCode, 1002), ([0x00, 0x00], .badCloseCode, 1002),
    ([0x03, 0xED], .badCloseCode, 1002), ([0x03, 0xEE], .badCloseCode, 1002),
    ([0x03, 0xF7], .badCloseCode, 1002), ([0x07, 0xD0], .badCloseCode, 1002),
    ([0xFF, 0xFF, 0x61], .badCloseCode, 1002), ([0x03, 0xE8, 0xFF], .badCloseReason, 1007),
    ([0x03, 0xE8, 0xC3], .badCloseReason, 1007),
    ([0x03, 0xE8, 0xED, 0xA0, 0x80], .badCloseReason, 1007),
  ]

  @Test("payloads that are refused", arguments: refusedPayloads)
  func refused(payload: [UInt8], violation: FrameViolation, answer: UInt16) {
    #expect(throws: violation) { try ClosePayload.parse(payload.span) }
    #expect(violation.closeCode.rawValue == answer)
  }

  @Test("a reason that is too long is cut between characters")
  func longReason() {
    let close = ClosePayload(code: .goingAway, reason: String(repeating: "\u{00E9}", count: 100))
    #expect(close.reason == String(repeating: "\u{00E9}", count: 61))
    var frame: [UInt8] = []
    close.writeFrame(into: &frame)
    #expect(frame.count == 2 + 2 + 122)
  }

  @Test("every violation has a reason that fits into a close frame")
  func reasons() {
    for violation in FrameViolation.allCases {
      let count = violation.reason.utf8.count
      #expect((1...ClosePayload.reasonByteCountMax).contains(count))
      #expect(violation.closeCode.mayAppearOnWire)
    }
  }
}
