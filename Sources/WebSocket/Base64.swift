/// Base64 (RFC 4648 §4), as much of it as the handshake needs.
enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// The octets as text, filled up with `=`.
  static func encode(_ octets: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((octets.count + 2) / 3 * 4)
    var index = 0
    while index < octets.count {
      let part = octets[index..<min(index + 3, octets.count)]
      var bits = part.reduce(0) { $0 << 8 | Int($1) }
      bits <<= 8 * (3 - part.count)
      for place in 0..<4 {
        let digit = Self.alphabet[bits >> (18 - 6 * place) & 0x3F]
        text.append(place <= part.count ? digit : 0x3D)
      }
      index += 3
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Whether `text` is the base64 of exactly 16 octets: 22 digits and `==`. The last digit has four
  /// bits that mean nothing; most clients and servers do not look at them, and so they may be set.
  static func isSixteenOctets(_ text: String) -> Bool {
    let octets = Array(text.utf8)
    guard octets.count == 24, octets[22] == 0x3D, octets[23] == 0x3D else { return false }
    return octets[..<22].allSatisfy(Self.alphabet.contains)
  }
}
