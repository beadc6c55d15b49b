internal import CZlib

/// Compresses the messages for one peer, each a raw deflate stream (RFC 7692 §7.2.1). Without
/// context takeover it holds no memory between messages, and never any before the first.
struct Deflater: ~Copyable {
  private let windowBits: CInt
  private let keepsContext: Bool
  private var stream: ZStream?

  /// - Parameters:
  ///   - windowBits: 9...15, at most what the peer takes.
  ///   - keepsContext: whether messages may refer to those before.
  init(windowBits: Int, keepsContext: Bool) {
    self.windowBits = CInt(windowBits)
    self.keepsContext = keepsContext
  }

  /// Octets of memory held at present.
  var heldByteCount: Int {
    switch self.stream {
    case .some(let stream): stream.heldByteCount
    case nil: 0
    }
  }

  /// Compresses octets of a message. Much of what comes of them is written later.
  mutating func deflate(
    _ octets: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) throws(CompressionFault) -> ZStream.Step {
    try unsafe self.step(octets, into: room, flush: Z_NO_FLUSH)
  }

  /// Writes what is left of a message, 00 00 FF FF at its end.
  ///
  /// Where `room` gets full it is to be called again. It may then say the end, an empty block, once
  /// more, which changes nothing.
  ///
  /// - Returns: the octets written.
  mutating func flush(
    into room: UnsafeMutableRawBufferPointer
  ) throws(CompressionFault) -> Int {
    let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    return try unsafe self.step(nothing, into: room, flush: Z_SYNC_FLUSH).written
  }

  /// Makes ready for the next message.
  mutating func reset() {
    if !self.keepsContext { self.stream = nil }
  }

  private mutating func step(
    _ octets: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer, flush: CInt
  ) throws(CompressionFault) -> ZStream.Step {
    try self.open()
    // SAFETY: the stream was initialised for deflating and is not shared.
    let step = unsafe self.stream?.step(octets, into: room) { stream in
      unsafe CZlib.deflate(stream, flush)
    }
    // There is no other status: the stream is sound, and no progress (Z_BUF_ERROR) is no harm.
    guard let step else { throw .outOfMemory }
    return step
  }

  private mutating func open() throws(CompressionFault) {
    guard self.stream == nil else { return }
    let windowBits = self.windowBits
    // SAFETY: negative bits stand for raw deflate; `ZStream` ends what was initialised here.
    self.stream = try unsafe ZStream(
      start: {
        unsafe sluice_deflateInit2(
          $0, CInt(OffloadLimits.level), -windowBits, CInt(OffloadLimits.memoryLevel),
          Z_DEFAULT_STRATEGY)
      }, end: deflateEnd)
  }
}
