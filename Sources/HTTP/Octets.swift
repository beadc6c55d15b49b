extension UInt8 {
  static let horizontalTab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20
  static let quote: UInt8 = 0x22
  static let asterisk: UInt8 = 0x2A
  static let comma: UInt8 = 0x2C
  static let percent: UInt8 = 0x25
  static let dot: UInt8 = 0x2E
  static let slash: UInt8 = 0x2F
  static let colon: UInt8 = 0x3A
  static let semicolon: UInt8 = 0x3B
  static let questionMark: UInt8 = 0x3F
  static let backslash: UInt8 = 0x5C
  static let leftBracket: UInt8 = 0x5B
  static let rightBracket: UInt8 = 0x5D
  static let underscore: UInt8 = 0x5F

  /// `tchar` of RFC 9110 §5.6.2: what a method or a field name is made of.
  var isTokenOctet: Bool {
    // One bit for each octet: !#$%&'*+-. and digits below 0x40, ^_`|~ and letters above.
    let bits: UInt64 = self < 0x40 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
    return self < 0x80 && (bits >> UInt64(self & 0x3F)) & 1 == 1
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

  var isCapital: Bool { self >= 0x41 && self <= 0x5A }

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
  var lowercased: UInt8 { self.isCapital ? self | 0x20 : self }
}

extension UInt64 {
  /// How many of its octets, from the lowest on, are before the first that is below 0x20 or DEL, the tab among
  /// them. A subtraction that borrows into an octet's free top bit tells that it was too small; only what
  /// stands above that octet can be wrong then.
  fileprivate var octetCountBeforeControl: Int {
    let (ones, tops) = (0x0101_0101_0101_0101 as UInt64, 0x8080_8080_8080_8080 as UInt64)
    let belowSpace = (self &- ones &* 0x20) & ~self
    let deletion = self ^ ones &* 0x7F
    return ((belowSpace | ((deletion &- ones) & ~deletion)) & tops).trailingZeroBitCount / 8
  }
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

extension StaticString {
  /// The octets of a literal.
  var octets: Span<UInt8> {
    @_lifetime(immortal)
    get {
      // SAFETY: a literal of more than one scalar lies in the program itself, for as long as it runs.
      let octets = unsafe Span(_unsafeStart: self.utf8Start, count: self.utf8CodeUnitCount)
      return unsafe _overrideLifetime(octets, copying: ())
    }
  }
}

extension Span<UInt8> {
  /// The first octet, `nil` where there is none.
  var first: UInt8? { self.isEmpty ? nil : self[0] }

  /// The eight octets from `index` on, the first of them the lowest.
  func word(at index: Int) -> UInt64 {
    // SAFETY: the load is checked, and any octets are an integer.
    let word = unsafe self.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
    return UInt64(littleEndian: word)
  }

  /// Whether a quoted string (RFC 9110 §5.6.4) begins among the octets that does not end: it would take
  /// whatever is put behind them into itself.
  var endsInQuotes: Bool {
    var isQuoted = false
    var index = 0
    while index < self.count {
      if self[index] == .quote { isQuoted.toggle() }
      index += isQuoted && self[index] == .backslash ? 2 : 1
    }
    return isQuoted
  }

  /// Whether the octets are a token of RFC 9110 §5.6.2.
  var isToken: Bool { !self.isEmpty && self.tokenByteCount == self.count }

  /// How many octets there are before the first that no token has.
  var tokenByteCount: Int {
    var index = 0
    while index < self.count, self[index].isTokenOctet { index &+= 1 }
    return index
  }

  /// How many octets there are before the first that no request target has.
  var targetByteCount: Int {
    var index = 0
    while index < self.count, self[index].isTargetOctet { index &+= 1 }
    return index
  }

  /// How many octets there are before the first that no field value has.
  var valueByteCount: Int {
    var index = 0
    // Most octets of a head are those of values, and most values have no tab: eight at a time.
    while index &+ 8 <= self.count {
      let plain = self.word(at: index).octetCountBeforeControl
      index &+= plain
      guard plain < 8 else { continue }
      guard self[index] == .horizontalTab else { return index }
      index &+= 1
    }
    while index < self.count, self[index].isValueOctet { index &+= 1 }
    return index
  }

  /// The part of `range` that is left without spaces and tabs on either side.
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var lower = range.lowerBound
    var upper = range.upperBound
    while lower < upper, self[lower].isWhitespace { lower += 1 }
    while upper > lower, self[upper - 1].isWhitespace { upper -= 1 }
    return lower..<upper
  }

  func contains(_ octet: UInt8) -> Bool {
    for index in self.indices where self[index] == octet { return true }
    return false
  }

  /// Whether there is an ASCII capital.
  var hasCapital: Bool {
    for index in self.indices where self[index].isCapital { return true }
    return false
  }

  /// Whether the octets are those of `text`.
  func spells(_ text: Span<UInt8>) -> Bool {
    guard self.count == text.count else { return false }
    for index in self.indices where self[index] != text[index] { return false }
    return true
  }

  /// Whether the octets spell `text`, the case of ASCII letters left out of account.
  func equalsIgnoringCase(_ text: Span<UInt8>) -> Bool {
    guard self.count == text.count else { return false }
    for index in self.indices where self[index].lowercased != text[index].lowercased {
      return false
    }
    return true
  }
}

extension OutputSpan<UInt8> {
  /// Appends a copy of all of `octets`, for which there must be room.
  mutating func append(_ octets: Span<UInt8>) {
    precondition(octets.count <= self.freeCapacity)
    // SAFETY: there is room, and what is initialized is counted.
    unsafe self.withUnsafeMutableBufferPointer { room, count in
      unsafe octets.withUnsafeBufferPointer { octets in
        let free = unsafe UnsafeMutableBufferPointer(rebasing: room[count...])
        count += unsafe free.update(fromContentsOf: octets)
      }
    }
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

  /// Appends a copy of all of `octets`.
  mutating func append(_ octets: Span<UInt8>) { self.append(first: octets.count, of: octets) }

  /// Appends the octets of `text`.
  mutating func append(_ text: String) { self.append(text.utf8.span) }

  /// Appends the octets of a literal.
  mutating func append(literal: StaticString) { self.append(literal.octets) }

  /// The part of `range` that is left without spaces and tabs on either side.
  func trimmed(_ range: Range<Int>) -> Range<Int> { self.span.trimmed(range) }
}
