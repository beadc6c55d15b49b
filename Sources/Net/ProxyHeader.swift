/// What a proxy says of the connection that it passes on: who is behind it, and where the proxy
/// accepted it. Versions 1 and 2 of the PROXY protocol
/// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, §2).
///
/// The header is believed as it is. Whoever reads one has made sure that the peer is a proxy whose
/// word counts, and expects one from it always: nobody else may be able to begin with a header.
public struct ProxyHeader: Hashable, Sendable {
  /// How it is written.
  public enum Version: String, Sendable, CaseIterable {
    /// One line of text (§2.1).
    case v1
    /// Binary (§2.2).
    case v2
  }

  /// How it is written.
  public var version: Version
  /// Who is at the other end, never a unix socket in a header that was read; `nil` where the
  /// connection's own address counts.
  public var source: SocketAddress?
  /// Where the proxy accepted it; `nil` as ``source`` is, and both together.
  public var destination: SocketAddress?

  /// The longest header that is read, in octets. Version 2 could have 64 KiB; addresses and the
  /// extensions that proxies add have a few hundred.
  public static let byteCountMax = 2048

  /// A header. One without addresses says that the connection is the proxy's own, as when it looks
  /// whether a server is well.
  public init(version: Version, source: SocketAddress? = nil, destination: SocketAddress? = nil) {
    self.version = version
    self.source = source
    self.destination = destination
  }
}

/// Why octets are no ``ProxyHeader``. One case per cause.
public enum ProxyHeaderFault: Error, Hashable, Sendable, CaseIterable {
  /// They begin with neither of the two signatures.
  case noHeader
  /// The line of version 1 has a control character or another number of words.
  case malformedLine
  /// The header is longer than 107 octets (version 1) or ``ProxyHeader/byteCountMax`` (version 2).
  case tooLong
  /// The version behind the signature of version 2 is not 2.
  case unsupportedVersion
  /// The command is neither LOCAL nor PROXY.
  case unknownCommand
  /// The family of the addresses is none that is defined.
  case unknownFamily
  /// An address is none, or not of the family that was announced.
  case malformedAddress
  /// A port is not a plain decimal number up to 65535.
  case malformedPort
  /// The length leaves no room for the addresses of the family.
  case tooShort
  /// An extension reaches beyond the header, or has a length that it cannot have.
  case malformedExtension
  /// The checksum is not that of the header.
  case wrongChecksum

  /// The cause in one sentence.
  public var reason: String {
    switch self {
    case .noHeader: "The connection does not begin with a PROXY protocol header."
    case .malformedLine: "The line of the PROXY protocol is malformed."
    case .tooLong: "The PROXY protocol header is too long."
    case .unsupportedVersion: "The version of the PROXY protocol is neither 1 nor 2."
    case .unknownCommand: "The command of the PROXY protocol header is not known."
    case .unknownFamily: "The address family of the PROXY protocol header is not known."
    case .malformedAddress: "An address of the PROXY protocol header is malformed."
    case .malformedPort: "A port of the PROXY protocol header is malformed."
    case .tooShort: "The PROXY protocol header is too short for its addresses."
    case .malformedExtension: "An extension of the PROXY protocol header is malformed."
    case .wrongChecksum: "The checksum of the PROXY protocol header is wrong."
    }
  }
}

// MARK: - Writing

extension ProxyHeader {
  /// What stands before the first octet of the connection.
  ///
  /// A connection that came over IP to a unix socket, or the reverse, has no pair of addresses of one
  /// family. Who the client is matters most: its address stands with the unspecified one (RFC 4291
  /// §2.5.2) as destination. A client on a unix socket has no address that others could use.
  public func serialized() -> [UInt8] {
    switch self.version {
    case .v1: self.line()
    case .v2: self.binary()
    }
  }

  private struct Pair {
    let source: (address: IPAddress, port: UInt16)
    let destination: (address: IPAddress, port: UInt16)

    /// Whether both are IPv4 addresses. An IPv4 address beside an IPv6 one is written as an
    /// IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
    var isV4: Bool {
      if case (.v4, .v4) = (self.source.address, self.destination.address) { true } else { false }
    }
  }

  private var pair: Pair? {
    guard case .ip(let source, let sourcePort)? = self.source else { return nil }
    let unspecified: IPAddress = if case .v4 = source { .v4(0) } else { .v6(high: 0, low: 0) }
    guard case .ip(let destination, let port)? = self.destination else {
      return Pair(source: (source, sourcePort), destination: (unspecified, 0))
    }
    // A listener on `[::]` stands for every address of both families.
    let isAny = destination == .v4(0) || destination == .v6(high: 0, low: 0)
    return Pair(
      source: (source, sourcePort), destination: (isAny ? unspecified : destination, port))
  }

  private func line() -> [UInt8] {
    guard let pair = self.pair else { return Array("PROXY UNKNOWN\r\n".utf8) }
    let addresses = [pair.source.address, pair.destination.address].map { address in
      if !pair.isV4, case .v4 = address { return "::ffff:\(address)" }
      return "\(address)"
    }
    let words = [
      "PROXY", pair.isV4 ? "TCP4" : "TCP6", addresses[0], addresses[1], "\(pair.source.port)",
      "\(pair.destination.port)",
    ]
    return Array((words.joined(separator: " ") + "\r\n").utf8)
  }

  private func binary() -> [UInt8] {
    let isOwn = self.source == nil && self.destination == nil
    let command: UInt8 = isOwn ? 0x20 : 0x21
    guard let pair = self.pair else { return Self.signature + [command, 0x00, 0, 0] }
    let block =
      Self.octets(of: pair.source.address, isV4: pair.isV4)
      + Self.octets(of: pair.destination.address, isV4: pair.isV4)
      + Self.bigEndian(pair.source.port) + Self.bigEndian(pair.destination.port)
    let family: UInt8 = pair.isV4 ? 0x11 : 0x21
    return Self.signature + [command, family] + Self.bigEndian(UInt16(block.count)) + block
  }

  private static func octets(of address: IPAddress, isV4: Bool) -> [UInt8] {
    switch address {
    case .v4(let octets) where isV4: Self.bigEndian(octets)
    case .v4(let octets): Self.bigEndian(UInt64(0)) + Self.bigEndian(0xFFFF << 32 | UInt64(octets))
    case .v6(let high, let low): Self.bigEndian(high) + Self.bigEndian(low)
    }
  }

  private static func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    stride(from: Number.bitWidth - 8, through: 0, by: -8).map {
      UInt8(truncatingIfNeeded: number >> Number($0))
    }
  }
}
