/// Which trace a request belongs to (W3C Trace Context): the same number in every system that it comes
/// through.
public struct TraceContext: Sendable, Equatable {
  /// Sixteen octets, not all zero.
  let high: UInt64
  let low: UInt64
  /// What the parent said of it: bit 0 stands for "recorded".
  let flags: UInt8

  /// A new trace, which begins here.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    // All zero is no trace (§3.2.2.3).
    self.low = high == 0 && low == 0 ? 1 : low
    self.flags = 1
  }

  /// Reads a `traceparent` field (§3.2.2): version, trace, parent and flags. `nil` for one that is
  /// malformed, whose trace or parent is zero, or of the version that is none.
  public init?(traceparent: String) {
    let octets = Array(traceparent.utf8)
    guard octets.count >= 55, [2, 35, 52].allSatisfy({ octets[$0] == UInt8(ascii: "-") }),
      let version = Self.number(octets[0..<2]), version != 0xFF,
      // A later version may have more behind a dash; this one has nothing (§3.2.4).
      octets.count == 55 || (version > 0 && octets[55] == UInt8(ascii: "-")),
      let high = Self.number(octets[3..<19]), let low = Self.number(octets[19..<35]),
      let parent = Self.number(octets[36..<52]), let flags = Self.number(octets[53..<55]),
      high | low != 0, parent != 0
    else { return nil }
    self.high = high
    self.low = low
    // The only flag that this version knows (§3.2.2.5).
    self.flags = UInt8(truncatingIfNeeded: flags) & 1
  }

  /// Lower-case hexadecimal digits, up to sixteen; `nil` where one is none.
  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    var number: UInt64 = 0
    for digit in digits {
      switch digit {
      case 0x30...0x39: number = number << 4 | UInt64(digit - 0x30)
      case 0x61...0x66: number = number << 4 | UInt64(digit - 0x57)
      default: return nil
      }
    }
    return number
  }

  /// The trace's number, for records.
  public var id: String { self.high.hexadecimalDigits + self.low.hexadecimalDigits }

  /// The field for the next system.
  ///
  /// - Parameter span: names this system's part of the trace; 0 is read as 1.
  public func traceparent(span: UInt64) -> String {
    "00-\(self.id)-\(max(1, span).hexadecimalDigits)-0\(self.flags)"
  }
}

extension UInt64 {
  /// All sixteen hexadecimal digits, in small letters.
  public var hexadecimalDigits: String {
    // SAFETY: all sixteen octets are written.
    unsafe String(unsafeUninitializedCapacity: 16) { digits in
      for place in 0..<16 {
        let digit = UInt8(truncatingIfNeeded: self >> UInt64(60 - 4 * place)) & 0xF
        unsafe digits[place] = digit < 10 ? 0x30 + digit : 0x57 + digit
      }
      return 16
    }
  }
}
