public import Net
internal import WebSocket

/// Frames of a client with permessage-deflate in, masked frames without it for the server out
/// (RFC 7692 §6.2). One direction of one connection.
///
///     header ──control, RSV1 clear──▶ passing ──▶ header
///     header ──RSV1, its fragments──▶ payload ──not final──▶ header
///                                        └──final──▶ end ──inflated──▶ header
public struct ClientInflation: ~Copyable {
  /// The message that has begun.
  private struct Message {
    let isCompressed: Bool
    /// The opcode of the next frame that is written of it.
    var opcode: Opcode
    /// Octets of it so far, inflated.
    var byteCount: UInt64 = 0
  }

  /// Octets that a message may have, inflated where it is compressed.
  public var messageByteCountMax: UInt64
  private let maskKeys: () -> UInt32
  private var inflater: Inflater
  private var place = Place.header
  private var message: Message?

  /// - Parameters:
  ///   - agreement: what the client was answered.
  ///   - messageByteCountMax: octets that a message may have, inflated where it is compressed.
  ///   - maskKeys: draws the key of a frame's mask, which nobody may foresee (RFC 6455 §5.3). The
  ///     kernel is asked where nothing else is said.
  public init(
    _ agreement: DeflateAgreement, messageByteCountMax: UInt64,
    maskKeys: @escaping () -> UInt32 = { .random(in: .min ... .max) }
  ) {
    self.messageByteCountMax = messageByteCountMax
    self.maskKeys = maskKeys
    self.inflater = Inflater(
      windowBits: agreement.inflationWindowBits, keepsContext: agreement.clientKeepsContext)
  }

  /// Octets that zlib holds for this direction at present.
  package var heldByteCount: Int { self.inflater.heldByteCount }

  /// Takes octets of the client's stream, and writes what becomes of them.
  ///
  /// - Parameters:
  ///   - input: octets of frames that were checked (RFC 6455 §5). It begins inside of a payload or
  ///     with a whole header; control frames are in it as a whole, payloads of others may be cut.
  ///     What was not taken stays in it.
  ///   - output: gets whole frames behind what it has, except that a payload that passes as it is
  ///     may be cut. Its capacity is at least ``OffloadLimits/roomByteCountMin``.
  /// - Throws: ``CompressionFault``. Nothing of the message beyond the limit is in the output.
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
        if let progress = try self.inflate(&input, into: &output) { return progress }
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
    if header.opcode.isControl {
      self.place = .passing(header.frameByteCount)
      return
    }
    if header.opcode != .continuation {
      self.message = Message(isCompressed: header.rsv.contains(.rsv1), opcode: header.opcode)
    }
    guard let message = self.message else { throw .corrupt }
    if message.isCompressed {
      input.consume(header.headerByteCount)
      self.place = .payload(
        Place.Payload(
          byteCount: header.payloadByteCount, isFinal: header.isFinal,
          mask: Mask(key: header.maskKey ?? 0)))
    } else {
      try self.count(header.payloadByteCount)
      self.place = .passing(header.frameByteCount)
      if header.isFinal { self.message = nil }
    }
  }

  /// What the present message may still have; the limit may have been lowered below what it has.
  private var messageByteCountLeft: UInt64 {
    let count = self.message?.byteCount ?? 0
    return self.messageByteCountMax > count ? self.messageByteCountMax - count : 0
  }

  private mutating func count(_ byteCount: UInt64) throws(CompressionFault) {
    let left = self.messageByteCountLeft
    guard byteCount <= left else { throw .messageTooBig }
    self.message?.byteCount += byteCount
  }
}

extension ClientInflation {
  /// Writes one frame of a compressed message, or none if there is nothing to say.
  private mutating func inflate(
    _ input: inout Buffer, into output: inout Buffer
  ) throws(CompressionFault) -> Progress? {
    var frame = OpenFrame(behind: output, from: .client)
    let stop = try self.fill(&frame, of: output, from: &input)
    let isFinal = stop == .messageEnded
    if isFinal || frame.payloadByteCount > 0 {
      let opcode = self.message?.opcode ?? .continuation
      self.message?.opcode = .continuation
      let header = FrameHeader(
        opcode: opcode, payloadByteCount: 0, isFinal: isFinal, maskKey: self.maskKeys())
      frame.close(header, in: &output)
    }
    if isFinal { self.message = nil }
    return stop.progress
  }

  /// Inflates into a frame until it must be closed. Fragments of the client are joined.
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
        let rest = try self.inflate(payload, from: &input, into: &frame, of: output)
        self.place = .payload(rest)
        let isFull = frame.roomByteCount(in: output) == 0
        if rest.byteCount == 0 && (rest.isFinal || !isFull) {
          self.place = rest.isFinal ? .end : .header
        } else if isFull {
          return .needsRoom
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

  /// Inflates the next piece of a payload. It is unmasked in a copy, so that what zlib does not take
  /// stays in the input as it was.
  private mutating func inflate(
    _ payload: Place.Payload, from input: inout Buffer, into frame: inout OpenFrame,
    of output: borrowing Buffer
  ) throws(CompressionFault) -> Place.Payload {
    // On the stack, and small enough to stay in the nearest cache.
    var piece = InlineArray<4096, UInt8>(repeating: 0)
    let count = Int(min(payload.byteCount, UInt64(min(input.count, piece.count))))
    // SAFETY: `count` is within the piece and within the input, and the pointer stays in here.
    let octets = unsafe input.unsafeOctets
    let room = unsafe self.room(of: frame, in: output)
    var span = piece.mutableSpan
    let step = try unsafe span.withUnsafeMutableBytes { piece throws(CompressionFault) in
      let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
      unsafe piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: octets[..<count]))
      var span = unsafe MutableSpan<UInt8>(_unsafeBytes: piece)
      payload.mask.apply(to: &span, at: 0)
      return unsafe try self.inflater.inflate(UnsafeRawBufferPointer(piece), into: room)
    }
    input.consume(step.taken)
    try self.count(UInt64(step.written))
    frame.wrote(step.written)
    return payload.advanced(by: step.taken)
  }

  private mutating func finish(
    _ frame: inout OpenFrame, of output: borrowing Buffer
  ) throws(CompressionFault) -> Bool {
    let end = try unsafe self.inflater.finish(into: self.room(of: frame, in: output))
    try self.count(UInt64(end.written))
    frame.wrote(end.written)
    return end.isDone
  }

  /// The room of the frame, but no more than one octet over what the message may still have: that
  /// octet tells a message that is too big from one that just is not, and is never handed on.
  private func room(
    of frame: OpenFrame, in output: borrowing Buffer
  ) -> UnsafeMutableRawBufferPointer {
    let room = unsafe frame.room(in: output)
    let left = self.messageByteCountLeft
    // SAFETY: `left` is less than the room's count, so that one octet more is within it.
    guard left < UInt64(room.count) else { return unsafe room }
    return unsafe UnsafeMutableRawBufferPointer(rebasing: room[...Int(left)])
  }
}
