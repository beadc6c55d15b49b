import Compression
import Net
import Testing
import WebSocket

@Suite struct DeflationTests {
  /// The server's stream of messages with pings between their fragments.
  private static func stream(_ messages: [[UInt8]], sizes: [Int]) -> Octets {
    let frames = messages.enumerated().flatMap { index, message in
      Frame.fragments(.text, message, sizes: sizes).flatMap { frame in
        frame.isFinal ? [frame] : [frame, Frame(opcode: .ping, payload: [UInt8(index)])]
      }
    }
    return Octets(frames, from: .server)
  }

  /// Has zlib itself inflate what came out, with the very window that was agreed on.
  private static func check(
    _ messages: [[UInt8]], _ stream: Octets, _ agreement: DeflateAgreement,
    pieces: [ArraySlice<UInt8>], roomByteCount: Int, _ comment: Comment
  ) throws {
    var deflation = ServerDeflation(agreement)
    let sent = try deflation.deliver(pieces, roomByteCount: roomByteCount)
    let reading = try Reading(sent, from: .server)
    let peer = PeerInflate(windowBits: agreement.serverWindowBits)
    let inflated = reading.messages.map { message in
      message.rsv == .rsv1
        ? peer.message(message.payload, keepsContext: agreement.serverKeepsContext)
        : message.payload
    }
    let isSame = inflated == messages
    #expect(isSame, comment)
    #expect(reading.messages.allSatisfy { $0.opcode == .text }, comment)
    #expect(try reading.controls == Reading(stream.octets, from: .server).controls, comment)
  }

  @Test("sizes, windows and contexts, cut by chance", arguments: Matter.allCases)
  func roundTrips(matter: Matter) throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    for agreement in try DeflateAgreement.all() {
      let messages = [0, 1, 63, 64, 125, 126, 4095, 65535, 65536, 300_000, 0, 7].map {
        matter.octets($0, using: &chance)
      }
      let sizes = (0..<Int.random(in: 0...5, using: &chance)).map { _ in
        Int.random(in: 0...3000, using: &chance)
      }
      let stream = Self.stream(messages, sizes: sizes)
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
    let messages = [matter.octets(3_000_000, using: &chance)]
    let stream = Self.stream(messages, sizes: [100_000])
    for pieces in [stream.pieces { $0 % 16384 == 0 }, [stream.octets[...]]] {
      try Self.check(
        messages, stream, .offered(), pieces: pieces, roomByteCount: 65536, "\(matter)")
    }
  }

  @Test("every cut into two, and octet by octet, with little room and with much")
  func everyCut() throws {
    var chance = SplitMix(seed: 2)
    let messages = [
      Matter.text.octets(700, using: &chance), [], Matter.noise.octets(200, using: &chance),
      Matter.zeros.octets(1000, using: &chance), Matter.text.octets(70, using: &chance),
    ]
    let stream = Self.stream(messages, sizes: [3, 0, 50])
    for roomByteCount in [OffloadLimits.roomByteCountMin, 4096] {
      for cut in stream.cuts {
        try Self.check(
          messages, stream, .offered(), pieces: stream.pieces { $0 == cut },
          roomByteCount: roomByteCount, "cut \(cut), room \(roomByteCount)")
      }
      try Self.check(
        messages, stream, .offered(), pieces: stream.pieces { _ in true },
        roomByteCount: roomByteCount, "octet by octet, room \(roomByteCount)")
    }
  }

  @Test("every room: the end of a message may fall anywhere into the output")
  func everyRoom() throws {
    var chance = SplitMix(seed: 3)
    let messages = (0..<6).map { Matter.noise.octets(150 + 40 * $0, using: &chance) }
    let stream = Self.stream(messages, sizes: [])
    for roomByteCount in OffloadLimits.roomByteCountMin...600 {
      try Self.check(
        messages, stream, .offered(), pieces: [stream.octets[...]], roomByteCount: roomByteCount,
        "room \(roomByteCount)")
    }
  }

  @Test("small messages that are all there pass as they are")
  func smallMessages() throws {
    let small = [UInt8](repeating: 0x61, count: OffloadLimits.compressedByteCountMin - 1)
    let stream = Octets(
      [Frame(opcode: .text, payload: small), Frame(opcode: .binary, payload: [])], from: .server)
    var deflation = ServerDeflation(try .offered())
    #expect(try deflation.deliver([stream.octets[...]]) == stream.octets)
    #expect(deflation.heldByteCount == 0)
    let next = Octets([Frame(opcode: .text, payload: small + [0x61])], from: .server)
    let frames = try Reading(deflation.deliver([next.octets[...]]), from: .server).frames
    #expect(frames.map(\.rsv) == [.rsv1])
    #expect(frames[0].payload.count < 10)
  }

  @Test("an empty message in fragments is one empty block")
  func emptyFragments() throws {
    let frames = Frame.fragments(.binary, [], sizes: [0, 0])
    let stream = Octets(frames + frames, from: .server)
    var deflation = ServerDeflation(try .offered())
    let reading = try Reading(deflation.deliver([stream.octets[...]]), from: .server)
    let expected = Frame(opcode: .binary, payload: [0], rsv: .rsv1)
    #expect(reading.frames == [expected, expected])
  }

  @Test("a repeated message costs little with context takeover, and its full price without")
  func context() throws {
    var chance = SplitMix(seed: 9)
    let noise = Matter.noise.octets(1000, using: &chance)
    let stream = Self.stream([noise, noise], sizes: [])
    var keeping = ServerDeflation(try .offered())
    let kept = try Reading(keeping.deliver([stream.octets[...]]), from: .server).messages
    #expect(kept[1].payload.count < 50)
    var forgetting = ServerDeflation(try .offered(("server_no_context_takeover", nil)))
    let whole = try Reading(forgetting.deliver([stream.octets[...]]), from: .server).messages
    #expect(whole[1].payload == whole[0].payload)
  }

  @Test("an endless message goes on in fragments while it arrives")
  func streaming() throws {
    var chance = SplitMix(seed: 10)
    let message = Matter.noise.octets(200_000, using: &chance)
    let stream = Self.stream([message], sizes: [])
    var deflation = ServerDeflation(try .offered())
    let sent = try deflation.deliver(stream.pieces { $0 == 150_000 }.dropLast())
    #expect(sent.count > 140_000)
  }
}
