/// An IPv4 or IPv6 address, without a port.
public enum IPAddress: Hashable, Sendable {
  /// Four octets, the most significant first.
  case v4(UInt32)
  /// Sixteen octets as two halves, the most significant first.
  case v6(high: UInt64, low: UInt64)

  /// Whether it is this machine's own, out of the reach of others (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
  public var isLoopback: Bool {
    switch self {
    case .v4(let octets): octets >> 24 == 127
    case .v6(let high, let low): high == 0 && low == 1
    }
  }

  /// Reads `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`; `nil` for anything else. An IPv4-mapped
  /// IPv6 address (RFC 4291 §2.5.5.2) becomes the IPv4 address that it names, so that a dual-stack
  /// listener and an IPv4 one call a client by the same name.
  public init?(parsing text: some StringProtocol) {
    var text = text[...]
    let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
    if isBracketed { text = text.dropFirst().dropLast() }
    if !isBracketed, let octets = Self.parseV4(text) {
      self = .v4(octets)
    } else if let groups = Self.parseV6(text) {
      self.init(groups: groups)
    } else {
      return nil
    }
  }

  private init(groups: [UInt16]) {
    let high = groups[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    let low = groups[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    self = Self.unmapped(high: high, low: low)
  }

  /// The IPv4 address inside `::ffff:0:0/96`, every other address as it is.
  static func unmapped(high: UInt64, low: UInt64) -> IPAddress {
    high == 0 && low >> 32 == 0xFFFF
      ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
  }

  private static func parseV4(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      // "01" means octal to some readers and decimal to others: refused, as inet_pton does.
      guard part.count <= 3, part.count == 1 || part.first != "0",
        part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let octet = UInt8(part)
      else { return nil }
      address = address << 8 | UInt32(octet)
    }
    return address
  }

  /// RFC 4291 §2.2: eight groups, at most one `::`, the last two perhaps written as IPv4.
  private static func parseV6(_ text: some StringProtocol) -> [UInt16]? {
    guard text.contains(":"), !text.contains(":::") else { return nil }
    guard let gap = text.range(of: "::") else {
      guard let groups = Self.parseGroups(text, mayEndInV4: true), groups.count == 8
      else { return nil }
      return groups
    }
    guard let head = Self.parseGroups(text[..<gap.lowerBound], mayEndInV4: false),
      let tail = Self.parseGroups(text[gap.upperBound...], mayEndInV4: true),
      head.count + tail.count < 8
    else { return nil }
    return head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
  }

  private static func parseGroups(
    _ text: some StringProtocol, mayEndInV4: Bool
  ) -> [UInt16]? {
    guard !text.isEmpty else { return [] }
    var groups: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if mayEndInV4, index == parts.count - 1, let embedded = Self.parseV4(part) {
        groups += [UInt16(embedded >> 16), UInt16(truncatingIfNeeded: embedded)]
        continue
      }
      guard (1...4).contains(part.count), part.utf8.allSatisfy(Self.isHexDigit),
        let group = UInt16(part, radix: 16)
      else { return nil }
      groups.append(group)
    }
    return groups
  }

  private static func isHexDigit(_ octet: UInt8) -> Bool {
    (0x30...0x39).contains(octet) || (0x41...0x46).contains(octet) || (0x61...0x66).contains(octet)
  }
}

extension StringProtocol {
  /// The first place where `needle` stands.
  fileprivate func range(of needle: String) -> Range<Index>? {
    var start = self.startIndex
    while start < self.endIndex {
      if self[start...].hasPrefix(needle) {
        return start..<self.index(start, offsetBy: needle.count)
      }
      start = self.index(after: start)
    }
    return nil
  }
}

extension IPAddress: CustomStringConvertible {
  /// Dotted decimal, or the compressed lower-case form of RFC 5952 §4.
  public var description: String {
    switch self {
    case .v4(let address):
      return (0..<4).map { String(address >> (24 - 8 * $0) & 0xFF) }.joined(separator: ".")
    case .v6(let high, let low):
      let groups =
        (0..<4).map { high >> (48 - 16 * $0) & 0xFFFF }
        + (0..<4).map { low >> (48 - 16 * $0) & 0xFFFF }
      guard let run = Self.longestZeroRun(groups) else {
        return groups.map { String($0, radix: 16) }.joined(separator: ":")
      }
      let head = groups[..<run.lowerBound].map { String($0, radix: 16) }.joined(separator: ":")
      let tail = groups[run.upperBound...].map { String($0, radix: 16) }.joined(separator: ":")
      return "\(head)::\(tail)"
    }
  }

  /// RFC 5952 §4.2: the longest run of two or more zero groups, the first of equals.
  private static func longestZeroRun(_ groups: [UInt64]) -> Range<Int>? {
    var best: Range<Int>?
    var start = 0
    while start < groups.count {
      var end = start
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - start >= 2, end - start > (best?.count ?? 0) { best = start..<end }
      start = max(end, start + 1)
    }
    return best
  }
}

/// A block of addresses, `10.0.0.0/8` or `2001:db8::/32` (RFC 4632 §3.1, RFC 4291 §2.3).
public struct AddressRange: Hashable, Sendable {
  private let base: IPAddress
  private let prefixBitCount: Int

  /// Reads an address with a prefix length, or an address alone, which stands for itself only.
  /// `nil` where either part is not one, or where octets behind the prefix are not zero.
  public init?(parsing text: some StringProtocol) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let base = IPAddress(parsing: first) else { return nil }
    let widest = if case .v4 = base { 32 } else { 128 }
    var prefix = widest
    if parts.count == 2 {
      // The prefix of an IPv4-mapped base counts the 96 bits that were dropped from it.
      let dropped = widest == 32 && first.contains(":") ? 96 : 0
      guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(parts[1]),
        (dropped...widest + dropped).contains(count)
      else { return nil }
      prefix = count - dropped
    }
    self.base = base
    self.prefixBitCount = prefix
    guard base.masked(to: prefix) == base else { return nil }
  }

  /// Whether `address` lies in the block. An IPv4 block holds no IPv6 address, and the reverse.
  public func contains(_ address: IPAddress) -> Bool {
    switch (self.base, address) {
    case (.v4, .v4), (.v6, .v6): address.masked(to: self.prefixBitCount) == self.base
    default: false
    }
  }
}

extension IPAddress {
  /// The address with all octets behind the first `prefixBitCount` bits cleared.
  public func masked(to prefixBitCount: Int) -> IPAddress {
    switch self {
    case .v4(let address):
      return .v4(prefixBitCount == 0 ? 0 : address & ~0 << UInt32(32 - prefixBitCount))
    case .v6(let high, let low):
      let highBits = min(prefixBitCount, 64)
      let lowBits = max(prefixBitCount - 64, 0)
      return .v6(
        high: highBits == 0 ? 0 : high & ~0 << UInt64(64 - highBits),
        low: lowBits == 0 ? 0 : low & ~0 << UInt64(64 - lowBits))
    }
  }
}
