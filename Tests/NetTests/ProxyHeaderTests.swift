import Testing

@testable import Net

@Suite("PROXY protocol headers")
struct ProxyHeaderTests {
  typealias Outcome = Result<ProxyHeader.OnOctets, ProxyHeaderFault>

  private static func parse(_ octets: [UInt8]) -> Outcome {
    Outcome { () throws(ProxyHeaderFault) in try ProxyHeader.parse(octets.span) }
  }

  /// What comes of the octets when they arrive one by one; nothing may be decided differently then.
  private static func parseByOctet(_ octets: [UInt8]) -> Outcome {
    for count in 0..<octets.count {
      let outcome = Self.parse(Array(octets[..<count]))
      guard outcome == .success(.needMore) else { return outcome }
    }
    return Self.parse(octets)
  }

  private static func address(_ text: String) -> SocketAddress? { SocketAddress(parsing: text) }

  private static func header(
    _ version: ProxyHeader.Version, _ source: String? = nil, _ destination: String? = nil
  ) -> ProxyHeader {
    ProxyHeader(
      version: version, source: source.flatMap(Self.address),
      destination: destination.flatMap(Self.address))
  }

  // MARK: Version 1

  @Test(
    "lines",
    arguments: [
      (
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
        header(.v1, "192.0.2.1:56324", "198.51.100.7:443")
      ),
      (
        "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
        header(.v1, "0.0.0.0:0", "255.255.255.255:65535")
      ),
      ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", header(.v1, "[2001:db8::1]:1", "[::1]:2")),
      ("PROXY TCP6 2001:DB8:0:0:0:0:0:1 :: 1 2\r\n", header(.v1, "[2001:db8::1]:1", "[::]:2")),
      ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", header(.v1, "192.0.2.1:1", "[::1]:2")),
      ("PROXY UNKNOWN\r\n", header(.v1)),
      ("PROXY UNKNOWN \r\n", header(.v1)),
      ("PROXY UNKNOWN whatever  stands here 99999\r\n", header(.v1)),
      ("PROXY UNKNOWN \(String(repeating: "f", count: 91))\r\n", header(.v1)),
      (
        """
        PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
        65535 65535\r\n
        """,
        header(
          .v1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
          "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
      ),
    ])
  func lines(text: String, expected: ProxyHeader) {
    let octets = Array(text.utf8)
    #expect(octets.count <= 107)
    let outcome = Outcome.success(.header(expected, byteCount: octets.count))
    #expect(Self.parse(octets) == outcome)
    #expect(Self.parseByOctet(octets) == outcome)
    // What stands behind it is the connection's.
    #expect(Self.parse(octets + Array("GET / HTTP/1.1\r\n".utf8)) == outcome)
  }

  @Test(
    "lines that are none",
    arguments: [
      ("GET / HTTP/1.1\r\n", .noHeader), ("proxy TCP4", .noHeader), ("PROXX", .noHeader),
      ("PRI * HTTP/2.0\r\n", .noHeader), ("PROXY\tTCP4", .noHeader), ("PROXY\r\n", .noHeader),
      (" PROXY TCP4", .noHeader), ("\u{16}\u{3}\u{1}", .noHeader),
      ("PROXY \r\n", .unknownFamily), ("PROXY  UNKNOWN\r\n", .unknownFamily),
      ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", .unknownFamily), ("PROXY tcp4 \r\n", .unknownFamily),
      ("PROXY UNKNOWNX\r\n", .unknownFamily),
      ("PROXY TCP4\r\n", .malformedLine), ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", .malformedLine),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", .malformedLine),
      ("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", .malformedLine),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", .malformedLine),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX", .malformedLine),
      ("PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n", .malformedLine),
      ("PROXY UNKNOWN \u{0}", .malformedLine), ("PROXY UNKNOWN é", .malformedLine),
      ("PROXY TCP4 ::1 1.2.3.4 1 2\r\n", .malformedAddress),
      ("PROXY TCP6 1.2.3.4 ::1 1 2\r\n", .malformedAddress),
      ("PROXY TCP6 [::1] ::1 1 2\r\n", .malformedAddress),
      ("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", .malformedAddress),
      ("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", .malformedAddress),
      ("PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n", .malformedAddress),
      ("PROXY TCP6 ::1 fe80::1%eth0 1 2\r\n", .malformedAddress),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", .malformedPort),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", .malformedPort),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", .malformedPort),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n", .malformedPort),
      ("PROXY TCP4 1.2.3.4 1.2.3.4 1 0x2\r\n", .malformedPort),
      ("PROXY UNKNOWN \(String(repeating: "f", count: 92))\r\n", .tooLong),
      ("PROXY UNKNOWN \(String(repeating: "f", count: 1000))", .tooLong),
    ] as [(String, ProxyHeaderFault)])
  func brokenLines(text: String, fault: ProxyHeaderFault) {
    let octets = Array(text.utf8)
    #expect(Self.parse(octets) == .failure(fault))
    #expect(Self.parseByOctet(octets) == .failure(fault))
  }

  @Test("the first octet that cannot begin a header ends the waiting")
  func firstOctet() {
    for octet in UInt8.min...UInt8.max {
      let mayBegin = octet == 0x50 || octet == 0x0D
      #expect(Self.parse([octet]) == (mayBegin ? .success(.needMore) : .failure(.noHeader)))
    }
    #expect(Self.parse([]) == .success(.needMore))
    for beginning in [Array("PROXY ".utf8), ProxyHeader.signature] {
      for index in beginning.indices {
        var octets = beginning
        octets[index] ^= 0x80
        #expect(Self.parse(Array(octets[...index])) == .failure(.noHeader))
      }
    }
  }

  // MARK: Version 2

  /// A header of version 2 with this second part.
  static func binary(_ command: UInt8, _ family: UInt8, _ block: [UInt8]) -> [UInt8] {
    let length = [
      UInt8(truncatingIfNeeded: block.count >> 8), UInt8(truncatingIfNeeded: block.count),
    ]
    return ProxyHeader.signature + [command, family] + length + block
  }

  static let v4Block: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 7, 0xDC, 0x04, 0x01, 0xBB]
  static let v6Block: [UInt8] =
    [0x20, 0x01, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [1]
    + Array(repeating: 0, count: 15) + [1] + [0, 1, 0, 2]
  static let mappedBlock: [UInt8] =
    Array(repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 1]
    + Array(repeating: 0, count: 15) + [1] + [0, 1, 0, 2]
  static let unixBlock: [UInt8] = Array("/run/a".utf8) + Array(repeating: 0, count: 210)
  static let v4 = header(.v2, "192.0.2.1:56324", "198.51.100.7:443")
  static let v6 = header(.v2, "[2001:db8::1]:1", "[::1]:2")

  @Test(
    "binary headers",
    arguments: [
      (binary(0x21, 0x11, v4Block), v4), (binary(0x21, 0x12, v4Block), v4),
      (binary(0x21, 0x21, v6Block), v6), (binary(0x21, 0x22, v6Block), v6),
      (binary(0x21, 0x21, mappedBlock), header(.v2, "192.0.2.1:1", "[::1]:2")),
      (binary(0x21, 0x31, unixBlock), header(.v2)), (binary(0x21, 0x32, unixBlock), header(.v2)),
      // Of the proxy's own connections, and of those that it cannot describe, nothing is read.
      (binary(0x21, 0x00, []), header(.v2)), (binary(0x21, 0x00, [1, 2, 3, 4, 5]), header(.v2)),
      (binary(0x20, 0x00, []), header(.v2)), (binary(0x20, 0x11, v4Block), header(.v2)),
      (binary(0x20, 0xFF, [3, 0, 9]), header(.v2)),
      // Extensions: an authority, one without content, one that nobody knows.
      (binary(0x21, 0x11, v4Block + [0x02, 0, 1, 0x61]), v4),
      (binary(0x21, 0x11, v4Block + [0x04, 0, 0]), v4),
      (binary(0x21, 0x11, v4Block + [0xEE, 0, 2, 1, 2, 0x04, 0, 0]), v4),
      (binary(0x21, 0x21, v6Block + [0x20, 1, 0] + Array(repeating: 9, count: 256)), v6),
      (
        binary(0x21, 0x11, v4Block + [0x04, 0x07, 0xE1] + Array(repeating: 0, count: 2017)), v4
      ),
    ])
  func binaries(octets: [UInt8], expected: ProxyHeader) {
    let outcome = Outcome.success(.header(expected, byteCount: octets.count))
    #expect(Self.parse(octets) == outcome)
    #expect(Self.parseByOctet(octets) == outcome)
    #expect(Self.parse(octets + [0x16, 0x03, 0x01]) == outcome)
  }

  @Test(
    "binary headers that are none",
    arguments: [
      (ProxyHeader.signature + [0x11], .unsupportedVersion),
      (ProxyHeader.signature + [0x31], .unsupportedVersion),
      (ProxyHeader.signature + [0x22], .unknownCommand),
      (ProxyHeader.signature + [0x2F], .unknownCommand),
      (ProxyHeader.signature + [0x21, 0x01], .unknownFamily),
      (ProxyHeader.signature + [0x21, 0x10], .unknownFamily),
      (ProxyHeader.signature + [0x21, 0x13], .unknownFamily),
      (ProxyHeader.signature + [0x21, 0x41], .unknownFamily),
      (ProxyHeader.signature + [0x21, 0x11, 0x07, 0xF1], .tooLong),
      (ProxyHeader.signature + [0x20, 0x00, 0xFF, 0xFF], .tooLong),
      (ProxyHeader.signature + [0x21, 0x11, 0, 11], .tooShort),
      (ProxyHeader.signature + [0x21, 0x21, 0, 35], .tooShort),
      (ProxyHeader.signature + [0x21, 0x31, 0, 215], .tooShort),
      (binary(0x21, 0x11, v4Block + [0x04]), .malformedExtension),
      (binary(0x21, 0x11, v4Block + [0x04, 0]), .malformedExtension),
      (binary(0x21, 0x11, v4Block + [0x04, 0, 1]), .malformedExtension),
      (binary(0x21, 0x11, v4Block + [0x04, 0xFF, 0xFF, 1, 2]), .malformedExtension),
      (binary(0x21, 0x31, unixBlock + [1]), .malformedExtension),
      (binary(0x21, 0x11, v4Block + [0x03, 0, 3, 0, 0, 0]), .malformedExtension),
      (binary(0x21, 0x11, v4Block + [0x03, 0, 5, 0, 0, 0, 0, 0]), .malformedExtension),
      (binary(0x21, 0x11, v4Block + [0x03, 0, 4, 0, 0, 0, 0]), .wrongChecksum),
    ] as [([UInt8], ProxyHeaderFault)])
  func brokenBinaries(octets: [UInt8], fault: ProxyHeaderFault) {
    #expect(Self.parse(octets) == .failure(fault))
    #expect(Self.parseByOctet(octets) == .failure(fault))
  }

  @Test("the longest header is read, and one octet more is refused as soon as it is announced")
  func longest() {
    let limit = ProxyHeader.byteCountMax - 16
    let octets = Self.binary(0x20, 0x00, Array(repeating: 0xAA, count: limit))
    #expect(Self.parse(octets) == .success(.header(Self.header(.v2), byteCount: 2048)))
    let longer = Self.binary(0x20, 0x00, Array(repeating: 0xAA, count: limit + 1))
    #expect(Self.parse(Array(longer[..<16])) == .failure(.tooLong))
  }

  @Test("the checksum is CRC32C (RFC 9260 appendix A)")
  func checksumOfKnownText() {
    // The check value that catalogues of such sums give for CRC-32/ISCSI.
    let digits = Array("123456789".utf8)
    #expect(ProxyHeader.checksum(digits.span, without: 0..<0) == 0xE306_9283)
  }

  @Test("a checksum holds the whole header, and no octet of it can change")
  func checksums() {
    var octets = Self.binary(
      0x21, 0x11, Self.v4Block + [0x02, 0, 1, 0x61, 0x03, 0, 4, 0, 0, 0, 0, 0x04, 0, 1, 9])
    let place = 35..<39
    let sum = ProxyHeader.checksum(octets.span, without: place)
    for (index, shift) in zip(place, [24, 16, 8, 0] as [UInt32]) {
      octets[index] = UInt8(truncatingIfNeeded: sum >> shift)
    }
    let outcome = Outcome.success(.header(Self.v4, byteCount: octets.count))
    #expect(Self.parse(octets) == outcome)
    #expect(Self.parseByOctet(octets) == outcome)
    for index in 16..<octets.count where octets[32] == 0x03 {
      var changed = octets
      changed[index] ^= 0x01
      // With another type the checksum is an extension that nobody knows.
      if index == 32 { continue }
      let found = Self.parse(changed)
      #expect(found == .failure(.wrongChecksum) || found == .failure(.malformedExtension))
    }
    let twice = Self.binary(0x21, 0x11, Self.v4Block + [3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0])
    #expect(Self.parse(twice) == .failure(.malformedExtension))
  }

  // MARK: Writing

  @Test(
    "what servers are told, as text",
    arguments: [
      (
        "192.0.2.1:56324", "198.51.100.7:443", "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
      ),
      ("[2001:db8::1]:1", "[::1]:2", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
      ("192.0.2.1:1", "[::1]:2", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"),
      ("[::1]:1", "192.0.2.1:2", "PROXY TCP6 ::1 ::ffff:192.0.2.1 1 2\r\n"),
      ("192.0.2.1:1", nil, "PROXY TCP4 192.0.2.1 0.0.0.0 1 0\r\n"),
      ("192.0.2.1:1", "[::]:2", "PROXY TCP4 192.0.2.1 0.0.0.0 1 2\r\n"),
      ("[::1]:1", "0.0.0.0:2", "PROXY TCP6 ::1 :: 1 2\r\n"),
      ("[::1]:1", "unix:/run/a", "PROXY TCP6 ::1 :: 1 0\r\n"),
      (nil, nil, "PROXY UNKNOWN\r\n"), ("unix:/run/a", "192.0.2.1:1", "PROXY UNKNOWN\r\n"),
    ] as [(String?, String?, String)])
  func text(source: String?, destination: String?, expected: String) {
    let octets = Self.header(.v1, source, destination).serialized()
    #expect(String(decoding: octets, as: UTF8.self) == expected)
  }

  @Test(
    "what servers are told, in binary",
    arguments: [
      ("192.0.2.1:56324", "198.51.100.7:443", binary(0x21, 0x11, v4Block)),
      ("[2001:db8::1]:1", "[::1]:2", binary(0x21, 0x21, v6Block)),
      ("192.0.2.1:1", "[::1]:2", binary(0x21, 0x21, mappedBlock)),
      ("192.0.2.1:1", nil, binary(0x21, 0x11, [192, 0, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0])),
      (nil, nil, binary(0x20, 0x00, [])),
      ("unix:/run/a", nil, binary(0x21, 0x00, [])),
      (nil, "192.0.2.1:1", binary(0x21, 0x00, [])),
    ] as [(String?, String?, [UInt8])])
  func octets(source: String?, destination: String?, expected: [UInt8]) {
    #expect(Self.header(.v2, source, destination).serialized() == expected)
  }

  @Test("what is written is read as it was", arguments: ProxyHeader.Version.allCases)
  func roundTrips(version: ProxyHeader.Version) {
    var chance = SplitMix(seed: 11)
    for _ in 0..<2000 {
      let header = ProxyHeader(
        version: version, source: .ip(Self.anyAddress(&chance), port: Self.anyPort(&chance)),
        destination: .ip(Self.anyAddress(&chance), port: Self.anyPort(&chance)))
      let octets = header.serialized()
      #expect(Self.parse(octets) == .success(.header(header, byteCount: octets.count)))
    }
    let nothing = ProxyHeader(version: version)
    let octets = nothing.serialized()
    #expect(Self.parse(octets) == .success(.header(nothing, byteCount: octets.count)))
  }

  private static func anyAddress(_ chance: inout SplitMix) -> IPAddress {
    let (high, low) = (chance.next(), chance.next())
    return high & 1 == 0 ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
  }

  private static func anyPort(_ chance: inout SplitMix) -> UInt16 {
    UInt16(truncatingIfNeeded: chance.next())
  }

  // MARK: Chance

  @Test("no octets trap, and it does not matter how they come", arguments: 0..<8 as Range<UInt64>)
  func chance(seed: UInt64) {
    var chance = SplitMix(seed: seed)
    let samples: [[UInt8]] = [
      Array("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n".utf8),
      Array("PROXY TCP6 2001:db8::1 ::1 1 2\r\n".utf8), Array("PROXY UNKNOWN\r\n".utf8),
      Self.binary(0x21, 0x11, Self.v4Block + [0x03, 0, 4, 0, 0, 0, 0, 0x04, 0, 0]),
      Self.binary(0x21, 0x21, Self.v6Block), Self.binary(0x20, 0x00, []),
    ]
    for _ in 0..<2000 {
      var octets = samples[Int(chance.next() % UInt64(samples.count))]
      for _ in 0..<chance.next() % 4 {
        octets[Int(chance.next() % UInt64(octets.count))] = UInt8(truncatingIfNeeded: chance.next())
      }
      octets.removeLast(Int(chance.next() % 3))
      let whole = Self.parse(octets)
      #expect(Self.parseByOctet(octets) == whole, "seed \(seed): \(octets)")
      guard case .success(.header(let header, let byteCount)) = whole else { continue }
      #expect(byteCount <= octets.count)
      // The same addresses come out of what is made of them.
      let again = header.serialized()
      #expect(Self.parse(again) == .success(.header(header, byteCount: again.count)))
    }
  }

  @Test("every fault has a sentence of its own")
  func reasons() {
    let reasons = ProxyHeaderFault.allCases.map(\.reason)
    #expect(Set(reasons).count == reasons.count)
    #expect(reasons.allSatisfy { $0.hasSuffix(".") })
  }
}
