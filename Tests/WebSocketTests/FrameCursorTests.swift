import Net
import Testing
import WebSocket

/// One frame as it stands on the wire.
private func frame(
  _ opcode: Opcode, _ payload: [UInt8] = [], isFinal: Bool = true,
  rsv: FrameHeader.ReservedBits = [], key: UInt32?
) -> [UInt8] {
  var octets: [UInt8] = []
  FrameHeader(
    opcode: opcode, payloadByteCount: UInt64(payload.count), isFinal: isFinal, rsv: rsv,
    maskKey: key
  ).write(into: &octets)
  return octets + masked(payload, key)
}

private func masked(_ payload: [UInt8], _ key: UInt32?) -> [UInt8] {
  guard let key else { return payload }
  return payload.enumerated().map { index, octet in
    octet ^ UInt8(truncatingIfNeeded: key >> UInt32(24 - 8 * (index & 3)))
  }
}

private func bigEndian(_ number: UInt64) -> [UInt8] {
  (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
}

extension FrameCursor {
  fileprivate mutating func advance(
    _ octets: [UInt8], max: Int = .max, stops: Bool = false
  ) -> Passage {
    var counts = FrameCounts()
    let (count, stop) = self.advance(
      over: octets.span, messageCountMax: max, stopsBetweenFrames: stops, counting: &counts)
    return Passage(count: count, stop: stop, counts: counts)
  }
}

private struct Passage: Equatable {
  var count: Int
  var stop: FrameCursor.Stop
  var counts = FrameCounts()
}

@Suite("frame cursor: what must not be sent")
struct FrameCursorViolationTests {
  struct Row: Sendable, CustomStringConvertible {
    let description: String
    let octets: [UInt8]
    let violation: FrameViolation
    var sender = FrameHeader.Sender.client
    var allowed: FrameHeader.ReservedBits = []
  }

  private static let key: UInt32 = 0x37FA_213D

  /// Rows about a mask: they differ between the senders by their nature.
  private static let masks: [Row] = [
    Row(description: "no mask", octets: [0x82, 0x01], violation: .unmasked),
    Row(description: "ping without a mask", octets: [0x89, 0x00], violation: .unmasked),
    Row(
      description: "a mask", octets: [0x82, 0x81, 1, 2, 3, 4], violation: .masked, sender: .server),
    Row(
      description: "close with a mask", octets: [0x88, 0x80, 1, 2, 3, 4], violation: .masked,
      sender: .server),
  ]

  /// Rows that hold for both senders, each masked as its sender has to.
  private static func both(_ sender: FrameHeader.Sender) -> [Row] {
    let key = sender == .client ? Self.key : nil
    return Self.headers(sender, key) + Self.orders(sender, key) + Self.closes(sender, key)
  }

  private static func headers(_ sender: FrameHeader.Sender, _ key: UInt32?) -> [Row] {
    let bit: UInt8 = key == nil ? 0 : 0x80
    let opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map { opcode in
      Row(
        description: "opcode \(opcode)", octets: [0x80 | opcode], violation: .reservedOpcode,
        sender: sender)
    }
    let controls = [8, 9, 10].flatMap { (opcode: UInt8) in
      [
        Row(
          description: "fragment of \(opcode)", octets: [opcode], violation: .fragmentedControl,
          sender: sender),
        Row(
          description: "\(opcode) of 126", octets: [0x80 | opcode, bit | 126],
          violation: .controlTooLong, sender: sender),
      ]
    }
    return opcodes + controls + Self.lengths(sender, bit) + Self.bits(sender, key)
  }

  private static func lengths(_ sender: FrameHeader.Sender, _ bit: UInt8) -> [Row] {
    let rows: [([UInt8], FrameViolation)] = [
      ([0x82, bit | 126, 0, 0], .lengthNotMinimal), ([0x82, bit | 126, 0, 125], .lengthNotMinimal),
      ([0x82, bit | 127, 0, 0, 0, 0, 0, 0, 0, 1], .lengthNotMinimal),
      ([0x82, bit | 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .lengthNotMinimal),
      ([0x82, bit | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], .lengthTooLarge),
    ]
    return rows.map { octets, violation in
      Row(
        description: "length \(octets.dropFirst(2))", octets: octets, violation: violation,
        sender: sender)
    }
  }

  private static func bits(_ sender: FrameHeader.Sender, _ key: UInt32?) -> [Row] {
    let plain = (1...7).map { (bits: UInt8) in
      Row(
        description: "reserved bits \(bits)",
        octets: frame(.text, rsv: .init(rawValue: bits), key: key), violation: .reservedBits,
        sender: sender)
    }
    let negotiated: [(Opcode, FrameHeader.ReservedBits)] = [
      (.text, .rsv2), (.binary, .rsv3), (.text, [.rsv1, .rsv2]), (.ping, .rsv1), (.close, .rsv1),
      (.continuation, .rsv1),
    ]
    return plain
      + negotiated.map { opcode, bits in
        Row(
          description: "bits \(bits.rawValue) of \(opcode), RSV1 negotiated",
          octets: frame(opcode, rsv: bits, key: key), violation: .reservedBits, sender: sender,
          allowed: .rsv1)
      }
  }

  private static func orders(_ sender: FrameHeader.Sender, _ key: UInt32?) -> [Row] {
    [
      Row(
        description: "continuation first", octets: frame(.continuation, key: key),
        violation: .unexpectedContinuation, sender: sender),
      Row(
        description: "continuation not final first",
        octets: frame(.continuation, isFinal: false, key: key),
        violation: .unexpectedContinuation, sender: sender),
    ]
  }

  private static func closes(_ sender: FrameHeader.Sender, _ key: UInt32?) -> [Row] {
    let codes: [UInt16] = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
    let payloads: [([UInt8], FrameViolation)] =
      [
        ([3], .badCloseCode), ([3, 0xE8, 0xFF], .badCloseReason),
        ([3, 0xE8, 0xC3], .badCloseReason),
      ]
      + codes.map { ([UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)], .badCloseCode) }
    return payloads.map { payload, violation in
      Row(
        description: "close \(payload)", octets: frame(.close, payload, key: key),
        violation: violation, sender: sender)
    }
  }

  static let rows = masks + both(.client) + both(.server)

  private static func text(_ sender: FrameHeader.Sender) -> [UInt8] {
    frame(.text, [1, 2, 3], key: sender == .client ? Self.key : nil)
  }

  @Test("is found at its beginning; what stands before it passes", arguments: rows)
  func violation(row: Row) {
    var cursor = FrameCursor(from: row.sender, allowing: row.allowed)
    // The mask of the two-octet rows is not there as a whole: more octets complete it.
    let octets = row.octets + [0, 0, 0, 0]
    let before = Self.text(row.sender)
    let first = cursor.advance(before + octets)
    var counts = FrameCounts()
    counts.text = 1
    #expect(first == Passage(count: before.count, stop: .violation(row.violation), counts: counts))
    // It stays where it is, and counts nothing twice.
    let second = cursor.advance(octets)
    #expect(second == Passage(count: 0, stop: .violation(row.violation)))
  }

  @Test("is found as well where it comes one octet at a time", arguments: rows)
  func octetByOctet(row: Row) {
    var cursor = FrameCursor(from: row.sender, allowing: row.allowed)
    let octets = row.octets + [0, 0, 0, 0]
    var stops: [FrameCursor.Stop] = []
    for count in 1...octets.count {
      let passage = cursor.advance(Array(octets[..<count]))
      #expect(passage.count == 0)
      stops.append(passage.stop)
    }
    let judged = stops.drop { $0 == .incomplete }
    #expect(!judged.isEmpty)
    #expect(judged.allSatisfy { $0 == .violation(row.violation) })
  }

  @Test("a new message inside of a message, and a continuation behind its end")
  func order() {
    var cursor = FrameCursor(from: .server)
    let begun = frame(.text, [1], isFinal: false, key: nil) + frame(.ping, key: nil)
    let inside = cursor.advance(begun + frame(.binary, key: nil))
    #expect(inside.count == begun.count)
    #expect(inside.stop == .violation(.expectedContinuation))
    let end = frame(.continuation, key: nil)
    let outside = cursor.advance(end + frame(.continuation, key: nil))
    #expect(outside.count == end.count)
    #expect(outside.stop == .violation(.unexpectedContinuation))
  }
}

@Suite("frame cursor: where it stops")
struct FrameCursorStopTests {
  @Test("RSV1 passes where it was negotiated")
  func compressed() {
    var cursor = FrameCursor(from: .server, allowing: .rsv1)
    let octets =
      frame(.text, [1], isFinal: false, rsv: .rsv1, key: nil) + frame(.continuation, [2], key: nil)
    let passage = cursor.advance(octets)
    #expect(passage.count == octets.count)
    #expect(passage.stop == .end)
  }

  private static let closes: [([UInt8], UInt16?)] = [
    ([], nil), ([3, 0xE8], 1000), ([0x0F, 0xA0, 0xC3, 0xA9], 4000), ([3, 0xF6], 1014),
  ]

  @Test("behind a close frame, whatever follows", arguments: closes, [nil, 0xA1B2_C3D4])
  func close(_ close: ([UInt8], UInt16?), key: UInt32?) {
    var cursor = FrameCursor(from: key == nil ? .server : .client)
    let octets = frame(.close, close.0, key: key)
    let passage = cursor.advance(octets + [0xFF, 0xFF, 0xFF])
    #expect(passage.count == octets.count)
    #expect(passage.stop == .close(close.1.map(CloseCode.init(rawValue:))))
    #expect(passage.counts.close == 1)
  }

  @Test("in front of a pong that carries the tag, masked or not", arguments: [nil, 0xA1B2_C3D4])
  func ownPong(key: UInt32?) {
    let tag: UInt64 = 0x0123_4567_89AB_CDEF
    var cursor = FrameCursor(from: key == nil ? .server : .client, pingTag: tag)
    let own = frame(.pong, bigEndian(tag), key: key)
    let first = frame(.text, [1], key: key)
    let before = cursor.advance(first + own)
    #expect(before.count == first.count)
    #expect(before.stop == .ownPong(byteCount: own.count))
    #expect(before.counts.pong == 1)
    for payload in [bigEndian(tag &+ 1), Array(bigEndian(tag).dropLast()), bigEndian(tag) + [0]] {
      let other = frame(.pong, payload, key: key)
      let passed = cursor.advance(other)
      #expect(passed.count == other.count)
      #expect(passed.stop == .end)
    }
    let ping = frame(.ping, bigEndian(tag), key: key)
    #expect(cursor.advance(ping).count == ping.count)
  }

  @Test("a header and a control frame are held until they are there as a whole")
  func incomplete() {
    let long = Array(frame(.binary, [UInt8](repeating: 0, count: 65536), key: 7)[..<14])
    let ping = frame(.ping, [1, 2, 3], key: 7)
    let close = frame(.close, [3, 0xE8, 0x61], key: 7)
    for whole in [long, ping, close] {
      var cursor = FrameCursor(from: .client)
      #expect(cursor.advance([]) == Passage(count: 0, stop: .end))
      for count in 1..<whole.count {
        #expect(cursor.advance(Array(whole[..<count])) == Passage(count: 0, stop: .incomplete))
        #expect(cursor.isBetweenFrames)
      }
      #expect(cursor.advance(whole).count == whole.count)
    }
  }

  @Test("between two frames, where it is asked to")
  func betweenFrames() {
    var cursor = FrameCursor(from: .server)
    let octets = frame(.text, [1, 2, 3, 4], key: nil)
    #expect(cursor.advance(octets, stops: true) == Passage(count: 0, stop: .betweenFrames))
    #expect(cursor.advance(Array(octets[..<3])).count == 3)
    #expect(cursor.advance([2, 3], stops: true) == Passage(count: 2, stop: .end))
    #expect(!cursor.isBetweenFrames)
    #expect(cursor.advance([4], stops: true) == Passage(count: 1, stop: .betweenFrames))
    #expect(cursor.advance([], stops: true) == Passage(count: 0, stop: .betweenFrames))
  }

  @Test("in front of a message too many; continuations and control frames are none")
  func messagesSpent() {
    var cursor = FrameCursor(from: .server)
    let one =
      frame(.text, [1], isFinal: false, key: nil) + frame(.ping, key: nil)
      + frame(.continuation, [2], key: nil) + frame(.pong, key: nil)
    let two = cursor.advance(one + one + one, max: 2)
    #expect(two.count == 2 * one.count)
    #expect(two.stop == .messagesSpent)
    #expect(two.counts.messages == 2)
    #expect(two.counts.continuation == 2)
    #expect(cursor.advance(one, max: 0) == Passage(count: 0, stop: .messagesSpent))
    #expect(cursor.advance(Array(one[..<3]), max: 1).count == 3)
    // The rest of a message that has begun always passes.
    #expect(cursor.advance(Array(one[3...]) + one, max: 0).stop == .messagesSpent)
  }

  @Test("in front of the frame that makes a message too large, its payload unseen")
  func messageTooBig() {
    var cursor = FrameCursor(from: .server, messageByteCountMax: 5)
    let fits = frame(.text, [1, 2, 3, 4, 5], key: nil)
    #expect(cursor.advance(fits + fits).stop == .end)
    let header = Array(frame(.text, [1, 2, 3, 4, 5, 6], key: nil)[..<2])
    #expect(cursor.advance(header) == Passage(count: 0, stop: .messageTooBig))
    let begun =
      frame(.text, [1, 2, 3], isFinal: false, key: nil) + frame(.ping, [1, 2, 3], key: nil)
      + frame(.continuation, [1, 2], isFinal: false, key: nil)
    let sum = cursor.advance(begun + [0x80, 0x01])
    #expect(sum.count == begun.count)
    #expect(sum.stop == .messageTooBig)
    // An empty fragment still fits, and the next message begins anew.
    #expect(cursor.advance([0x80, 0x00] + fits).stop == .end)
    cursor.liftLimit()
    #expect(cursor.advance(header).stop == .end)
  }

  @Test("without a limit fragments may sum up to anything")
  func noLimit() {
    var cursor = FrameCursor(from: .server)
    let length = bigEndian(UInt64(Int64.max))
    for first: UInt8 in [0x02, 0x00, 0x00, 0x80] {
      #expect(cursor.advance([first, 127] + length).stop == .end)
      #expect(cursor.payloadLeft == UInt64(Int64.max))
      cursor.skipPayload(Int.max)
    }
    var limited = FrameCursor(from: .server, messageByteCountMax: .max - 1)
    #expect(limited.advance([0x02, 127] + length).stop == .end)
    limited.skipPayload(Int.max)
    #expect(limited.advance([0x00, 127] + length).stop == .end)
    limited.skipPayload(Int.max)
    #expect(limited.advance([0x80, 127] + length).stop == .messageTooBig)
  }

  @Test("payload may go another way")
  func skipPayload() {
    var cursor = FrameCursor(from: .server)
    let octets = frame(.binary, [1, 2, 3, 4, 5], key: nil)
    #expect(cursor.advance(Array(octets[..<3])).count == 3)
    #expect(cursor.payloadLeft == 4)
    #expect(cursor.lastPayloadByteCount == 5)
    cursor.skipPayload(0)
    cursor.skipPayload(3)
    #expect(cursor.payloadLeft == 1)
    #expect(!cursor.isBetweenFrames)
    cursor.skipPayload(1)
    #expect(cursor.isBetweenFrames)
    #expect(cursor.advance(octets).stop == .end)
  }
}

// MARK: - Any stream, cut in any way

/// A valid stream that ends with a close frame, and what is to be found in it.
private struct Stream {
  static let tag: UInt64 = 0xFEDC_BA98_7654_3210

  let sender: FrameHeader.Sender
  var octets: [UInt8] = []
  var counts = FrameCounts()
  var closeCode: CloseCode?
  /// Where the edge's own pongs stand.
  var dropped: [Range<Int>] = []
  /// Places between two frames.
  var boundaries: Set<Int> = [0]
  /// Places at which a cursor never stands: inside of a header or of a control frame.
  var forbidden: Set<Int> = []
  /// The end of the close frame; octets without meaning follow.
  var end = 0

  private static let lengths = [0, 1, 2, 7, 124, 125, 126, 127, 128, 300]
  private static let largeLengths = [65535, 65536]

  init(_ sender: FrameHeader.Sender, isLarge: Bool, _ chance: inout SplitMix) {
    self.sender = sender
    for _ in 0..<Int.random(in: 1...4, using: &chance) { self.addMessage(&chance) }
    if isLarge { for length in Self.largeLengths { self.add(.binary, length, &chance) } }
    self.addClose(&chance)
    self.end = self.octets.count
    self.octets += [0xFF, 0x00, 0xFF]
  }

  private mutating func addMessage(_ chance: inout SplitMix) {
    let fragmentCount = Int.random(in: 1...4, using: &chance)
    for number in 1...fragmentCount {
      let first: Opcode = Bool.random(using: &chance) ? .text : .binary
      let length = Self.lengths.randomElement(using: &chance) ?? 0
      self.add(
        number == 1 ? first : .continuation, length, isFinal: number == fragmentCount, &chance)
      self.addControl(&chance)
    }
  }

  private mutating func addControl(_ chance: inout SplitMix) {
    switch Int.random(in: 0..<6, using: &chance) {
    case 0: self.add(.ping, Int.random(in: 0...125, using: &chance), &chance)
    case 1: self.add(.pong, [0, 7, 8, 125].randomElement(using: &chance) ?? 0, &chance)
    case 2:
      let start = self.octets.count
      self.add(.pong, payload: bigEndian(Self.tag), &chance)
      self.dropped.append(start..<self.octets.count)
    default: break
    }
  }

  private mutating func addClose(_ chance: inout SplitMix) {
    let codes: [UInt16] = [1000, 1001, 3000, 4999]
    let code = Bool.random(using: &chance) ? codes.randomElement(using: &chance) : nil
    self.closeCode = code.map { CloseCode(rawValue: $0) }
    var payload: [UInt8] = []
    if let code { payload = [UInt8(code >> 8), UInt8(truncatingIfNeeded: code), 0x62] }
    self.add(.close, payload: payload, &chance)
  }

  private mutating func add(
    _ opcode: Opcode, _ length: Int, isFinal: Bool = true, _ chance: inout SplitMix
  ) {
    let octet = UInt8.random(in: 0...255, using: &chance)
    let payload = [UInt8](repeating: octet, count: length)
    self.add(opcode, payload: payload, isFinal: isFinal, &chance)
  }

  private mutating func add(
    _ opcode: Opcode, payload: [UInt8], isFinal: Bool = true, _ chance: inout SplitMix
  ) {
    let key = self.sender == .client ? UInt32.random(in: .min ... .max, using: &chance) : nil
    let start = self.octets.count
    self.octets += frame(opcode, payload, isFinal: isFinal, key: key)
    let whole = opcode.isControl ? self.octets.count : self.octets.count - payload.count
    self.forbidden.formUnion(start + 1..<whole)
    self.boundaries.insert(self.octets.count)
    self.count(opcode)
  }

  private mutating func count(_ opcode: Opcode) {
    switch opcode {
    case .text: self.counts.text += 1
    case .binary: self.counts.binary += 1
    case .continuation: self.counts.continuation += 1
    case .close: self.counts.close += 1
    case .ping: self.counts.ping += 1
    case .pong: self.counts.pong += 1
    }
  }
}

/// What a cursor finds in a stream that comes in pieces.
private struct Reading: Equatable {
  var counts = FrameCounts()
  var closeCode: CloseCode?
  var isClosed = false
  var dropped: [Range<Int>] = []
  var place = 0
  /// Whether it ever stood where it must not, or said of a place what is not so.
  var isAstray = false

  init() {}

  init(_ stream: Stream) {
    self.counts = stream.counts
    self.closeCode = stream.closeCode
    self.isClosed = true
    self.dropped = stream.dropped
    self.place = stream.end
  }

  /// Reads a stream of which `ends` say how much of it is there, one time after the other.
  init(_ stream: Stream, upTo ends: some Sequence<Int>) {
    var cursor = FrameCursor(from: stream.sender, pingTag: Stream.tag)
    for end in ends where !self.isClosed {
      self.go(on: stream, upTo: end, &cursor)
      if stream.forbidden.contains(self.place) { self.isAstray = true }
      if cursor.isBetweenFrames != stream.boundaries.contains(self.place) { self.isAstray = true }
    }
  }

  private mutating func go(on stream: Stream, upTo end: Int, _ cursor: inout FrameCursor) {
    while true {
      let (count, stop) = cursor.advance(
        over: stream.octets.span.extracting(self.place..<end), counting: &self.counts)
      self.place += count
      switch stop {
      case .end, .incomplete: return
      case .ownPong(let byteCount):
        self.dropped.append(self.place..<self.place + byteCount)
        self.place += byteCount
      case .close(let code):
        self.closeCode = code
        self.isClosed = true
        return
      default:
        self.isAstray = true
        return
      }
    }
  }
}

@Suite("frame cursor: any stream")
struct FrameCursorStreamTests {
  @Test("what is found does not depend on where a stream is cut", arguments: 0..<40)
  func anyCut(round: Int) throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    let sender: FrameHeader.Sender = round.isMultiple(of: 2) ? .client : .server
    let stream = Stream(sender, isLarge: round % 10 < 2, &chance)
    let expected = Reading(stream)
    let count = stream.octets.count
    let place = Comment(rawValue: "seed \(seed), \(sender)")
    try #require(Reading(stream, upTo: [count]) == expected, place)
    try #require(Reading(stream, upTo: 1...count) == expected, place)
    for _ in 0..<20 {
      let cuts = (0..<Int.random(in: 1...12, using: &chance)).map { _ in
        Int.random(in: 0...count, using: &chance)
      }
      try #require(Reading(stream, upTo: cuts.sorted() + [count]) == expected, place)
    }
    // Of a large payload every place is as good as the other.
    for cut in stride(from: 0, to: count, by: count > 10_000 ? 997 : 1) {
      try #require(Reading(stream, upTo: [cut, count]) == expected, place)
    }
  }
}
