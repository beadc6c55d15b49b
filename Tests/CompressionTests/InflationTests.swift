import CZlib
import Compression
import Net
import Testing
import WebSocket

@Suite struct InflationTests {
  /// The client's stream of compressed messages with pings between their fragments.
  private static func stream(
    _ messages: [[UInt8]], _ agreement: DeflateAgreement, sizes: [Int] = []
  ) -> Octets {
    // A client that cannot be told the window uses all of it; zlib does not do 8 bits.
    let peer = PeerDeflate(windowBits: max(agreement.clientWindowBits ?? 15, 9))
    let frames = messages.enumerated().flatMap { index, message in
      let payload = peer.message(message, keepsContext: agreement.clientKeepsContext)
      let frames = Frame.fragments(.binary, payload, sizes: sizes, rsv: .rsv1)
      return frames.flatMap { frame in
        frame.isFinal ? [frame] : [frame, Frame(opcode: .ping, payload: [UInt8(index)])]
      }
    }
    return Octets(frames, from: .client)
  }

  private static func check(
    _ messages: [[UInt8]], _ stream: Octets, _ agreement: DeflateAgreement,
    pieces: [ArraySlice<UInt8>], roomByteCount: Int, _ comment: Comment
  ) throws {
    let limit = UInt64(messages.map(\.count).max() ?? 0)
    var inflation = ClientInflation(agreement, messageByteCountMax: limit)
    let sent = try inflation.deliver(pieces, roomByteCount: roomByteCount)
    let reading = try Reading(sent, from: .client)
    // Not `messages == messages` in the macro: its failure would print megabytes.
    let isSame = reading.messages.map(\.payload) == messages
    #expect(isSame, comment)
    #expect(reading.frames.allSatisfy { $0.rsv == [] }, comment)
    let uncompressed = try Reading(stream.octets, from: .client, allowing: .rsv1)
    #expect(reading.controls == uncompressed.controls, comment)
  }

  @Test("sizes, windows and contexts, cut by chance", arguments: Matter.allCases)
  func roundTrips(matter: Matter) throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    for agreement in try DeflateAgreement.all() {
      let messages = [0, 1, 2, 125, 126, 4095, 65535, 65536, 300_000, 0, 7].map {
        matter.octets($0, using: &chance)
      }
      let sizes = (0..<Int.random(in: 0...5, using: &chance)).map { _ in
        Int.random(in: 0...3000, using: &chance)
      }
      let stream = Self.stream(messages, agreement, sizes: sizes)
      for roomByteCount in [OffloadLimits.roomByteCountMin, 1000, 65536 + 14, 1 << 20] {
        let share = Int.random(in: 2...5000, using: &chance)
        let pieces = stream.pieces { _ in Int.random(in: 0..<share, using: &chance) == 0 }
        try Self.check(
          messages, stream, agreement, pieces: pieces, roomByteCount: roomByteCount,
          "seed \(seed), \(agreement), room \(roomByteCount)")
      }
    }
  }

  @Test("3 MB in one message", arguments: Matter.allCases)
  func large(matter: Matter) throws {
    var chance = SplitMix(seed: 1)
    let agreement = try DeflateAgreement.offered(("client_max_window_bits", nil))
    let messages = [matter.octets(3_000_000, using: &chance)]
    let stream = Self.stream(messages, agreement, sizes: [100_000])
    let pieces = stream.pieces { $0 % 16384 == 0 }
    try Self.check(messages, stream, agreement, pieces: pieces, roomByteCount: 65536, "\(matter)")
    // Room for all of it: one frame, but for the input that is cut.
    try Self.check(
      messages, stream, agreement, pieces: [stream.octets[...]], roomByteCount: 4 << 20, "whole")
  }

  @Test("every cut into two, and octet by octet, with little room and with much")
  func everyCut() throws {
    var chance = SplitMix(seed: 2)
    let agreement = try DeflateAgreement.offered(("client_max_window_bits", nil))
    let messages = [
      Matter.text.octets(700, using: &chance), [], Matter.noise.octets(200, using: &chance),
      Matter.zeros.octets(2000, using: &chance),
    ]
    let stream = Self.stream(messages, agreement, sizes: [3, 0, 50])
    for roomByteCount in [OffloadLimits.roomByteCountMin, 139 + 7, 4096] {
      for cut in stream.cuts {
        try Self.check(
          messages, stream, agreement, pieces: stream.pieces { $0 == cut },
          roomByteCount: roomByteCount, "cut \(cut), room \(roomByteCount)")
      }
      try Self.check(
        messages, stream, agreement, pieces: stream.pieces { _ in true },
        roomByteCount: roomByteCount, "octet by octet, room \(roomByteCount)")
    }
  }

  @Test("every room from the least: nothing is lost where the output ends")
  func everyRoom() throws {
    var chance = SplitMix(seed: 3)
    let agreement = try DeflateAgreement.offered()
    let messages = [400, 401].map { Matter.text.octets($0, using: &chance) }
    let stream = Self.stream(messages, agreement)
    for roomByteCount in OffloadLimits.roomByteCountMin...900 {
      try Self.check(
        messages, stream, agreement, pieces: [stream.octets[...]], roomByteCount: roomByteCount,
        "room \(roomByteCount)")
    }
  }

  @Test("a message is one frame where it fits, in the shortest form and under a fresh mask")
  func oneFrame() throws {
    var chance = SplitMix(seed: 5)
    for count in [0, 125, 126, 65535, 65536, 100_000] {
      let agreement = try DeflateAgreement.offered()
      let message = Matter.text.octets(count, using: &chance)
      let stream = Self.stream([message, message], agreement, sizes: [])
      var keys: [UInt32] = [0xFFEE_DDCC, 0x0102_0304]
      var inflation = ClientInflation(
        agreement, messageByteCountMax: UInt64(count), maskKeys: { keys.removeLast() })
      let sent = try inflation.deliver([stream.octets[...]], roomByteCount: 1 << 18)
      let frame = Frame(opcode: .binary, payload: message)
      let isSame =
        sent == frame.wire(from: .client, key: 0x0102_0304)
        + frame.wire(from: .client, key: 0xFFEE_DDCC)
      #expect(isSame, "\(count)")
      // An output that the payload fills to its last octet still gets no second frame.
      let exact = try #require(try FrameHeader.parse(Array(sent.prefix(14)).span))
      let roomByteCount = max(exact.headerByteCount + count, OffloadLimits.roomByteCountMin)
      var tight = ClientInflation(agreement, messageByteCountMax: UInt64(count))
      let single = Self.stream([message], agreement)
      let fitted = try tight.deliver([single.octets[...]], roomByteCount: roomByteCount)
      #expect(try Reading(fitted, from: .client).frames.count == 1, "\(count)")
    }
  }

  @Test("what is not compressed passes octet by octet, and counts")
  func uncompressed() throws {
    var chance = SplitMix(seed: 6)
    let frames =
      Frame.fragments(.text, Matter.text.octets(1000, using: &chance), sizes: [10, 0, 500])
      + [Frame(opcode: .pong, payload: []), Frame(opcode: .binary, payload: [])]
      + [Frame(opcode: .close, payload: [3, 232])]
    let stream = Octets(frames, from: .client)
    for isCut in [false, true] {
      var inflation = ClientInflation(try .offered(), messageByteCountMax: 1000)
      let sent = try inflation.deliver(
        stream.pieces { _ in isCut }, roomByteCount: OffloadLimits.roomByteCountMin)
      #expect(sent == stream.octets)
      #expect(inflation.heldByteCount == 0)
    }
    var inflation = ClientInflation(try .offered(), messageByteCountMax: 999)
    var sent: [UInt8] = []
    #expect(throws: CompressionFault.messageTooBig) {
      try inflation.deliver([stream.octets[...]], sent: &sent)
    }
    let before = Octets(Array(frames[..<3]), from: .client).octets
    #expect(sent == before)
  }
}
