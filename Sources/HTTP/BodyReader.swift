public import Net

/// Takes a body out of its framing where it lies, as strictly as a head is read (RFC 9112 §6.3, §7.1).
///
///     fixed ───────────────────────────────────────────────▶ complete
///     chunked: size ─▶ octets ─▶ size ─▶ … ─ 0 ─▶ trailers ─▶ complete
///     until close: ends when the connection does
///
/// A value without descriptor or clock. That the connection ended inside the body is its owner's to
/// notice: ``isComplete`` does not hold then, and ``endsAtClose`` does not either.
public struct BodyReader: Sendable {
  /// As the head announced it.
  public let framing: BodyFraming
  /// Octets of content so far.
  public private(set) var contentByteCount: UInt64 = 0

  /// What is left of a fixed body.
  private var remaining = 0
  private var chunks = ChunkReader()
  private var failure: HeadError?

  private init(_ framing: BodyFraming) {
    self.framing = framing
    if case .length(let length) = framing { self.remaining = length }
  }

  /// The body that follows `request`, which is none where nothing announces one. HTTP/2 frames bodies
  /// by itself, so that none follows its heads here.
  ///
  /// - Throws: ``HeadError`` where the head contradicts itself.
  public init(request: borrowing RequestHead) throws(HeadError) {
    self.init(try BodyFraming(request))
  }

  /// The body that follows `response`, the answer to a request with the method `method`.
  ///
  /// - Throws: ``HeadError`` where the head contradicts itself, and for a transfer coding other than
  ///   chunked, which would be lost with the chunks.
  public init(response: borrowing ResponseHead, toMethod method: String) throws(HeadError) {
    self.init(try BodyFraming(response, toMethod: method))
  }

  /// Whether the body has been read to its end.
  public var isComplete: Bool {
    switch self.framing {
    case .none: true
    case .length: self.remaining == 0
    case .chunked: self.chunks.isComplete
    case .untilClose: false
    }
  }

  /// Whether the body ends when the connection does. It is never complete then.
  public var endsAtClose: Bool { self.framing == .untilClose }

  /// Takes the framing out of what stands in the buffer: behind the call its first `content` octets are
  /// content, and the next `rest` octets stand behind the end of the body (0 until it is complete).
  /// There are no others. The caller consumes what it has used before it calls again.
  ///
  /// - Throws: ``HeadError/malformedChunk`` or what else is wrong with chunks and trailers. What is in
  ///   the buffer is worth nothing then, and the next call throws the same.
  public mutating func read(_ buffer: inout Buffer) throws(HeadError) -> (content: Int, rest: Int) {
    if let failure = self.failure { throw failure }
    do throws(HeadError) {
      let found = try self.find(in: &buffer)
      self.contentByteCount &+= UInt64(found.content)
      return found
    } catch {
      self.failure = error
      throw error
    }
  }

  private mutating func find(
    in buffer: inout Buffer
  ) throws(HeadError) -> (content: Int, rest: Int) {
    switch self.framing {
    case .none: return (0, buffer.count)
    case .untilClose: return (buffer.count, 0)
    case .chunked: return try self.chunks.read(&buffer)
    case .length:
      let taken = min(self.remaining, buffer.count)
      self.remaining -= taken
      return (taken, buffer.count - taken)
    }
  }

  /// The trailers of a complete chunked body, without those that a trailer must not be
  /// (RFC 9110 §6.5.1): fields of the connection, of framing, routing and authentication. Empty the
  /// second time.
  public mutating func takeTrailers() -> Fields { self.chunks.takeTrailers() }
}
