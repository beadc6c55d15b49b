extension RequestHead {
  /// The head as it goes over the wire, empty line included, written as HTTP/1.1 or HTTP/1.0.
  ///
  /// The target comes from a checked head, or from a route's rewrite: an octet that could end it or
  /// begin a line is written as `%XX`.
  public func serialized() -> [UInt8] {
    let (method, target) = (self.method.utf8.span, self.target.utf8.span)
    // An octet of the target may become three.
    let byteCountMax = method.count + 3 * target.count + self.fields.serializedByteCount + 16
    let (version, fields) = (self.version, self.fields)
    var head: [UInt8] = []
    head.append(addingCapacity: byteCountMax) { octets in
      for index in method.indices where method[index].isTokenOctet { octets.append(method[index]) }
      octets.append(.space)
      octets.append(target: target)
      octets.append(.space)
      octets.append(version.spelling.octets)
      octets.appendLineEnd()
      fields.write(into: &octets)
      octets.appendLineEnd()
    }
    return head
  }
}

extension ResponseHead {
  /// The head as it goes over the wire, empty line included.
  public func serialized() -> [UInt8] {
    let (status, reason) = (String(self.status), self.reason.utf8.span)
    let byteCountMax =
      status.utf8.count + reason.count + self.fields.serializedByteCount + 16
    var head: [UInt8] = []
    head.append(addingCapacity: byteCountMax) { octets in
      octets.append(self.version.spelling.octets)
      octets.append(.space)
      octets.append(status.utf8.span)
      octets.append(.space)
      for index in reason.indices {
        octets.append(reason[index].isValueOctet ? reason[index] : .space)
      }
      octets.appendLineEnd()
      self.fields.write(into: &octets)
      octets.appendLineEnd()
    }
    return head
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
  /// How many octets ``write(into:)`` writes.
  var serializedByteCount: Int {
    var byteCount = 0
    for index in self.entries.indices {
      byteCount += self.entries[index].name.count + self.entries[index].value.count + 4
    }
    return byteCount
  }

  /// Appends the field lines, each with its end, without the empty line.
  func write(into octets: inout OutputSpan<UInt8>) {
    let storage = self.storage.span
    // Lines that lie behind one another.
    var lines = 0..<0
    for index in self.entries.indices {
      let line = self.entries[index].line(in: storage)
      if let line, line.lowerBound == lines.upperBound {
        lines = lines.lowerBound..<line.upperBound
        continue
      }
      octets.append(storage.extracting(lines))
      lines = line ?? 0..<0
      if line == nil { self.entries[index].write(from: storage, into: &octets) }
    }
    octets.append(storage.extracting(lines))
  }
}

extension Fields.Entry {
  /// The place of the whole line, where it lies there as it is written.
  fileprivate func line(in storage: Span<UInt8>) -> Range<Int>? {
    let (colon, end) = (self.name.upperBound, self.value.upperBound)
    guard self.value.lowerBound == colon + 2, end + 2 <= storage.count,
      storage[colon] == .colon, storage[colon + 1] == .space,
      storage[end] == .carriageReturn, storage[end + 1] == .lineFeed
    else { return nil }
    return self.name.lowerBound..<end + 2
  }

  fileprivate func write(from storage: Span<UInt8>, into octets: inout OutputSpan<UInt8>) {
    octets.append(storage.extracting(self.name))
    octets.append(.colon)
    octets.append(.space)
    octets.append(storage.extracting(self.value))
    octets.appendLineEnd()
  }
}

extension Array<UInt8> {
  mutating func appendLineEnd() { self.append(literal: "\r\n") }
}

extension OutputSpan<UInt8> {
  mutating func appendLineEnd() {
    self.append(.carriageReturn)
    self.append(.lineFeed)
  }

  fileprivate mutating func append(target: Span<UInt8>) {
    let plain = target.targetByteCount
    self.append(target.extracting(0..<plain))
    for index in plain..<target.count {
      let octet = target[index]
      if octet.isTargetOctet {
        self.append(octet)
      } else {
        let digits = ("0123456789ABCDEF" as StaticString).octets
        self.append(.percent)
        self.append(digits[Int(octet >> 4)])
        self.append(digits[Int(octet & 0xF)])
      }
    }
  }
}
