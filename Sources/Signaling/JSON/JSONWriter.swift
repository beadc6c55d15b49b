/// Puts JSON together, octet by octet. The octets are an array's, so that what never changes is
/// written once and shared.
extension [UInt8] {
  /// Appends characters that need no escape.
  mutating func write(_ text: StaticString) {
    unsafe self.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Appends a whole number.
  mutating func write(number: some BinaryInteger) {
    // Without the memory that a text would take: each message has one.
    var (rest, digits) = (UInt64(number.magnitude), InlineArray<20, UInt8>(repeating: 0))
    if number < 0 { self.append(UInt8(ascii: "-")) }
    var count = 0
    repeat {
      digits[count] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
      count += 1
    } while rest > 0
    for place in stride(from: count - 1, through: 0, by: -1) { self.append(digits[place]) }
  }

  /// Appends a string with its quotation marks (RFC 8259 §7).
  mutating func write(string: some StringProtocol) {
    self.append(UInt8(ascii: "\""))
    for octet in string.utf8 {
      switch octet {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        self.append(UInt8(ascii: "\\"))
        self.append(octet)
      case ..<0x20:
        self.write("\\u00")
        self.append(Self.hexadecimalDigits[Int(octet >> 4)])
        self.append(Self.hexadecimalDigits[Int(octet & 0xF)])
      default: self.append(octet)
      }
    }
    self.append(UInt8(ascii: "\""))
  }

  /// Appends `true` or `false`.
  mutating func write(flag: Bool) { flag ? self.write("true") : self.write("false") }

  /// Appends a list, each member by `write`.
  mutating func write<Elements: Sequence>(
    list: Elements, _ write: (Elements.Element, inout [UInt8]) -> Void
  ) {
    self.append(UInt8(ascii: "["))
    var isFirst = true
    for element in list {
      if !isFirst { self.append(UInt8(ascii: ",")) }
      isFirst = false
      write(element, &self)
    }
    self.append(UInt8(ascii: "]"))
  }

  private static let hexadecimalDigits = Array("0123456789abcdef".utf8)
}
