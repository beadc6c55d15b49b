public import Net
internal import WebSocket

/// Frames of a server without compression in, unmasked frames with permessage-deflate for the client
/// out (RFC 7692 §6.1). One direction of one connection.
///
///     header ──control, small message──▶ passing ──▶ header
///     header ──any other, its fragments──▶ payload ──not final──▶ header
///                                             └──final──▶ end ──flushed──▶ header
public struct ServerDeflation: ~Copyable {
  /// The message that is compressed.
  private struct Message {
    /// The opcode of the next frame that is written of it.
    var opcode: Opcode
    /// RSV1 for the first frame (§6.1).
    var rsv: FrameHeader.ReservedBits = .rsv1
    /// Whether the compressor got anything of it.
    var isEmpty = true
  }

  private var deflater: Deflater
  private var place = Place.header
  private var message: Message?

  /// - Parameter agreement: what the client was answered.
  public init(_ agreement: DeflateAgreement) {
    self.deflater = Deflater(
      windowBits: agreement.serverWindowBits, keepsContext: agreement.serverKeepsContext)
  }

  /// Octets that zlib holds for this direction at present.
  package var heldByteCount: Int { self.deflater.heldByteCount }

  /// Takes octets of the server's stream, and writes what becomes of them. Of a message that is not
  /// yet there as a whole, the compressor may keep the most recent octets back until it is.
  ///
  /// - Parameters:
  ///   - input: octets of frames that were checked (RFC 6455 §5). It begins inside of a payload or
  ///     with a whole header; control frames are in it as a whole, payloads of others may be cut.
  ///     What was not taken stays in it.
  ///   - output: gets whole frames behind what it has. Its capacity is at least
  ///     ``OffloadLimits/roomByteCountMin``.
  /// - Throws: ``CompressionFault/outOfMemory``; ``CompressionFault/corrupt`` where the input is not
  ///   what it should be.
  public mutating func transform(
    _ input: inout Buffer, into output: inout Buffer
  ) throws(CompressionFault) -> Progress {
    precondition(output.capacity >= OffloadLimits.roomByteCountMin)
    while true {
      switch self.place {
      case .header, .passing:
        if input.isEmpty { return .needsInput }
        if output.freeCount < OffloadLimits.roomByteCountMin { return .needsRoom }
        try self.pass(&input, into: &output)
      case .payload, .end:
        if output.freeCount < OffloadLimits.roomByteCountMin { return .needsRoom }
        if let progress = try self.deflate(&input, into: &output) { return progress }
      }
    }
  }

  private mutating func pass(
    _ input: inout Buffer, into output: inout Buffer
  ) throws(CompressionFault) {
    guard case .passing(let byteCount) = self.place else {
      return try self.begin(FrameHeader.next(in: input), in: &input)
    }
    let left = output.pass(byteCount, of: &input)
    self.place = left == 0 ? .header : .passing(left)
  }

  /// Decides what becomes of a frame.
  private mutating func begin(
    _ header: FrameHeader, in input: inout Buffer
  ) throws(CompressionFault) {
    if header.opcode.isControl || Self.isSmallMessage(header, in: input) {
      self.place = .passing(header.frameByteCount)
      return
    }
    if header.opcode != .continuation { self.message = Message(opcode: header.opcode) }
    guard self.message != nil else { throw .corrupt }
    input.consume(header.headerByteCount)
    self.place = .payload(
      Place.Payload(byteCount: header.payloadByteCount, isFinal: header.isFinal))
  }

  /// Whether the frame is a message by itself, all there, and not worth being compressed.
  private static func isSmallMessage(_ header: FrameHeader, in input: borrowing Buffer) -> Bool {
    header.isFinal && header.opcode != .continuation
      && header.payloadByteCount < UInt64(OffloadLimits.compressedByteCountMin)
      && header.frameByteCount <= UInt64(input.count)
  }
}

extension ServerDeflation {
  /// Writes one frame of a compressed message, or none if the compressor keeps everything back.
  private mutating func deflate(
    _ input: inout Buffer, into output: inout Buffer
  ) throws(CompressionFault) -> Progress? {
    var frame = OpenFrame(behind: output, from: .server)
    let stop = try self.fill(&frame, of: output, from: &input)
    let isFinal = stop == .messageEnded
    if isFinal || frame.payloadByteCount > 0 {
      let header = FrameHeader(
        opcode: self.message?.opcode ?? .continuation, payloadByteCount: 0, isFinal: isFinal,
        rsv: self.message?.rsv ?? [])
      self.message?.opcode = .continuation
      self.message?.rsv = []
      frame.close(header, in: &output)
    }
    if isFinal { self.message = nil }
    return stop.progress
  }

  /// Compresses into a frame until it must be closed. Fragments of the server are joined.
  private mutating func fill(
    _ frame: inout OpenFrame, of output: borrowing Buffer, from input: inout Buffer
  ) throws(CompressionFault) -> Stop {
    while true {
      switch self.place {
      case .header:
        if input.isEmpty { return .needsInput }
        let header = try FrameHeader.next(in: input)
        if header.opcode != .continuation { return .interrupted }
        try self.begin(header, in: &input)
      case .payload(let payload):
        let rest = try self.deflate(payload, from: &input, into: &frame, of: output)
        self.place = .payload(rest)
        if frame.roomByteCount(in: output) == 0 { return .needsRoom }
        if rest.byteCount == 0 {
          self.place = rest.isFinal ? .end : .header
        } else if input.isEmpty {
          return .needsInput
        }
      case .end:
        guard try self.finish(&frame, of: output) else { return .needsRoom }
        self.place = .header
        return .messageEnded
      case .passing:
        return .interrupted
      }
    }
  }

  private mutating func deflate(
    _ payload: Place.Payload, from input: inout Buffer, into frame: inout OpenFrame,
    of output: borrowing Buffer
  ) throws(CompressionFault) -> Place.Payload {
    let count = Int(min(payload.byteCount, UInt64(input.count)))
    guard count > 0 else { return payload }
    self.message?.isEmpty = false
    // SAFETY: `count` is within the input, which stays as it is until zlib has returned.
    let octets = unsafe UnsafeRawBufferPointer(rebasing: input.unsafeOctets[..<count])
    let step = try unsafe self.deflater.deflate(octets, into: frame.room(in: output))
    input.consume(step.taken)
    frame.wrote(step.written)
    return payload.advanced(by: step.taken)
  }

  /// Ends the message: what the compressor kept back, without the 00 00 FF FF behind it (§7.2.1).
  ///
  /// - Returns: `false` if the frame got full before.
  private mutating func finish(
    _ frame: inout OpenFrame, of output: borrowing Buffer
  ) throws(CompressionFault) -> Bool {
    if self.message?.isEmpty == false {
      frame.wrote(try unsafe self.deflater.flush(into: frame.room(in: output)))
      if frame.roomByteCount(in: output) == 0 { return false }
    }
    if frame.payloadByteCount >= 4 {
      frame.unwrite(4)
    } else {
      // The message is empty, or the compressor did not repeat the four octets after they had been
      // begun in a frame that is gone. This begins an empty block, to which the client adds the
      // rest (§7.2.3.6). SAFETY: the frame is not full.
      unsafe frame.room(in: output)[0] = 0
      frame.wrote(1)
    }
    self.deflater.reset()
    return true
  }
}
