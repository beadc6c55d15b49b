internal import Net

/// Takes content out of the chunked coding (RFC 9112 §7.1). What a chunk says beside its size ends here.
struct ChunkReader: Sendable {
  private enum State {
    case sizeStart, size, padding, parameters, sizeLineFeed
    case octets, octetsCarriageReturn, octetsLineFeed
    case trailers, complete
  }

  /// Octets of one line with a chunk's size and its parameters, which nobody uses (RFC 9112 §7.1.1
  /// asks for a limit).
  private static let sizeLineByteCountMax = 1024

  private var state = State.sizeStart
  /// Before the chunk: its size as far as it has been read. In it: the octets that are left.
  private var remaining = 0
  private var sizeLineByteCount = 0
  /// What stands behind the last chunk: none, or one that is being read or complete. An array, since most
  /// bodies have no chunks, and this would be the most of them.
  private var trailers: [TrailerReader] = []

  var isComplete: Bool { self.state == .complete }

  /// Moves the content to the beginning of the buffer, and what stands behind the body behind that.
  mutating func read(_ buffer: inout Buffer) throws(HeadError) -> (content: Int, rest: Int) {
    let count = buffer.count
    var content = 0
    var index = 0
    while index < count, self.state != .complete {
      if self.state == .octets {
        let taken = min(self.remaining, count - index)
        buffer.move(index..<index + taken, to: content)
        content += taken
        index += taken
        self.remaining -= taken
        if self.remaining == 0 { self.state = .octetsCarriageReturn }
      } else {
        index = try self.skipFraming(buffer.octets, from: index)
      }
    }
    let rest = count - index
    buffer.move(index..<count, to: content)
    buffer.truncate(to: content + rest)
    if buffer.isEmpty { buffer.clear() }
    return (content, rest)
  }

  /// The trailers that may go on, once.
  mutating func takeTrailers() -> Fields {
    guard self.state == .complete, let trailers = self.trailers.popLast() else { return Fields() }
    return trailers.fields.trailers()
  }

  /// Walks to where content begins again, to the end of the body, or to the end of `octets`.
  private mutating func skipFraming(
    _ octets: Span<UInt8>, from start: Int
  ) throws(HeadError) -> Int {
    var index = start
    while index < octets.count {
      switch self.state {
      case .octets, .complete: return index
      case .trailers:
        return try index + self.readTrailers(octets.extracting(index..<octets.count))
      default:
        try self.step(octets[index])
        index += 1
      }
    }
    return index
  }

  private mutating func readTrailers(_ octets: Span<UInt8>) throws(HeadError) -> Int {
    // Most bodies have none.
    if self.trailers.isEmpty, octets.count >= 2, octets[0] == .carriageReturn,
      octets[1] == .lineFeed
    {
      self.state = .complete
      return 2
    }
    if self.trailers.isEmpty { self.trailers.append(TrailerReader()) }
    let end = try self.trailers[0].read(octets)
    if end != nil { self.state = .complete }
    return end ?? octets.count
  }

  private mutating func step(_ octet: UInt8) throws(HeadError) {
    switch self.state {
    case .octetsCarriageReturn:
      guard octet == .carriageReturn else { throw .malformedChunk }
      self.state = .octetsLineFeed
    case .octetsLineFeed:
      guard octet == .lineFeed else { throw .bareCarriageReturn }
      self.state = .sizeStart
    case .sizeLineFeed:
      guard octet == .lineFeed else { throw .bareCarriageReturn }
      self.state = self.remaining == 0 ? .trailers : .octets
      self.sizeLineByteCount = 0
    default:
      self.sizeLineByteCount += 1
      guard self.sizeLineByteCount <= Self.sizeLineByteCountMax else { throw .malformedChunk }
      try self.stepSizeLine(octet)
    }
  }

  private mutating func stepSizeLine(_ octet: UInt8) throws(HeadError) {
    if octet == .lineFeed { throw .bareLineFeed }
    if let digit = octet.hexadecimalValue, self.state == .sizeStart || self.state == .size {
      // Four bits at a time: the top four must be free, and the sign stays clear.
      guard self.remaining <= Int.max >> 4 else { throw .malformedChunk }
      self.remaining = self.remaining << 4 | digit
      self.state = .size
      return
    }
    switch octet {
    case _ where self.state == .sizeStart: throw .malformedChunk
    case .carriageReturn: self.state = .sizeLineFeed
    case _ where self.state == .parameters:
      guard octet.isValueOctet else { throw .malformedChunk }
    // Some servers fill the number up with spaces.
    case .space, .horizontalTab: self.state = .padding
    case .semicolon: self.state = .parameters
    default: throw .malformedChunk
    }
  }
}

/// Gathers the fields that stand behind the last chunk (RFC 9112 §7.1.2).
private struct TrailerReader: Sendable {
  private static let byteCountMax = 16 * 1024

  private var scanner = HeadScanner(.trailers, headByteCountMax: Self.byteCountMax)
  /// What `scanner` has looked at.
  private var octets: [UInt8] = []

  /// Takes the next octets; how many of them belong to the trailers, once those are complete.
  mutating func read(_ octets: Span<UInt8>) throws(HeadError) -> Int? {
    let end = try self.scanner.scan(octets)
    self.octets.append(first: end ?? octets.count, of: octets)
    return end
  }

  /// The fields, of complete trailers.
  var fields: Fields { Fields(storage: self.octets, scanned: self.scanner.entries) }
}
