// Field names, tokens and hosts are ASCII. The standard library's `lowercased()` knows all of
// Unicode (the Kelvin sign becomes "k"), which is more than may ever compare equal here. For the same
// reason texts are taken apart octet by octet: as a `Character` the Greek question mark equals ";",
// and a "=" with a combining accent behind it does not equal "=".

extension UInt8 {
  /// A-Z moved to a-z, every other octet as it is.
  var asciiLowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }

  /// DIGIT of RFC 5234.
  var isASCIIDigit: Bool { (0x30...0x39).contains(self) }

  /// ALPHA of RFC 5234.
  var isASCIILetter: Bool { (0x61...0x7A).contains(self.asciiLowercased) }

  /// SP or HTAB, the optional white space of RFC 9110 §5.6.3.
  var isWhitespace: Bool { self == 0x20 || self == 0x09 }

  /// A control octet of RFC 5234, DEL included.
  var isControl: Bool { self < 0x20 || self == 0x7F }

  /// tchar of RFC 9110 §5.6.2.
  var isTokenOctet: Bool {
    if self.isASCIILetter || self.isASCIIDigit { return true }
    return switch self {
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
    default: false
    }
  }

  /// The value of a hexadecimal digit.
  var hexDigitValue: UInt8? {
    switch self.asciiLowercased {
    case 0x30...0x39: self - 0x30
    case 0x61...0x66: self.asciiLowercased - 0x61 + 10
    default: nil
    }
  }
}

extension Sequence<UInt8> {
  /// Whether the octets spell `text`, the case of A-Z left out of account.
  func spellsIgnoringASCIICase(_ text: some StringProtocol) -> Bool {
    self.elementsEqual(text.utf8) { $0.asciiLowercased == $1.asciiLowercased }
  }
}

extension StringProtocol {
  /// The text with A-Z as a-z.
  var asciiLowercased: String {
    String(decoding: self.utf8.map(\.asciiLowercased), as: UTF8.self)
  }

  /// Whether two texts are the same but for the case of A-Z.
  func equalsIgnoringASCIICase(_ other: some StringProtocol) -> Bool {
    self.utf8.spellsIgnoringASCIICase(other)
  }

  /// Whether the text is a token of RFC 9110 §5.6.2.
  var isToken: Bool { !self.isEmpty && self.utf8.allSatisfy(\.isTokenOctet) }
}

extension BidirectionalCollection<UInt8> where SubSequence == Self {
  /// The pieces between the separators, empty ones too.
  func pieces(separatedBy separator: Unicode.Scalar) -> [Self] {
    self.split(separator: UInt8(ascii: separator), omittingEmptySubsequences: false)
  }

  /// What stands before and behind the first separator; `nil` where there is none.
  func parts(aroundFirst separator: Unicode.Scalar) -> (before: Self, behind: Self)? {
    guard let place = self.firstIndex(of: UInt8(ascii: separator)) else { return nil }
    return (self[..<place], self[self.index(after: place)...])
  }

  /// The octets without white space at their beginning.
  var leftTrimmed: Self { self.drop(while: \.isWhitespace) }

  /// The octets without white space at either end.
  var trimmed: Self {
    var octets = self.leftTrimmed
    while octets.last?.isWhitespace == true { octets.removeLast() }
    return octets
  }
}

extension Substring {
  /// The pieces between the separators, empty ones too.
  func pieces(separatedBy separator: Unicode.Scalar) -> [Substring] {
    self.utf8.pieces(separatedBy: separator).map(Substring.init)
  }

  /// The text before and behind the first separator; `nil` where there is none.
  func parts(aroundFirst separator: Unicode.Scalar) -> (before: Substring, behind: Substring)? {
    self.utf8.parts(aroundFirst: separator).map { (Substring($0.before), Substring($0.behind)) }
  }

  /// Whether two texts have the same octets.
  func hasOctets(of other: String) -> Bool { self.utf8.elementsEqual(other.utf8) }

  /// The text without white space at either end.
  var trimmed: Substring { Substring(self.utf8.trimmed) }

  /// The text without a pair of double quotes around it.
  var unquoted: Substring {
    let quote = UInt8(ascii: "\"")
    guard self.utf8.count >= 2, self.utf8.first == quote, self.utf8.last == quote else {
      return self
    }
    return Substring(self.utf8.dropFirst().dropLast())
  }
}

/// Percent-decoding of RFC 3986 §2.1; `nil` where a `%` is not followed by two hexadecimal digits.
func percentDecoded(_ text: some StringProtocol) -> [UInt8]? {
  var decoded: [UInt8] = []
  var rest = text.utf8[...]
  while let octet = rest.popFirst() {
    guard octet == UInt8(ascii: "%") else {
      decoded.append(octet)
      continue
    }
    guard let high = rest.popFirst()?.hexDigitValue, let low = rest.popFirst()?.hexDigitValue
    else { return nil }
    decoded.append(high << 4 | low)
  }
  return decoded
}
