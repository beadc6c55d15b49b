/// Walks over the octets of a body that is passed on as it is, and says where it ends
/// (RFC 9112 §6.3).
///
///     fixed ───────────────────────────────────────────────▶ complete
///     chunked: size ─▶ octets ─▶ size ─▶ … ─ 0 ─▶ trailers ─▶ complete
///     until close: ends when the connection does
public struct BodyCursor: Sendable {
  private enum Stage {
    case complete
    case fixed(remaining: Int)
    case chunked(ChunkCursor)
    case untilClose
  }

  private var stage: Stage

  /// The body that follows `response`, the answer to a request with the method `toMethod`.
  ///
  /// - Throws: ``HeadError`` where the head contradicts itself.
  public init(response: ResponseHead, toMethod method: String) throws(HeadError) {
    try response.fields.checkResponseFraming(version: response.version)
    let hasNone =
      method == "HEAD" || response.status < 200 || response.status == 204
      || response.status == 304 || (method == "CONNECT" && response.status < 300)
    guard !hasNone else {
      self.stage = .complete
      return
    }
    if let isChunked = try response.fields.responseIsChunked(version: response.version) {
      self.stage = isChunked ? .chunked(ChunkCursor()) : .untilClose
    } else if let length = try response.fields.contentLength() {
      self.stage = length == 0 ? .complete : .fixed(remaining: length)
    } else {
      self.stage = .untilClose
    }
  }

  /// The body that follows `request`, which is none where nothing announces one.
  ///
  /// - Throws: ``HeadError`` where the head contradicts itself.
  public init(request: RequestHead) throws(HeadError) {
    try request.fields.checkRequestFraming(version: request.version)
    let length = try request.fields.contentLength() ?? 0
    if request.fields.contains("transfer-encoding") {
      self.stage = .chunked(ChunkCursor())
    } else {
      self.stage = length == 0 ? .complete : .fixed(remaining: length)
    }
  }

  /// Whether the body has been walked over to its end.
  public var isComplete: Bool {
    if case .complete = self.stage { true } else { false }
  }

  /// Whether the body ends when the connection does. It is never complete then.
  public var endsAtClose: Bool {
    if case .untilClose = self.stage { true } else { false }
  }

  /// Walks on over the next octets of the connection.
  ///
  /// - Returns: how many of them belong to the body, framing and trailers included.
  /// - Throws: ``HeadError/malformedChunk`` or what else is wrong with the chunks or the trailers.
  public mutating func advance(_ octets: Span<UInt8>) throws(HeadError) -> Int {
    switch self.stage {
    case .complete: return 0
    case .untilClose: return octets.count
    case .fixed(let remaining):
      let taken = min(remaining, octets.count)
      self.stage = taken == remaining ? .complete : .fixed(remaining: remaining - taken)
      return taken
    case .chunked(var chunks):
      let taken = try chunks.advance(octets)
      self.stage = chunks.isComplete ? .complete : .chunked(chunks)
      return taken
    }
  }
}

/// The chunked coding (RFC 9112 §7.1), read as strictly as a head.
private struct ChunkCursor: Sendable {
  private enum State {
    case sizeStart, size, padding, parameters, sizeLineFeed
    case octets, octetsCarriageReturn, octetsLineFeed
    case trailers, complete
  }

  /// Octets of one line with a chunk's size and its parameters, which nobody uses (RFC 9112 §7.1.1
  /// asks for a limit).
  private static let sizeLineByteCountMax = 1024
  private static let trailersByteCountMax = 16 * 1024

  private var state = State.sizeStart
  /// Before the chunk: its size as far as it has been read. In it: the octets that are left.
  private var remaining = 0
  private var sizeLineByteCount = 0
  private var trailers = HeadScanner(.trailers, headByteCountMax: Self.trailersByteCountMax)

  var isComplete: Bool { self.state == .complete }

  mutating func advance(_ octets: Span<UInt8>) throws(HeadError) -> Int {
    var index = 0
    while index < octets.count, self.state != .complete {
      switch self.state {
      case .octets:
        let taken = min(self.remaining, octets.count - index)
        self.remaining -= taken
        index += taken
        if self.remaining == 0 { self.state = .octetsCarriageReturn }
      case .trailers:
        let rest = octets.extracting(index..<octets.count)
        guard let taken = try self.trailers.scan(rest) else { return octets.count }
        self.state = .complete
        index += taken
      default:
        try self.step(octets[index])
        index += 1
      }
    }
    return index
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
    case 0x3B: self.state = .parameters
    default: throw .malformedChunk
    }
  }
}
