internal import CZlib

/// Inflates the messages of one peer, each a raw deflate stream without its last four octets
/// (RFC 7692 §7.2.2). Without context takeover it holds no memory between messages, and never any
/// before the first.
struct Inflater: ~Copyable {
  private let windowBits: CInt
  private let keepsContext: Bool
  private var stream: ZStream?
  /// Whether a block with BFINAL was the last so far (§7.2.3.4).
  private var hasEnded = false
  /// How much of ``tail`` the present message got.
  private var tailIndex = 0

  /// What the sender took off each message.
  private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

  /// - Parameters:
  ///   - windowBits: 9...15, at least what the peer uses.
  ///   - keepsContext: whether messages refer to those before.
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

  /// Inflates octets of a message, no more of them than `room` has place for.
  mutating func inflate(
    _ octets: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) throws(CompressionFault) -> ZStream.Step {
    var total = ZStream.Step()
    repeat {
      // SAFETY: zlib took and wrote no more than it was given.
      let rest = unsafe UnsafeRawBufferPointer(rebasing: octets[total.taken...])
      let free = unsafe UnsafeMutableRawBufferPointer(rebasing: room[total.written...])
      let step = try unsafe self.step(rest, into: free)
      total.taken += step.taken
      total.written += step.written
      // Behind a block with BFINAL a new stream begins, at a whole octet and with the same window.
    } while self.hasEnded && total.taken < octets.count
    return total
  }

  private mutating func step(
    _ octets: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) throws(CompressionFault) -> ZStream.Step {
    // Called for nothing, zlib would forget that it stands between blocks.
    if unsafe octets.isEmpty && self.isBetweenBlocks { return ZStream.Step() }
    try self.open()
    let isRestart = self.hasEnded
    self.hasEnded = false
    // SAFETY: the stream was initialised for inflating and is not shared.
    let step = unsafe self.stream?.step(octets, into: room) { stream in
      if isRestart { unsafe inflateResetKeep(stream) }
      return unsafe CZlib.inflate(stream, Z_NO_FLUSH)
    }
    guard let step else { throw .outOfMemory }
    switch step.status {
    case Z_OK, Z_BUF_ERROR: break
    case Z_STREAM_END: self.hasEnded = true
    case Z_MEM_ERROR: throw .outOfMemory
    default: throw .corrupt
    }
    return step
  }

  /// Inflates what is left of a message whose octets have all been taken.
  ///
  /// - Returns: the octets written, and whether that was the end; `false` only if `room` is full.
  mutating func finish(
    into room: UnsafeMutableRawBufferPointer
  ) throws(CompressionFault) -> (written: Int, isDone: Bool) {
    // An empty message, or one that ended with BFINAL and nothing behind, lacks nothing.
    if self.tailIndex == 0 && self.isBetweenBlocks { return (0, self.reset()) }
    let index = self.tailIndex
    // SAFETY: the index grows by what was taken, so it is within the tail.
    let step = try unsafe Self.tail.span.withUnsafeBytes { octets throws(CompressionFault) in
      unsafe try self.inflate(UnsafeRawBufferPointer(rebasing: octets[index...]), into: room)
    }
    self.tailIndex += step.taken
    if self.tailIndex == Self.tail.count && self.isBetweenBlocks {
      return (step.written, self.reset())
    }
    guard step.written == room.count else { throw .corrupt }
    return (step.written, false)
  }

  private var isBetweenBlocks: Bool {
    switch self.stream {
    case .some(let stream): self.hasEnded || stream.isBetweenBlocks
    case nil: true
    }
  }

  /// Makes ready for the next message.
  private mutating func reset() -> Bool {
    self.tailIndex = 0
    if !self.keepsContext {
      self.stream = nil
      self.hasEnded = false
    }
    return true
  }

  private mutating func open() throws(CompressionFault) {
    guard self.stream == nil else { return }
    let windowBits = self.windowBits
    // SAFETY: negative bits stand for raw deflate; `ZStream` ends what was initialised here.
    self.stream = try unsafe ZStream(
      start: { unsafe sluice_inflateInit2($0, -windowBits) }, end: inflateEnd)
  }
}
