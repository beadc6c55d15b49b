import Compression
import Net
import Testing
import WebSocket

@Suite struct FaultTests {
  private static func client(_ payloads: [[UInt8]]) -> Octets {
    Octets(payloads.map { Frame(opcode: .binary, payload: $0, rsv: .rsv1) }, from: .client)
  }

  @Test("100 MB in 100 kB stop at the limit", arguments: [0, 1, 65_000, 1 << 20, 16 << 20])
  func bomb(limit: Int) throws {
    let peer = PeerDeflate(windowBits: 15, level: 9)
    let payload = peer.message([UInt8](repeating: 0, count: 100 << 20))
    #expect(payload.count < 110_000)
    let stream = Self.client([payload])
    var inflation = ClientInflation(try .offered(), messageByteCountMax: UInt64(limit))
    var sent: [UInt8] = []
    #expect(throws: CompressionFault.messageTooBig) {
      try inflation.deliver(stream.pieces { $0 % 16384 == 0 }, sent: &sent)
    }
    // The frames that went out are whole, and have no more than the message may have.
    let unfinished = Frame(opcode: .continuation, payload: []).wire(from: .client)
    let isBegun = !sent.isEmpty
    let reading = try Reading(isBegun ? sent + unfinished : [], from: .client)
    #expect(reading.frames.map(\.payload.count).reduce(0, +) <= limit)
    #expect(inflation.heldByteCount <= OffloadLimits.inflaterByteCountMax)
  }

  @Test("the limit itself passes, one octet more does not", arguments: [1, 125, 70_000])
  func exactLimit(limit: Int) throws {
    var chance = SplitMix(seed: 7)
    for matter in Matter.allCases {
      for roomByteCount in [OffloadLimits.roomByteCountMin, limit + 139, 1 << 18] {
        let stream = Self.client([
          PeerDeflate(windowBits: 15).message(matter.octets(limit, using: &chance))
        ])
        var fits = ClientInflation(try .offered(), messageByteCountMax: UInt64(limit))
        let sent = try fits.deliver([stream.octets[...]], roomByteCount: roomByteCount)
        #expect(try Reading(sent, from: .client).messages[0].payload.count == limit)
        var exceeds = ClientInflation(try .offered(), messageByteCountMax: UInt64(limit - 1))
        #expect(throws: CompressionFault.messageTooBig) {
          try exceeds.deliver([stream.octets[...]], roomByteCount: roomByteCount)
        }
      }
    }
  }

  private static let corrupt: [[UInt8]] = [
    [0xFF], [0x07, 0x00], [0x06], [0x00, 0x05, 0x00, 0x00, 0x00], [0x01, 0x05, 0x00, 0xFA],
    // "Hello" cut off; a stored block that lacks octets; a distance that goes too far back.
    [0xF2, 0x48, 0xCD, 0xC9], [0x00, 0x06, 0x00, 0xF9, 0xFF, 0x48], [0xF2, 0x00, 0x11, 0x00, 0x00],
  ]

  @Test("octets that are no deflate stream, or not all of one", arguments: corrupt)
  func malformed(payload: [UInt8]) throws {
    let stream = Self.client([payload])
    for isCut in [false, true] {
      var inflation = ClientInflation(try .offered(), messageByteCountMax: 1 << 20)
      #expect(throws: CompressionFault.corrupt) {
        try inflation.deliver(stream.pieces { _ in isCut })
      }
    }
  }

  @Test("a client that goes beyond the window that it agreed to")
  func windowTooLarge() throws {
    var chance = SplitMix(seed: 8)
    let noise = Matter.noise.octets(6000, using: &chance)
    let stream = Self.client([PeerDeflate(windowBits: 15, level: 9).message(noise + noise)])
    var inflation = ClientInflation(
      try .offered(("client_max_window_bits", nil)), messageByteCountMax: 1 << 20)
    var sent: [UInt8] = []
    // Within one call zlib may find the distance in the output itself; across calls it cannot.
    #expect(throws: CompressionFault.corrupt) {
      try inflation.deliver(stream.pieces { $0 % 512 == 0 }, roomByteCount: 512, sent: &sent)
    }
  }

  @Test("flipped bits end in a fault or in messages, never in a trap or over the limit")
  func mutations() throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    for _ in 0..<3000 {
      let matter = Matter.allCases.randomElement(using: &chance) ?? .text
      let count = Int.random(in: 0...2000, using: &chance)
      var payload = PeerDeflate(windowBits: 15).message(matter.octets(count, using: &chance))
      for _ in 0..<Int.random(in: 1...4, using: &chance) {
        let index = Int.random(in: 0..<payload.count, using: &chance)
        payload[index] ^= 1 << UInt8.random(in: 0..<8, using: &chance)
      }
      let stream = Self.client([payload, payload])
      var inflation = ClientInflation(try .offered(), messageByteCountMax: 3000)
      let share = Int.random(in: 1...400, using: &chance)
      let pieces = stream.pieces { _ in Int.random(in: 0..<share, using: &chance) == 0 }
      guard let sent = try? inflation.deliver(pieces, roomByteCount: 200) else { continue }
      let messages = try Reading(sent, from: .client).messages
      #expect(messages.allSatisfy { $0.payload.count <= 3000 }, "seed \(seed)")
    }
  }

  @Test("a stream that nobody checked is a fault, not a trap")
  func unchecked() throws {
    for octets: [UInt8] in [[0x80], [0x80, 0x85, 1, 2, 3, 4], [0x83, 0x80, 1, 2, 3, 4]] {
      var inflation = ClientInflation(try .offered(), messageByteCountMax: 100)
      #expect(throws: CompressionFault.corrupt) { try inflation.deliver([octets[...]]) }
      var deflation = ServerDeflation(try .offered())
      #expect(throws: CompressionFault.corrupt) { try deflation.deliver([octets[...]]) }
    }
  }

  @Test("every fault has a code that may be sent and a reason that fits")
  func answers() {
    for fault in CompressionFault.allCases {
      #expect(fault.closeCode.mayAppearOnWire)
      #expect((1...ClosePayload.reasonByteCountMax).contains(fault.reason.utf8.count))
    }
  }
}
