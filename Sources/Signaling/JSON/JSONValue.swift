/// Reads single values that a ``JSONScanner`` has stepped over.
enum JSONValue {
  /// What kind of value begins with this octet.
  enum Kind: Equatable {
    case string, object, array, number, flag, null
  }

  /// The kind of a value that was checked.
  static func kind(_ value: Span<UInt8>) -> Kind {
    switch value[0] {
    case UInt8(ascii: "\""): .string
    case UInt8(ascii: "{"): .object
    case UInt8(ascii: "["): .array
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .flag
    case UInt8(ascii: "n"): .null
    default: .number
    }
  }

  /// The characters of a string; `nil` where it is none, or where half of a surrogate pair stands
  /// alone in it.
  static func text(_ value: Span<UInt8>) -> String? {
    guard self.kind(value) == .string else { return nil }
    var octets: [UInt8] = []
    octets.reserveCapacity(value.count)
    var index = 1
    while index < value.count - 1 {
      let octet = value[index]
      index += 1
      if octet != UInt8(ascii: "\\") {
        octets.append(octet)
      } else if !self.appendEscaped(value, &index, &octets) {
        return nil
      }
    }
    return String(validating: octets, as: UTF8.self)
  }

  private static func appendEscaped(
    _ value: Span<UInt8>, _ index: inout Int, _ octets: inout [UInt8]
  ) -> Bool {
    let octet = value[index]
    index += 1
    switch octet {
    case UInt8(ascii: "b"): octets.append(0x08)
    case UInt8(ascii: "f"): octets.append(0x0C)
    case UInt8(ascii: "n"): octets.append(0x0A)
    case UInt8(ascii: "r"): octets.append(0x0D)
    case UInt8(ascii: "t"): octets.append(0x09)
    case UInt8(ascii: "u"):
      guard let scalar = self.scalar(value, &index) else { return false }
      octets.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    default: octets.append(octet)
    }
    return true
  }

  /// RFC 8259 §7: a character beyond the basic plane is a pair of escapes.
  private static func scalar(_ value: Span<UInt8>, _ index: inout Int) -> Unicode.Scalar? {
    let first = self.unit(value, &index)
    guard UTF16.isLeadSurrogate(first) else { return Unicode.Scalar(first) }
    guard index + 6 < value.count, value[index] == UInt8(ascii: "\\"),
      value[index + 1] == UInt8(ascii: "u")
    else { return nil }
    index += 2
    let second = self.unit(value, &index)
    guard UTF16.isTrailSurrogate(second) else { return nil }
    let offset = (UInt32(first) - 0xD800) << 10 | (UInt32(second) - 0xDC00)
    return Unicode.Scalar(0x10000 + offset)
  }

  private static func unit(_ value: Span<UInt8>, _ index: inout Int) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      unit = unit << 4 | UInt16(value[index].hexadecimalDigit ?? 0)
      index += 1
    }
    return unit
  }

  /// A whole number that fits, written without a fraction and without an exponent.
  static func integer(_ value: Span<UInt8>) -> Int? {
    guard self.kind(value) == .number else { return nil }
    let isNegative = value[0] == UInt8(ascii: "-")
    // Counted downwards: there is one negative number more than there are positive ones.
    var number = 0
    for index in (isNegative ? 1 : 0)..<value.count {
      guard (0x30...0x39).contains(value[index]) else { return nil }
      let (product, overflow) = number.multipliedReportingOverflow(by: 10)
      let (rest, overflowToo) = product.subtractingReportingOverflow(Int(value[index] - 0x30))
      guard !overflow, !overflowToo else { return nil }
      number = rest
    }
    if isNegative { return number }
    return number == .min ? nil : -number
  }

  /// A truth value.
  static func flag(_ value: Span<UInt8>) -> Bool? {
    self.kind(value) == .flag ? value[0] == UInt8(ascii: "t") : nil
  }
}
