internal import Net
internal import WebSocket

/// A frame in the making behind the end of a buffer. Its payload is written first, leaving a gap
/// for the header, which says how long the payload is. Until it is closed, the buffer does not know
/// of it.
///
///     ═════ end ── gap ──▶▓▓▓▓ payload ▓▓▓▓── room ──▶ capacity
struct OpenFrame {
  private let gapByteCount: Int
  /// Octets of payload written.
  private(set) var payloadByteCount = 0

  /// An empty frame behind the end of `output`, which has ``OffloadLimits/roomByteCountMin`` free.
  init(behind output: borrowing Buffer, from sender: FrameHeader.Sender) {
    var largest = FrameHeader(
      opcode: .binary, payloadByteCount: 126, maskKey: sender == .client ? 0 : nil)
    largest.payloadByteCount = UInt64(output.freeCount - largest.headerByteCount)
    self.gapByteCount = largest.headerByteCount
  }

  /// Where the next octets of the payload go; ``wrote(_:)`` must follow.
  func room(in output: borrowing Buffer) -> UnsafeMutableRawBufferPointer {
    // SAFETY: gap and payload lie within the free space; `wrote` sees to it.
    unsafe UnsafeMutableRawBufferPointer(
      rebasing: output.unsafeFreeSpace[(self.gapByteCount + self.payloadByteCount)...])
  }

  /// Octets of payload that still fit in.
  func roomByteCount(in output: borrowing Buffer) -> Int {
    output.freeCount - self.gapByteCount - self.payloadByteCount
  }

  /// Says that `count` octets were written at the beginning of the room.
  mutating func wrote(_ count: Int) { self.payloadByteCount += count }

  /// Takes back the last `count` octets.
  mutating func unwrite(_ count: Int) { self.payloadByteCount -= count }

  /// Writes the header, its length in the shortest form, masks the payload if the header has a key,
  /// and hands the frame to the buffer.
  consuming func close(_ header: FrameHeader, in output: inout Buffer) {
    var header = header
    header.payloadByteCount = UInt64(self.payloadByteCount)
    var headerOctets: [UInt8] = []
    headerOctets.reserveCapacity(FrameHeader.byteCountMax)
    header.write(into: &headerOctets)
    // SAFETY: the header is no longer than the gap, and the payload moves down within what the
    // frame has of the free space. The span ends before the buffer is touched otherwise.
    let space = unsafe output.unsafeFreeSpace
    unsafe space.copyBytes(from: headerOctets)
    let source = unsafe UnsafeRawBufferPointer(
      rebasing: space[self.gapByteCount..<self.gapByteCount + self.payloadByteCount])
    let payload = unsafe UnsafeMutableRawBufferPointer(
      rebasing: space[headerOctets.count..<headerOctets.count + self.payloadByteCount])
    unsafe payload.copyMemory(from: source)
    if let maskKey = header.maskKey {
      var span = unsafe MutableSpan(_unsafeElements: payload.assumingMemoryBound(to: UInt8.self))
      Mask(key: maskKey).apply(to: &span, at: 0)
    }
    output.produced(headerOctets.count + self.payloadByteCount)
  }
}
