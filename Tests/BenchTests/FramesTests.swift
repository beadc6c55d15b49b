import Net
import Testing
import WebSocket

@testable import bench

@Suite struct FramesTests {
  private static let sizes = [0, 1, 125, 126, 65_535, 65_536, 100_000]

  @Test(
    "what is composed in pieces is cut into the same messages",
    arguments: [15, 16, 100, 4096, 1 << 17])
  func roundTrip(capacity: Int) throws {
    var composer = Composer()
    var cutter = FrameCutter()
    for (number, size) in Self.sizes.enumerated() {
      let mask = number % 2 == 0 ? Mask(key: 0x1234_5678) : nil
      let message = Message(byteCount: size, shift: 77 * number)
      let read = try Self.carry(message, mask, &composer, &cutter, Buffer(capacity: capacity))
      #expect(read == MessagesTests.octets(of: message, composer.pattern))
    }
  }

  /// Writes a message into a small buffer and reads it from there, again and again.
  private static func carry(
    _ message: Message, _ mask: Mask?, _ composer: inout Composer, _ cutter: inout FrameCutter,
    _ buffer: consuming Buffer
  ) throws -> [UInt8] {
    var draft = Composer.Draft(message, mask: mask)
    var read: [UInt8] = []
    while true {
      composer.write(&draft, into: &buffer)
      switch try cutter.next(in: &buffer) {
      case .needMore: continue
      case .header(let header):
        #expect(header.payloadByteCount == UInt64(message.byteCount))
        #expect(header.maskKey == mask?.key)
      case .payload(let count, let endsFrame):
        var piece = Array(buffer.takeAll().prefix(count))
        var span = piece.mutableSpan
        mask?.apply(to: &span, at: read.count)
        read += piece
        if endsFrame { return read }
      }
    }
  }

  @Test("frames that arrive octet by octet are the same frames")
  func octetwise() throws {
    var octets: [UInt8] = []
    FrameHeader(opcode: .binary, payloadByteCount: 300, maskKey: 9).write(into: &octets)
    octets += [UInt8](repeating: 5, count: 300)
    FrameHeader(opcode: .close, payloadByteCount: 0).write(into: &octets)
    var cutter = FrameCutter()
    var buffer = Buffer(capacity: 16)
    var headers: [FrameHeader] = []
    var payloadByteCount = 0
    var endCount = 0
    for octet in octets {
      buffer.append([octet].span)
      while true {
        let step = try cutter.next(in: &buffer)
        if case .needMore = step { break }
        if case .header(let header) = step { headers.append(header) }
        guard case .payload(let count, let endsFrame) = step else { continue }
        buffer.consume(count)
        payloadByteCount += count
        endCount += endsFrame ? 1 : 0
      }
    }
    #expect(headers.map(\.opcode) == [.binary, .close])
    #expect(payloadByteCount == 300)
    #expect(endCount == 2)
  }
}
