extension UInt8 {
  static let horizontalTab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20
  static let comma: UInt8 = 0x2C
  static let percent: UInt8 = 0x25
  static let slash: UInt8 = 0x2F
  static let colon: UInt8 = 0x3A
  static let semicolon: UInt8 = 0x3B
  static let questionMark: UInt8 = 0x3F
  static let backslash: UInt8 = 0x5C
  static let underscore: UInt8 = 0x5F

  /// `tchar` of RFC 9110 §5.6.2: what a method or a field name is made of.
  var isTokenOctet: Bool {
    switch self {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
    default: false
    }
  }

  /// What may stand in a field value (RFC 9110 §5.5): visible octets, space, tab, and the octets
  /// from 0x80 up, which have no meaning of their own and are passed on as they are.
  var isValueOctet: Bool {
    (self >= 0x20 && self != 0x7F) || self == .horizontalTab
  }

  /// What may stand in a request target: visible ASCII without `#`, since a fragment is never sent
  /// (RFC 9112 §3.2).
  var isTargetOctet: Bool {
    self > 0x20 && self < 0x7F && self != 0x23
  }

  var isDigit: Bool { self >= 0x30 && self <= 0x39 }

  /// A control octet of RFC 5234, DEL included.
  var isControl: Bool { self < 0x20 || self == 0x7F }

  var isWhitespace: Bool { self == .space || self == .horizontalTab }

  /// The value of a hexadecimal digit of either case.
  var hexadecimalValue: Int? {
    switch self {
    case 0x30...0x39: Int(self) - 0x30
    case 0x41...0x46: Int(self) - 0x37
    case 0x61...0x66: Int(self) - 0x57
    default: nil
    }
  }

  /// ASCII capitals made small, everything else as it is.
  var lowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}

extension String {
  /// The same text with ASCII capitals made small: what the names of fields, hosts and schemes
  /// compare by. Never depends on a locale.
  func asciiLowercased() -> String {
    String(decoding: self.utf8.map(\.lowercased), as: UTF8.self)
  }

  /// Whether both texts are the same when the case of ASCII letters is left out of account.
  func equalsIgnoringCase(_ other: String) -> Bool {
    self.utf8.count == other.utf8.count
      && zip(self.utf8, other.utf8).allSatisfy { $0.lowercased == $1.lowercased }
  }
}

extension Array<UInt8> {
  /// Appends a copy of the first `count` octets of `octets`, which the caller has that many of.
  mutating func append(first count: Int, of octets: Span<UInt8>) {
    let part = octets.extracting(0..<count)
    // SAFETY: the pointer is read within the closure only, and covers exactly the span's octets.
    // An append octet by octet costs about as much as all of the parsing.
    unsafe part.withUnsafeBufferPointer { unsafe self.append(contentsOf: $0) }
  }

  /// The part of `range` that is left without spaces and tabs on either side.
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var lower = range.lowerBound
    var upper = range.upperBound
    while lower < upper, self[lower].isWhitespace { lower += 1 }
    while upper > lower, self[upper - 1].isWhitespace { upper -= 1 }
    return lower..<upper
  }
}
