extension ProxyHeader {
  /// What the beginning of a connection holds.
  public enum OnOctets: Hashable, Sendable {
    /// A header may come of it; nothing is wrong so far.
    case needMore
    /// A header, which has so many octets. Behind them the connection begins.
    case header(ProxyHeader, byteCount: Int)
  }

  /// What begins a header of version 2 (§2.2). No request of HTTP/1.1 or HTTP/2 and no TLS record
  /// begins so.
  static let signature: [UInt8] = [
    0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
  ]
  private static let lineBeginning = Array("PROXY ".utf8)
  /// §2.1: the longest line, its end included.
  private static let lineByteCountMax = 107
  /// Signature, version and command, family, and length (§2.2).
  private static let fixedByteCount = 16

  /// Reads the header at the beginning of a connection. What cannot become one is refused at its first
  /// wrong octet, without waiting for more.
  ///
  /// - Parameter octets: everything that has come so far, from the first octet on.
  /// - Throws: why the connection is to be closed. Nothing may be answered to it.
  public static func parse(_ octets: Span<UInt8>) throws(ProxyHeaderFault) -> OnOctets {
    guard octets.count > 0 else { return .needMore }
    switch octets[0] {
    case Self.lineBeginning[0]:
      try Self.check(octets, beginLike: Self.lineBeginning)
      return try Self.parseLine(octets)
    case Self.signature[0]:
      try Self.check(octets, beginLike: Self.signature)
      return try Self.parseBinary(octets)
    default: throw .noHeader
    }
  }

  private static func check(
    _ octets: Span<UInt8>, beginLike beginning: [UInt8]
  ) throws(ProxyHeaderFault) {
    for index in 0..<min(octets.count, beginning.count) {
      guard octets[index] == beginning[index] else { throw .noHeader }
    }
  }
}

// MARK: - Version 1

extension ProxyHeader {
  private static func parseLine(_ octets: Span<UInt8>) throws(ProxyHeaderFault) -> OnOctets {
    var line = ""
    for index in 0..<min(octets.count, Self.lineByteCountMax - 1) {
      switch octets[index] {
      case 0x20...0x7E: line.unicodeScalars.append(Unicode.Scalar(octets[index]))
      case 0x0D:
        guard index + 1 < octets.count else { return .needMore }
        guard octets[index + 1] == 0x0A else { throw .malformedLine }
        return .header(try Self.header(ofLine: line), byteCount: index + 2)
      default: throw .malformedLine
      }
    }
    guard octets.count < Self.lineByteCountMax - 1 else { throw .tooLong }
    return .needMore
  }

  private static func header(ofLine line: String) throws(ProxyHeaderFault) -> ProxyHeader {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count > 1 else { throw .malformedLine }
    // §2.1: what else stands on the line of an unknown connection is passed over.
    if words[1] == "UNKNOWN" { return ProxyHeader(version: .v1) }
    guard words[1] == "TCP4" || words[1] == "TCP6" else { throw .unknownFamily }
    guard words.count == 6 else { throw .malformedLine }
    let isV4 = words[1] == "TCP4"
    return ProxyHeader(
      version: .v1,
      source: .ip(try Self.address(words[2], isV4: isV4), port: try Self.port(words[4])),
      destination: .ip(try Self.address(words[3], isV4: isV4), port: try Self.port(words[5])))
  }

  private static func address(
    _ word: Substring, isV4: Bool
  ) throws(ProxyHeaderFault) -> IPAddress {
    // By how it is written: an IPv4-mapped IPv6 address is of the IPv6 family.
    guard word.utf8.contains(0x3A) != isV4, !word.hasPrefix("["),
      let address = IPAddress(parsing: word)
    else { throw .malformedAddress }
    return address
  }

  private static func port(_ word: Substring) throws(ProxyHeaderFault) -> UInt16 {
    guard word == "0" || !word.hasPrefix("0"), let port = UInt16(portDigits: word) else {
      throw .malformedPort
    }
    return port
  }
}

// MARK: - Version 2

extension ProxyHeader {
  private enum Family: UInt8 {
    case unspecified = 0x00
    case tcp4 = 0x11
    case udp4 = 0x12
    case tcp6 = 0x21
    case udp6 = 0x22
    case unixStream = 0x31
    case unixDatagram = 0x32

    /// Octets of both addresses, with their ports.
    var addressByteCount: Int {
      switch self {
      case .unspecified: 0
      case .tcp4, .udp4: 12
      case .tcp6, .udp6: 36
      case .unixStream, .unixDatagram: 216
      }
    }
  }

  private static func parseBinary(_ octets: Span<UInt8>) throws(ProxyHeaderFault) -> OnOctets {
    guard octets.count > 12 else { return .needMore }
    guard octets[12] >> 4 == 2 else { throw .unsupportedVersion }
    guard octets[12] & 0x0F <= 1 else { throw .unknownCommand }
    let isLocal = octets[12] & 0x0F == 0
    guard octets.count > 13 else { return .needMore }
    let family = Family(rawValue: octets[13])
    guard isLocal || family != nil else { throw .unknownFamily }
    guard octets.count >= Self.fixedByteCount else { return .needMore }
    let blockByteCount = Int(octets[14]) << 8 | Int(octets[15])
    let byteCount = Self.fixedByteCount + blockByteCount
    guard byteCount <= Self.byteCountMax else { throw .tooLong }
    // §2.2: of a connection of the proxy's own, and of one that it cannot describe, the rest is passed
    // over whatever it is.
    let described = isLocal ? .unspecified : family ?? .unspecified
    guard blockByteCount >= described.addressByteCount else { throw .tooShort }
    guard octets.count >= byteCount else { return .needMore }
    if described != .unspecified {
      try Self.checkExtensions(
        octets.extracting(0..<byteCount),
        from: Self.fixedByteCount + described.addressByteCount)
    }
    return .header(Self.header(described, octets), byteCount: byteCount)
  }

  /// - Parameter octets: long enough for the addresses of the family.
  private static func header(_ family: Family, _ octets: Span<UInt8>) -> ProxyHeader {
    switch family {
    case .tcp4, .udp4:
      return ProxyHeader(
        version: .v2, source: .ip(Self.v4(octets, at: 16), port: Self.port(octets, at: 24)),
        destination: .ip(Self.v4(octets, at: 20), port: Self.port(octets, at: 26)))
    case .tcp6, .udp6:
      return ProxyHeader(
        version: .v2, source: .ip(Self.v6(octets, at: 16), port: Self.port(octets, at: 48)),
        destination: .ip(Self.v6(octets, at: 32), port: Self.port(octets, at: 50)))
    case .unspecified, .unixStream, .unixDatagram:
      return ProxyHeader(version: .v2)
    }
  }

  private static func v4(_ octets: Span<UInt8>, at start: Int) -> IPAddress {
    .v4(UInt32(truncatingIfNeeded: Self.number(octets, at: start, byteCount: 4)))
  }

  private static func v6(_ octets: Span<UInt8>, at start: Int) -> IPAddress {
    IPAddress.unmapped(
      high: Self.number(octets, at: start, byteCount: 8),
      low: Self.number(octets, at: start + 8, byteCount: 8))
  }

  private static func port(_ octets: Span<UInt8>, at start: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: Self.number(octets, at: start, byteCount: 2))
  }

  /// The number in network order, of at most eight octets.
  private static func number(_ octets: Span<UInt8>, at start: Int, byteCount: Int) -> UInt64 {
    var number: UInt64 = 0
    for index in start..<start + byteCount { number = number << 8 | UInt64(octets[index]) }
    return number
  }
}

// MARK: - Extensions

extension ProxyHeader {
  /// PP2_TYPE_CRC32C (§2.2.3).
  private static let checksumType: UInt8 = 0x03

  /// Walks over the extensions (type, length in two octets, value; §2.2), of which the checksum alone
  /// matters here.
  ///
  /// - Parameter header: the whole header, and nothing behind it.
  private static func checkExtensions(
    _ header: Span<UInt8>, from start: Int
  ) throws(ProxyHeaderFault) {
    var index = start
    var checksum: Range<Int>?
    while index < header.count {
      guard header.count - index >= 3 else { throw .malformedExtension }
      let valueStart = index + 3
      let byteCount = Int(header[index + 1]) << 8 | Int(header[index + 2])
      guard header.count - valueStart >= byteCount else { throw .malformedExtension }
      if header[index] == Self.checksumType {
        guard byteCount == 4, checksum == nil else { throw .malformedExtension }
        checksum = valueStart..<valueStart + 4
      }
      index = valueStart + byteCount
    }
    guard let checksum else { return }
    let sent = Self.number(header, at: checksum.lowerBound, byteCount: 4)
    guard sent == UInt64(Self.checksum(header, without: checksum)) else { throw .wrongChecksum }
  }

  /// CRC32C (RFC 9260 appendix A), with zeros where the checksum itself stands. Bit by bit: headers are
  /// short, and few proxies send one.
  static func checksum(_ header: Span<UInt8>, without place: Range<Int>) -> UInt32 {
    var sum = UInt32.max
    for index in 0..<header.count {
      sum ^= place.contains(index) ? 0 : UInt32(header[index])
      for _ in 0..<8 { sum = sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ 0x82F6_3B78 }
    }
    return ~sum
  }
}
