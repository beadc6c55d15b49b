import Compression
import Net
import Testing
import WebSocket

/// The examples of RFC 7692 §7.2.3, each sent by a client.
@Suite struct VectorTests {
  private static let hello = Array("Hello".utf8)

  /// Messages, each in payloads of fragments.
  private static let vectors: [(String, [[[UInt8]]])] = [
    ("§7.2.3.1", [[[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]]]),
    ("§7.2.3.1 in fragments", [[[0xF2, 0x48, 0xCD], [0xC9, 0xC9, 0x07, 0x00]]]),
    (
      "§7.2.3.2 without the window",
      [
        [[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]],
        [[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]],
      ]
    ),
    (
      "§7.2.3.2 with the window",
      [[[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]], [[0xF2, 0x00, 0x11, 0x00, 0x00]]]
    ),
    (
      "§7.2.3.3",
      [[[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]]]
    ),
    ("§7.2.3.4", [[[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]]]),
    (
      "§7.2.3.4, and the window is kept",
      [
        [[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]],
        [[0xF2, 0x00, 0x11, 0x00, 0x00]],
      ]
    ),
    (
      "§7.2.3.4 without the octet behind BFINAL",
      [[[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]], [[0xF2, 0x00, 0x11, 0x00, 0x00]]]
    ),
    (
      "§7.2.3.5",
      [[[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]]]
    ),
    (
      "§7.2.3.6, behind a flush",
      [[[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00, 0x00, 0xFF, 0xFF], [0x00], []]]
    ),
  ]

  @Test("every example, whole, octet by octet and into little room", arguments: vectors)
  func examples(name: String, messages: [[[UInt8]]]) throws {
    let frames = messages.flatMap { message in
      let sizes = message.dropLast().map(\.count)
      return Frame.fragments(.text, message.flatMap { $0 }, sizes: sizes, rsv: .rsv1)
    }
    let stream = Octets(frames, from: .client)
    for isCut in [false, true] {
      for roomByteCount in [OffloadLimits.roomByteCountMin, 4096] {
        var inflation = ClientInflation(try .offered(), messageByteCountMax: 5)
        let sent = try inflation.deliver(
          stream.pieces { _ in isCut }, roomByteCount: roomByteCount)
        let reading = try Reading(sent, from: .client)
        let expected = messages.map { _ in Frame(opcode: .text, payload: Self.hello) }
        #expect(reading.messages == expected, "\(name), cut: \(isCut)")
        if !isCut { #expect(reading.frames == expected, "\(name)") }
      }
    }
  }

  @Test("a message of nothing, in each of its forms", arguments: [[0x00], [0x02, 0x00], []])
  func empty(payload: [UInt8]) throws {
    var inflation = ClientInflation(try .offered(), messageByteCountMax: 0)
    let frame = Frame(opcode: .binary, payload: payload, rsv: .rsv1)
    let other = Frame(opcode: .binary, payload: [0x00], rsv: .rsv1)
    let stream = Octets([frame, frame, other, frame, frame], from: .client)
    let reading = try Reading(inflation.deliver([stream.octets[...]]), from: .client)
    let expected = Frame(opcode: .binary, payload: [])
    #expect(reading.frames == Array(repeating: expected, count: 5))
  }

  @Test("streams that end with BFINAL follow each other within a message")
  func finalBlocks() throws {
    let peer = PeerDeflate(windowBits: 12)
    var chance = SplitMix(seed: 4)
    let text = Matter.text.octets(9000, using: &chance)
    let payload = peer.final(text) + peer.final([]) + peer.final(text) + [0x00]
    let stream = Octets([Frame(opcode: .text, payload: payload, rsv: .rsv1)], from: .client)
    for isCut in [false, true] {
      var inflation = ClientInflation(try .offered(), messageByteCountMax: 18000)
      let sent = try inflation.deliver(stream.pieces { _ in isCut })
      #expect(try Reading(sent, from: .client).messages.map(\.payload) == [text + text])
    }
  }
}
