/// Makes messages out of a client's or a server's stream of frames, for whoever reads them here instead
/// of passing them on (RFC 6455 §5, §6.2).
///
///     octets ──▶ header ──▶ payload, unmasked ──▶ whole message
///                  └─ control frames in between come out by themselves
public struct MessageReader: Sendable {
  /// What has come in.
  public enum Event: Equatable, Sendable {
    /// A text message. Whether it is UTF-8 (§8.1) is for the reader of the event to see.
    case text([UInt8])
    /// A binary message.
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    /// Nothing that follows means anything (§5.5.1).
    case close(ClosePayload)
    /// A message was larger than may be, and has been skipped.
    case tooLarge
    /// A message is so large that it is not even skipped. Nothing more can be read.
    case endless
    /// A frame that must not be sent. Nothing more can be read.
    case violation(FrameViolation)
  }

  private let sender: FrameHeader.Sender
  private var messageByteCountMax: UInt64
  private let skippedByteCountMax: UInt64
  private var sequence = FrameSequence()
  /// The beginning of a header.
  private var partial: [UInt8] = []
  /// The frame whose payload is coming in.
  private var frame: (header: FrameHeader, passed: Int)?
  /// The present message so far, and what it is.
  private var message: [UInt8] = []
  private var opcode = Opcode.text
  /// The limit that held when it began.
  private var presentByteCountMax: UInt64 = 0
  private var control: [UInt8] = []
  /// Octets of the present message, as its headers announce them.
  private var messageByteCount: UInt64 = 0

  /// A reader in front of the first frame.
  ///
  /// - Parameters:
  ///   - sender: whose frames they are.
  ///   - messageByteCountMax: octets of a message; a larger one is skipped.
  ///   - skippedByteCountMax: octets of a message that is skipped; a larger one ends the reading.
  public init(
    from sender: FrameHeader.Sender, messageByteCountMax: UInt64, skippedByteCountMax: UInt64
  ) {
    self.sender = sender
    self.messageByteCountMax = messageByteCountMax
    self.skippedByteCountMax = max(messageByteCountMax, skippedByteCountMax)
  }

  /// From the next message on, messages may have so many octets.
  public mutating func setLimit(_ byteCountMax: UInt64) {
    self.messageByteCountMax = min(byteCountMax, self.skippedByteCountMax)
  }

  /// Octets of a message that is not there as a whole.
  public var heldByteCount: Int { self.message.count + self.partial.count + self.control.count }

  /// The next event; `nil` when all octets are taken and none has come of them.
  ///
  /// - Parameter index: where the octets are that were not taken yet; moved forward.
  public mutating func next(_ octets: Span<UInt8>, from index: inout Int) -> Event? {
    do throws(FrameViolation) {
      while true {
        if self.frame != nil {
          if let event = try self.takePayload(octets, &index) { return event }
          if self.frame != nil { return nil }
        } else {
          guard try self.takeHeader(octets, &index) else { return nil }
          if self.messageByteCount > self.skippedByteCountMax { return .endless }
        }
      }
    } catch {
      index = octets.count
      return .violation(error)
    }
  }

  /// Whether a header is there.
  private mutating func takeHeader(
    _ octets: Span<UInt8>, _ index: inout Int
  ) throws(FrameViolation) -> Bool {
    var header: FrameHeader?
    if self.partial.isEmpty {
      header = try FrameHeader.parse(octets.extracting(index...))
      guard let header else {
        while index < octets.count { self.takePartial(octets, &index) }
        return false
      }
      index += header.headerByteCount
    } else {
      while header == nil {
        guard index < octets.count else { return false }
        self.takePartial(octets, &index)
        header = try FrameHeader.parse(self.partial.span)
      }
      self.partial = []
    }
    if let header { try self.begin(header) }
    return true
  }

  private mutating func takePartial(_ octets: Span<UInt8>, _ index: inout Int) {
    self.partial.append(octets[index])
    index += 1
  }

  private mutating func begin(_ header: FrameHeader) throws(FrameViolation) {
    try header.check(from: self.sender)
    try self.sequence.received(header)
    self.frame = (header, 0)
    guard !header.opcode.isControl else { return }
    if header.opcode != .continuation {
      self.opcode = header.opcode
      self.messageByteCount = 0
      self.presentByteCountMax = self.messageByteCountMax
    }
    // Each is below 2⁶³, and whoever exceeds the limit gets no further.
    self.messageByteCount += header.payloadByteCount
    if self.messageByteCount > self.presentByteCountMax {
      self.message = []
    } else {
      self.message.reserveCapacity(Int(self.messageByteCount))
    }
  }

  /// Takes what there is of the frame's payload; the event, where the frame ends one.
  private mutating func takePayload(
    _ octets: Span<UInt8>, _ index: inout Int
  ) throws(FrameViolation) -> Event? {
    guard let (header, passed) = self.frame else { return nil }
    let left = header.payloadByteCount - UInt64(passed)
    let count = Int(min(left, UInt64(octets.count - index)))
    let piece = octets.extracting(index..<index + count)
    index += count
    if header.opcode.isControl {
      Self.append(piece, header.maskKey, at: passed, to: &self.control)
    } else if self.messageByteCount <= self.presentByteCountMax {
      Self.append(piece, header.maskKey, at: passed, to: &self.message)
    }
    guard UInt64(count) == left else {
      self.frame = (header, passed + count)
      return nil
    }
    self.frame = nil
    return try self.end(of: header)
  }

  private mutating func end(of header: FrameHeader) throws(FrameViolation) -> Event? {
    if header.opcode.isControl {
      let payload = self.control
      self.control = []
      switch header.opcode {
      case .close: return .close(try ClosePayload.parse(payload.span))
      case .ping: return .ping(payload)
      default: return .pong(payload)
      }
    }
    guard header.isFinal else { return nil }
    guard self.messageByteCount <= self.presentByteCountMax else { return .tooLarge }
    let message = self.message
    self.message = []
    return self.opcode == .text ? .text(message) : .binary(message)
  }

  private static func append(
    _ piece: Span<UInt8>, _ maskKey: UInt32?, at offset: Int, to octets: inout [UInt8]
  ) {
    let start = octets.count
    unsafe piece.withUnsafeBufferPointer { unsafe octets.append(contentsOf: $0) }
    guard let maskKey else { return }
    var span = octets.mutableSpan
    Mask(key: maskKey).apply(to: &span, from: start, at: offset)
  }
}

/// Whether octets are UTF-8 (RFC 6455 §8.1). Most of what comes is ASCII, eight octets of which are
/// looked at in one step.
public func isUTF8(_ octets: Span<UInt8>) -> Bool {
  var index = 0
  let bytes = unsafe octets.bytes
  while octets.count - index >= 8 {
    // SAFETY: every pattern of bits is a `UInt64`, and the view checks the bounds.
    let word = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
    guard word & 0x8080_8080_8080_8080 == 0 else { break }
    index += 8
  }
  return (try? UTF8Span(validating: octets.extracting(index...))) != nil
}
