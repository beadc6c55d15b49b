/// The mask of a client's payload (RFC 6455 §5.3). Taking it off and putting it on are the same.
public struct Mask: Sendable, Hashable {
  /// The key, its first octet being the most significant.
  public let key: UInt32

  /// A mask with this key: ``FrameHeader/maskKey``.
  public init(key: UInt32) { self.key = key }

  /// Masks or unmasks `payload` in place.
  ///
  /// - Parameters:
  ///   - start: the first octet that is masked.
  ///   - offset: how many octets of the frame's payload come before that one.
  public func apply(to payload: inout MutableSpan<UInt8>, from start: Int = 0, at offset: Int) {
    // Turned once, so that the loop need not know where in the key it stands.
    let turn = UInt32(truncatingIfNeeded: 8 * (offset & 3))
    let turned = turn == 0 ? self.key : self.key << turn | self.key >> (32 - turn)
    let word = (UInt64(turned) << 32 | UInt64(turned)).bigEndian
    // SAFETY: whatever is stored through the raw view, every pattern of bits is eight `UInt8`.
    var octets = unsafe payload.mutableBytes
    var index = start
    let end = octets.byteCount
    while end - index >= 8 {
      // SAFETY: every pattern of bits is a `UInt64` too, and the view checks the bounds.
      let masked = unsafe octets.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self) ^ word
      octets.storeBytes(of: masked, toByteOffset: index, as: UInt64.self)
      index += 8
    }
    while index < end {
      payload[index] ^= UInt8(truncatingIfNeeded: turned >> UInt32(24 - 8 * ((index - start) & 3)))
      index += 1
    }
  }
}
