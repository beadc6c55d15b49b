import Net
import WebSocket

/// Writes messages as frames into a buffer, piece by piece where a message is larger than the
/// buffer. The pattern and the memory of headers are one for all connections.
struct Composer {
  let pattern = Pattern()
  private var header: [UInt8] = []

  /// A message of which a part may have been written.
  struct Draft {
    let message: Message
    let mask: Mask?
    fileprivate var isBegun = false
    fileprivate var written = 0

    /// - Parameter mask: `nil` for a server's.
    init(_ message: Message, mask: Mask?) {
      self.message = message
      self.mask = mask
    }

    /// Whether all of it has been written.
    var isDone: Bool { self.isBegun && self.written == self.message.byteCount }
  }

  /// Writes as much of the message as the buffer takes. A header is never divided.
  mutating func write(_ draft: inout Draft, into buffer: inout Buffer) {
    if !draft.isBegun {
      guard buffer.freeCount >= FrameHeader.byteCountMax else { return }
      self.writeHeader(.binary, draft.message.byteCount, draft.mask, into: &buffer)
      draft.isBegun = true
    }
    while !draft.isDone, buffer.freeCount > 0 {
      draft.written += self.pattern.withOctets(
        of: draft.message, from: draft.written, count: buffer.freeCount
      ) { piece in
        if let mask = draft.mask {
          buffer.append(piece, under: mask, at: draft.written)
        } else {
          buffer.append(piece)
        }
        return piece.count
      }
    }
  }

  /// Writes the header of an unfragmented frame; there must be room for it.
  mutating func writeHeader(
    _ opcode: Opcode, _ byteCount: Int, _ mask: Mask?, isFinal: Bool = true,
    into buffer: inout Buffer
  ) {
    self.header.removeAll(keepingCapacity: true)
    FrameHeader(
      opcode: opcode, payloadByteCount: UInt64(byteCount), isFinal: isFinal, maskKey: mask?.key
    ).write(into: &self.header)
    buffer.append(self.header.span)
  }

  /// Writes a whole frame with a few octets; there must be room for it.
  mutating func write(
    _ opcode: Opcode, _ payload: [UInt8], mask: Mask?, into buffer: inout Buffer
  ) {
    self.writeHeader(opcode, payload.count, mask, into: &buffer)
    buffer.append(payload.span, under: mask ?? Mask(key: 0), at: 0)
  }
}

extension Buffer {
  /// Octets copied before they are masked: they are in the first cache still.
  private static var maskedPieceByteCount: Int { 16 * 1024 }

  /// Copies `octets` behind the end and puts the mask on the copy, or takes it off.
  ///
  /// - Parameter offset: how many octets of the frame's payload came before.
  mutating func append(_ octets: Span<UInt8>, under mask: Mask, at offset: Int) {
    var done = 0
    while done < octets.count {
      let end = min(done + Self.maskedPieceByteCount, octets.count)
      self.appendPiece(octets.extracting(done..<end), mask, offset + done)
      done = end
    }
  }

  /// As above, for the first octets of another buffer.
  mutating func append(
    first count: Int, of other: borrowing Buffer, under mask: Mask, at offset: Int
  ) {
    self.append(other.octets.extracting(0..<count), under: mask, at: offset)
  }

  private mutating func appendPiece(_ octets: Span<UInt8>, _ mask: Mask, _ offset: Int) {
    let free = unsafe self.unsafeFreeSpace
    self.append(octets)
    // SAFETY: `append` has just written these octets of the buffer's own memory, which is borrowed
    // exclusively.
    let copy = unsafe UnsafeMutableRawBufferPointer(rebasing: free[..<octets.count])
      .assumingMemoryBound(to: UInt8.self)
    var span = unsafe MutableSpan(_unsafeElements: copy)
    mask.apply(to: &span, at: offset)
  }
}
