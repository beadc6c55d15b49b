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
    octets.append(contentsOf: self.method.utf8.lazy.filter(\.isTokenOctet))
    octets.append(.space)
    octets.append(target: self.target)
    octets.append(.space)
    octets.append(contentsOf: self.version.octets)
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
    octets.append(contentsOf: self.version.octets)
    octets.append(.space)
    octets.append(contentsOf: String(self.status).utf8)
    octets.append(.space)
    for octet in self.reason.utf8 { octets.append(octet.isValueOctet ? octet : .space) }
    octets.appendLineEnd()
    self.fields.write(into: &octets)
    octets.appendLineEnd()
  }
}

extension HTTPVersion {
  fileprivate var octets: String.UTF8View {
    switch self {
    case .http10: "HTTP/1.0".utf8
    case .http11, .http2: "HTTP/1.1".utf8
    }
  }
}

extension Fields {
  fileprivate var serializedByteCount: Int {
    self.entries.reduce(0) { $0 + $1.name.count + $1.value.count + 4 }
  }

  /// Appends the field lines, each with its end, without the empty line.
  func write(into octets: inout [UInt8]) {
    for entry in self.entries {
      octets.append(contentsOf: self.storage[entry.name])
      octets.append(.colon)
      octets.append(.space)
      octets.append(contentsOf: self.storage[entry.value])
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
    for octet in target.utf8 {
      if octet.isTargetOctet {
        self.append(octet)
      } else {
        self.append(0x25)
        self.append(Self.hexadecimalDigits[Int(octet >> 4)])
        self.append(Self.hexadecimalDigits[Int(octet & 0xF)])
      }
    }
  }

  private static var hexadecimalDigits: [UInt8] { Array("0123456789ABCDEF".utf8) }
}
