public import Net

/// Frames content for the next hop, as the head that went before announced it (RFC 9112 §6, §7.1).
public struct BodyWriter: Sendable {
  /// The octets that ``write(_:into:)`` adds at most: the digits of a length, and two line ends.
  public static let chunkOverheadByteCountMax = 16 + 2 + 2

  private let framing: BodyFraming
  /// What of the announced length is still to come.
  private var remaining = 0
  /// Whether there was more content than was announced.
  private var isExceeded = false

  /// A writer for a body that is announced with `framing`.
  public init(_ framing: BodyFraming) {
    self.framing = framing
    if case .length(let length) = framing { self.remaining = length }
  }

  /// Appends content, framed, behind what stands in `buffer`, which has room for it and
  /// ``chunkOverheadByteCountMax`` more. Content beyond the announced length is not written, since the
  /// next hop would take it for another message, and ``finish(_:)`` then says that the body is broken.
  public mutating func write(_ content: Span<UInt8>, into buffer: inout Buffer) {
    // A chunk of no octets is the last one.
    guard !content.isEmpty else { return }
    if self.framing == .chunked {
      buffer.appendChunkSize(content.count)
      buffer.append(content)
      buffer.appendLineEnd()
    } else if self.passed(content.count) {
      buffer.append(content)
    }
  }

  /// Whether content goes out as it is, so that it need not be written anew: with a length that was
  /// announced, and until the connection ends.
  public var passesContentAsItIs: Bool {
    switch self.framing {
    case .length, .untilClose: true
    case .none, .chunked: false
    }
  }

  /// Says that so many octets of content are going out as they are. `false`, and nothing of them may,
  /// where that is more than was announced.
  public mutating func passed(_ count: Int) -> Bool {
    if self.framing == .untilClose { return true }
    guard count <= self.remaining else {
      self.isExceeded = true
      return false
    }
    self.remaining -= count
    return true
  }

  /// What ends the body: the last chunk with `trailers`, and nothing for other framings, which have no
  /// place for trailers. `nil` where there was less content than was announced, or more: the next hop
  /// must not take the message for a whole one.
  public mutating func finish(_ trailers: Fields = Fields()) -> [UInt8]? {
    guard self.framing == .chunked else {
      return self.remaining == 0 && !self.isExceeded ? [] : nil
    }
    var octets: [UInt8] = []
    octets.append(addingCapacity: trailers.serializedByteCount + 5) { octets in
      octets.append(0x30)
      octets.appendLineEnd()
      trailers.write(into: &octets)
      octets.appendLineEnd()
    }
    return octets
  }
}

extension Buffer {
  /// RFC 9112 §7.1: hexadecimal digits and a line end.
  fileprivate mutating func appendChunkSize(_ count: Int) {
    var line = InlineArray<18, UInt8>(repeating: .carriageReturn)
    line[17] = .lineFeed
    var start = 16
    var rest = count
    repeat {
      start -= 1
      let digit = UInt8(truncatingIfNeeded: rest & 0xF)
      line[start] = digit < 10 ? 0x30 + digit : 0x37 + digit
      rest >>= 4
    } while rest > 0
    self.append(line.span.extracting(start..<18))
  }

  fileprivate mutating func appendLineEnd() {
    let end: InlineArray<2, UInt8> = [.carriageReturn, .lineFeed]
    self.append(end.span)
  }
}
