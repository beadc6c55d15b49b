/// Steps over JSON text (RFC 8259) and checks it on the way, without making anything of it: what is
/// relayed goes on as it came, and must be JSON for whoever gets it.
///
/// The octets are UTF-8 already: who has them has looked.
struct JSONScanner: Sendable {
  /// How deep arrays and objects may stand in each other.
  static let depthMax = 64

  /// Where it stands.
  private(set) var index = 0

  /// Why a text is no JSON.
  enum Fault: Error, Equatable {
    /// Something stands at this octet that cannot stand there.
    case unexpected(at: Int)
    /// Values stand in each other deeper than ``JSONScanner/depthMax``.
    case tooDeep
  }

  /// The octet that is next, behind white space; `nil` at the end.
  mutating func peek(_ text: Span<UInt8>) -> UInt8? {
    while self.index < text.count {
      switch text[self.index] {
      case 0x20, 0x09, 0x0A, 0x0D: self.index += 1
      case let octet: return octet
      }
    }
    return nil
  }

  /// Takes the octet if it is the next one.
  mutating func take(_ octet: UInt8, _ text: Span<UInt8>) -> Bool {
    guard self.peek(text) == octet else { return false }
    self.index += 1
    return true
  }

  /// Takes one value; where it stands.
  mutating func value(_ text: Span<UInt8>, depth: Int = 0) throws(Fault) -> Range<Int> {
    guard depth < Self.depthMax else { throw .tooDeep }
    guard let first = self.peek(text) else { throw .unexpected(at: self.index) }
    let start = self.index
    switch first {
    case UInt8(ascii: "\""): try self.string(text)
    case UInt8(ascii: "{"): try self.object(text, depth)
    case UInt8(ascii: "["): try self.array(text, depth)
    case UInt8(ascii: "t"): try self.word("true", text)
    case UInt8(ascii: "f"): try self.word("false", text)
    case UInt8(ascii: "n"): try self.word("null", text)
    default: try self.number(text)
    }
    return start..<self.index
  }

  /// Takes a string, its quotation marks included.
  mutating func string(_ text: Span<UInt8>) throws(Fault) {
    guard self.take(UInt8(ascii: "\""), text) else { throw .unexpected(at: self.index) }
    while self.index < text.count {
      let octet = text[self.index]
      self.index += 1
      if octet == UInt8(ascii: "\"") { return }
      // RFC 8259 §7: control characters stand escaped.
      guard octet >= 0x20 else { throw .unexpected(at: self.index - 1) }
      if octet == UInt8(ascii: "\\") { try self.escape(text) }
    }
    throw .unexpected(at: self.index)
  }

  private mutating func escape(_ text: Span<UInt8>) throws(Fault) {
    guard self.index < text.count else { throw .unexpected(at: self.index) }
    let octet = text[self.index]
    self.index += 1
    if octet == UInt8(ascii: "u") {
      for _ in 0..<4 {
        guard self.index < text.count, text[self.index].hexadecimalDigit != nil else {
          throw .unexpected(at: self.index)
        }
        self.index += 1
      }
    } else if !"\"\\/bfnrt".utf8.contains(octet) {
      throw .unexpected(at: self.index - 1)
    }
  }

  private mutating func object(_ text: Span<UInt8>, _ depth: Int) throws(Fault) {
    self.index += 1
    guard !self.take(UInt8(ascii: "}"), text) else { return }
    repeat {
      try self.string(text)
      guard self.take(UInt8(ascii: ":"), text) else { throw .unexpected(at: self.index) }
      _ = try self.value(text, depth: depth + 1)
    } while self.take(UInt8(ascii: ","), text)
    guard self.take(UInt8(ascii: "}"), text) else { throw .unexpected(at: self.index) }
  }

  private mutating func array(_ text: Span<UInt8>, _ depth: Int) throws(Fault) {
    self.index += 1
    guard !self.take(UInt8(ascii: "]"), text) else { return }
    repeat {
      _ = try self.value(text, depth: depth + 1)
    } while self.take(UInt8(ascii: ","), text)
    guard self.take(UInt8(ascii: "]"), text) else { throw .unexpected(at: self.index) }
  }

  private mutating func word(_ word: StaticString, _ text: Span<UInt8>) throws(Fault) {
    for place in 0..<word.utf8CodeUnitCount {
      guard self.index < text.count, unsafe text[self.index] == word.utf8Start[place] else {
        throw .unexpected(at: self.index)
      }
      self.index += 1
    }
  }

  /// RFC 8259 §6: no plus sign, no zero in front, a digit on each side of the point.
  private mutating func number(_ text: Span<UInt8>) throws(Fault) {
    if self.isNext("-", text) { self.index += 1 }
    if self.isNext("0", text) { self.index += 1 } else { try self.digits(text) }
    if self.isNext(".", text) {
      self.index += 1
      try self.digits(text)
    }
    guard self.isNext("e", text) || self.isNext("E", text) else { return }
    self.index += 1
    if self.isNext("+", text) || self.isNext("-", text) { self.index += 1 }
    try self.digits(text)
  }

  private mutating func digits(_ text: Span<UInt8>) throws(Fault) {
    let start = self.index
    while self.index < text.count, (0x30...0x39).contains(text[self.index]) { self.index += 1 }
    guard self.index > start else { throw .unexpected(at: self.index) }
  }

  private func isNext(_ scalar: Unicode.Scalar, _ text: Span<UInt8>) -> Bool {
    self.index < text.count && text[self.index] == UInt8(ascii: scalar)
  }
}

extension UInt8 {
  /// What it stands for as a hexadecimal digit.
  var hexadecimalDigit: UInt8? {
    switch self {
    case 0x30...0x39: self - 0x30
    case 0x41...0x46: self - 0x41 + 10
    case 0x61...0x66: self - 0x61 + 10
    default: nil
    }
  }
}
