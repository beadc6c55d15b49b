/// What stands before a frame's payload (RFC 6455 §5.2): 2 to 14 octets.
public struct FrameHeader: Sendable, Hashable {
  /// The three bits that extensions give a meaning to.
  public struct ReservedBits: OptionSet, Sendable, Hashable {
    /// The bits, RSV1 being 4 and RSV3 being 1.
    public let rawValue: UInt8

    /// The lowest three bits of `rawValue`.
    public init(rawValue: UInt8) { self.rawValue = rawValue & 0x7 }

    /// The first: with permessage-deflate, that the message is compressed (RFC 7692 §6).
    public static let rsv1 = ReservedBits(rawValue: 4)
    /// The second.
    public static let rsv2 = ReservedBits(rawValue: 2)
    /// The third.
    public static let rsv3 = ReservedBits(rawValue: 1)
  }

  /// Which end a frame comes from: a client masks, a server does not (§5.1).
  public enum Sender: Sendable, Hashable {
    /// The end that sent the request.
    case client
    /// The end that answered it.
    case server
  }

  /// The most octets that a header has.
  public static let byteCountMax = 14
  /// The most octets that the payload of a control frame has (§5.5).
  public static let controlPayloadByteCountMax = 125

  /// Whether the message ends with this frame.
  public var isFinal: Bool
  /// The reserved bits.
  public var rsv: ReservedBits
  /// What the frame is.
  public var opcode: Opcode
  /// The key of the mask, its first octet being the most significant; `nil` without a mask.
  public var maskKey: UInt32?
  /// The octets of the payload, below 2⁶³.
  public var payloadByteCount: UInt64

  /// A frame of our own.
  public init(
    opcode: Opcode, payloadByteCount: UInt64, isFinal: Bool = true, rsv: ReservedBits = [],
    maskKey: UInt32? = nil
  ) {
    self.isFinal = isFinal
    self.rsv = rsv
    self.opcode = opcode
    self.maskKey = maskKey
    self.payloadByteCount = payloadByteCount
  }

  /// Whether the payload is masked.
  public var isMasked: Bool { self.maskKey != nil }

  /// The octets of the header itself.
  public var headerByteCount: Int {
    let lengthByteCount =
      switch self.payloadByteCount {
      case ...125: 0
      case ...0xFFFF: 2
      default: 8
      }
    return 2 + lengthByteCount + (self.isMasked ? 4 : 0)
  }
}

extension FrameHeader {
  /// Reads the header at the beginning of `octets`.
  ///
  /// - Returns: `nil` while it is not there as a whole.
  /// - Throws: what is wrong with it by itself, as soon as it can be seen. The mask, the reserved
  ///   bits and the order of frames depend on more than the frame: ``check(from:allowing:)`` and
  ///   ``FrameSequence``.
  public static func parse(_ octets: Span<UInt8>) throws(FrameViolation) -> FrameHeader? {
    guard octets.count > 0 else { return nil }
    let first = octets[0]
    guard let opcode = Opcode(rawValue: first & 0xF) else { throw .reservedOpcode }
    let isFinal = first & 0x80 != 0
    guard isFinal || !opcode.isControl else { throw .fragmentedControl }
    guard octets.count > 1 else { return nil }
    let short = octets[1] & 0x7F
    guard short <= 125 || !opcode.isControl else { throw .controlTooLong }
    let lengthByteCount = short == 127 ? 8 : short == 126 ? 2 : 0
    guard octets.count >= 2 + lengthByteCount else { return nil }
    let payloadByteCount = try Self.length(octets, short: short, byteCount: lengthByteCount)
    let headerByteCount = 2 + lengthByteCount + (octets[1] & 0x80 != 0 ? 4 : 0)
    guard octets.count >= headerByteCount else { return nil }
    var maskKey: UInt32?
    if octets[1] & 0x80 != 0 {
      maskKey = UInt32(Self.number(octets, from: 2 + lengthByteCount, byteCount: 4))
    }
    return FrameHeader(
      opcode: opcode, payloadByteCount: payloadByteCount, isFinal: isFinal,
      rsv: ReservedBits(rawValue: first >> 4), maskKey: maskKey)
  }

  private static func length(
    _ octets: Span<UInt8>, short: UInt8, byteCount: Int
  ) throws(FrameViolation) -> UInt64 {
    guard byteCount > 0 else { return UInt64(short) }
    let length = Self.number(octets, from: 2, byteCount: byteCount)
    guard length <= UInt64(Int64.max) else { throw .lengthTooLarge }
    guard length > (byteCount == 2 ? 125 : 0xFFFF) else { throw .lengthNotMinimal }
    return length
  }

  private static func number(_ octets: Span<UInt8>, from start: Int, byteCount: Int) -> UInt64 {
    var number: UInt64 = 0
    for index in start..<start + byteCount { number = number << 8 | UInt64(octets[index]) }
    return number
  }

  /// Checks what depends on the sender and on the extensions in use.
  ///
  /// - Parameter allowed: the reserved bits with a meaning. Control frames and continuations never
  ///   have RSV1 of permessage-deflate (RFC 7692 §6.1), and no other use of the bits is registered.
  public func check(
    from sender: Sender, allowing allowed: ReservedBits = []
  ) throws(FrameViolation) {
    switch sender {
    case .client: guard self.isMasked else { throw .unmasked }
    case .server: guard !self.isMasked else { throw .masked }
    }
    let beginsMessage = self.opcode == .text || self.opcode == .binary
    guard self.rsv.isSubset(of: beginsMessage ? allowed : []) else { throw .reservedBits }
  }

  /// Appends the header, its length in the shortest form.
  public func write(into octets: inout [UInt8]) {
    octets.append((self.isFinal ? 0x80 : 0) | self.rsv.rawValue << 4 | self.opcode.rawValue)
    let maskBit: UInt8 = self.isMasked ? 0x80 : 0
    switch self.payloadByteCount {
    case ...125: octets.append(maskBit | UInt8(truncatingIfNeeded: self.payloadByteCount))
    case ...0xFFFF:
      octets.append(maskBit | 126)
      Self.append(self.payloadByteCount, byteCount: 2, to: &octets)
    default:
      octets.append(maskBit | 127)
      Self.append(self.payloadByteCount, byteCount: 8, to: &octets)
    }
    if let maskKey = self.maskKey { Self.append(UInt64(maskKey), byteCount: 4, to: &octets) }
  }

  private static func append(_ number: UInt64, byteCount: Int, to octets: inout [UInt8]) {
    for place in 1...byteCount {
      octets.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * (byteCount - place))))
    }
  }
}

/// The order of frames within and between messages (RFC 6455 §5.4).
///
///     outside ──text, binary, not final──▶ inside ──continuation, final──▶ outside
///
/// Control frames may stand anywhere and change nothing.
public struct FrameSequence: Sendable, Hashable {
  /// Whether the next data frame has to be a continuation.
  public private(set) var isInsideMessage = false

  /// Outside of a message.
  public init() {}

  /// Takes note of the next frame.
  public mutating func received(_ header: FrameHeader) throws(FrameViolation) {
    if header.opcode.isControl { return }
    if header.opcode == .continuation {
      guard self.isInsideMessage else { throw .unexpectedContinuation }
    } else {
      guard !self.isInsideMessage else { throw .expectedContinuation }
    }
    self.isInsideMessage = !header.isFinal
  }
}
