/// The base64url encoding of RFC 4648 §5, without padding (RFC 7515 §2). Of tokens and of cookies: it
/// stands where both find it.
public enum Base64URL {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  /// The octets as text.
  public static func encode(_ octets: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    var buffer: UInt32 = 0
    var bitCount: UInt32 = 0
    for octet in octets {
      buffer = buffer << 8 | UInt32(octet)
      bitCount += 8
      while bitCount >= 6 {
        bitCount -= 6
        text.append(Self.alphabet[Int(buffer >> bitCount & 0x3F)])
      }
    }
    if bitCount > 0 { text.append(Self.alphabet[Int(buffer << (6 - bitCount) & 0x3F)]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// `nil` for anything that ``encode(_:)`` does not write, so that there is one text for one value:
  /// other letters, padding, an impossible length, bits left over that are not zero.
  public static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
    var octets: [UInt8] = []
    var buffer: UInt32 = 0
    var bitCount: UInt32 = 0
    for letter in text {
      guard let value = Self.value(of: letter) else { return nil }
      buffer = buffer << 6 | UInt32(value)
      bitCount += 6
      if bitCount >= 8 {
        bitCount -= 8
        octets.append(UInt8(truncatingIfNeeded: buffer >> bitCount))
      }
    }
    guard bitCount < 6, buffer & (1 << bitCount - 1) == 0 else { return nil }
    return octets
  }

  private static func value(of letter: UInt8) -> UInt8? {
    switch letter {
    case 0x41...0x5A: letter - 0x41
    case 0x61...0x7A: letter - 0x61 + 26
    case 0x30...0x39: letter - 0x30 + 52
    case 0x2D: 62
    case 0x5F: 63
    default: nil
    }
  }
}
