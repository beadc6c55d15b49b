import Compression
import Net
import Testing
import WebSocket

/// What zlib holds, counted in its own calls for memory.
@Suite struct MemoryTests {
  private static func client(_ message: [UInt8], windowBits: Int) -> Octets {
    let payload = PeerDeflate(windowBits: windowBits).message(message)
    return Octets([Frame(opcode: .text, payload: payload, rsv: .rsv1)], from: .client)
  }

  @Test("an inflating direction, for every window that a client may choose")
  func inflation() throws {
    var chance = SplitMix(seed: 11)
    let message = Matter.text.octets(200_000, using: &chance)
    for bits in [9, 10, 11, 12, 15] {
      let agreement = try DeflateAgreement.offered(
        bits == 15 ? ("client_no_context_takeover", nil) : ("client_max_window_bits", "\(bits)"))
      var inflation = ClientInflation(agreement, messageByteCountMax: 1 << 20)
      #expect(inflation.heldByteCount == 0)
      let stream = Self.client(message, windowBits: bits)
      let cut = stream.octets.count - 1
      _ = try inflation.deliver(stream.pieces { $0 == cut }.dropLast())
      let limit = OffloadLimits.inflaterByteCountMax(windowBits: bits)
      #expect((limit - 2048...limit).contains(inflation.heldByteCount), "\(bits)")
      _ = try inflation.deliver([stream.octets[cut...]])
      #expect(inflation.heldByteCount <= (agreement.clientKeepsContext ? limit : 0), "\(bits)")
    }
    #expect(OffloadLimits.inflaterByteCountMax == 40 * 1024)
  }

  @Test("a deflating direction")
  func deflation() throws {
    var chance = SplitMix(seed: 12)
    let message = Matter.text.octets(200_000, using: &chance)
    let stream = Octets([Frame(opcode: .text, payload: message)], from: .server)
    for keeps in [true, false] {
      let agreement =
        keeps
        ? try DeflateAgreement.offered()
        : try DeflateAgreement.offered(("server_no_context_takeover", nil))
      var deflation = ServerDeflation(agreement)
      #expect(deflation.heldByteCount == 0)
      let cut = stream.octets.count - 1
      _ = try deflation.deliver(stream.pieces { $0 == cut }.dropLast())
      let limit = OffloadLimits.deflaterByteCountMax
      #expect((limit - 2048...limit).contains(deflation.heldByteCount))
      _ = try deflation.deliver([stream.octets[cut...]])
      #expect(keeps ? deflation.heldByteCount <= limit : deflation.heldByteCount == 0)
    }
    #expect(OffloadLimits.deflaterByteCountMax == 39 * 1024)
  }
}
