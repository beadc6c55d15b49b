/// A path as everything that compares paths reads it: percent-decoded, runs of `/` as one, because
/// that is how most servers read it. What a route matches and what its rewrite strips are found
/// with this one reader, so that the two cannot disagree.
///
/// There is no such reading of a path on whose meaning servers disagree: one with a segment `.` or
/// `..` in any spelling (also `..;x`), an encoded slash, a backslash, a control octet, or a broken
/// `%` escape, and one that does not begin with `/`.
public struct ComparablePath: Sendable {
  /// The octets, the first of them a `/`.
  public let octets: [UInt8]

  /// Reads a path without a query; `nil` where servers disagree on it.
  public init?(_ path: some StringProtocol) { self.init(octets: Array(path.utf8)) }

  private init?(octets path: [UInt8]) {
    // Nearly every path reads as it is written.
    guard !Self.isPlain(path) else {
      self.octets = path
      return
    }
    var octets: [UInt8] = []
    var segmentStart = 0
    var rest = path[...]
    while let octet = rest.popFirst() {
      if octet == .slash {
        guard !Self.isDotSegment(octets[segmentStart...]) else { return nil }
        if octets.last != .slash { octets.append(.slash) }
        segmentStart = octets.count
        continue
      }
      var value = octet
      if octet == .percent {
        guard let high = rest.popFirst()?.hexadecimalValue,
          let low = rest.popFirst()?.hexadecimalValue
        else { return nil }
        value = UInt8(high << 4 | low)
      }
      // A slash here came out of an escape.
      guard value != .slash, value != .backslash, !value.isControl else { return nil }
      octets.append(value)
    }
    guard octets.first == .slash, !Self.isDotSegment(octets[segmentStart...]) else { return nil }
    self.octets = octets
  }

  /// Whether nothing in a path could be read in another way: no escape, no empty segment, and none that
  /// begins with a dot.
  private static func isPlain(_ path: [UInt8]) -> Bool {
    guard path.first == .slash else { return false }
    var previous: UInt8 = 0
    for index in path.indices {
      let octet = path[index]
      if octet == .percent || octet == .backslash || octet.isControl { return false }
      if previous == .slash, octet == .slash || octet == 0x2E { return false }
      previous = octet
    }
    return true
  }

  /// Whether a decoded segment is `.` or `..`, with path parameters behind a `;` or without: some
  /// servers cut those off first.
  private static func isDotSegment(_ segment: ArraySlice<UInt8>) -> Bool {
    let name = segment.prefix { $0 != .semicolon }
    return name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8)
  }

  /// What stands between the slashes: nothing for `/`, and the same for `/a` and `/a/`.
  var segments: [ArraySlice<UInt8>] { self.octets.split(separator: .slash) }
}
