extension RequestHead {
  /// The head as it goes over the wire, empty line included, written as HTTP/1.1 or HTTP/1.0.
  public func serialized() -> [UInt8] {
    var octets: [UInt8] = []
    octets.reserveCapacity(self.target.utf8.count + self.fields.serializedByteCount + 64)
    self.write(into: &octets)
    return octets
  }

  /// Appends the head as it goes over the wire, empty line included.
  ///
  /// The target comes from a checked head, or from a route's rewrite: an octet that could end it or
  /// begin a line is written as `%XX`.
  public func write(into octets: inout [UInt8]) {
    for octet in self.method.utf8 where octet.isTokenOctet { octets.append(octet) }
    octets.append(.space)
    octets.append(target: self.target)
    octets.append(.space)
    octets.append(literal: self.version.spelling)
    octets.appendLineEnd()
    self.fields.write(into: &octets)
    octets.appendLineEnd()
  }
}

extension ResponseHead {
  /// The head as it goes over the wire, empty line included.
  public func serialized() -> [UInt8] {
    var octets: [UInt8] = []
    octets.reserveCapacity(self.reason.utf8.count + self.fields.serializedByteCount + 32)
    self.write(into: &octets)
    return octets
  }

  /// Appends the head as it goes over the wire, empty line included.
  public func write(into octets: inout [UInt8]) {
    octets.append(literal: self.version.spelling)
    octets.append(.space)
    octets.append(String(self.status))
    octets.append(.space)
    for octet in self.reason.utf8 { octets.append(octet.isValueOctet ? octet : .space) }
    octets.appendLineEnd()
    self.fields.write(into: &octets)
    octets.appendLineEnd()
  }
}

extension HTTPVersion {
  fileprivate var spelling: StaticString {
    switch self {
    case .http10: "HTTP/1.0"
    case .http11, .http2: "HTTP/1.1"
    }
  }
}

extension Fields {
  fileprivate var serializedByteCount: Int {
    var byteCount = 0
    for index in self.entries.indices {
      byteCount += self.entries[index].name.count + self.entries[index].value.count + 4
    }
    return byteCount
  }

  /// Appends the field lines, each with its end, without the empty line.
  func write(into octets: inout [UInt8]) {
    let storage = self.storage.span
    for index in self.entries.indices {
      octets.append(storage.extracting(self.entries[index].name))
      octets.append(.colon)
      octets.append(.space)
      octets.append(storage.extracting(self.entries[index].value))
      octets.appendLineEnd()
    }
  }
}

extension Array<UInt8> {
  mutating func appendLineEnd() {
    self.append(.carriageReturn)
    self.append(.lineFeed)
  }

  fileprivate mutating func append(target: String) {
    let target = target.utf8.span
    let plain = target.targetByteCount
    self.append(first: plain, of: target)
    for index in plain..<target.count {
      let octet = target[index]
      if octet.isTargetOctet {
        self.append(octet)
      } else {
        self.append(.percent)
        self.append(Self.hexadecimalDigits[Int(octet >> 4)])
        self.append(Self.hexadecimalDigits[Int(octet & 0xF)])
      }
    }
  }

  private static var hexadecimalDigits: [UInt8] { Array("0123456789ABCDEF".utf8) }
}
