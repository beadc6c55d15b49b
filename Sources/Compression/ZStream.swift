internal import CZlib

/// A z_stream, whose address zlib keeps, and what zlib allocated for it.
@safe struct ZStream: ~Copyable {
  /// What one call of zlib did.
  struct Step {
    /// Octets taken from the input.
    var taken = 0
    /// Octets written to the output.
    var written = 0
    /// zlib's own word for it.
    var status = Z_OK
  }

  private let stream: UnsafeMutablePointer<z_stream>
  private let held: UnsafeMutablePointer<Int>
  private let end: @convention(c) (UnsafeMutablePointer<z_stream>?) -> CInt

  /// A stream that `start` initialises and `end` ends.
  init(
    start: (UnsafeMutablePointer<z_stream>) -> CInt,
    end: @convention(c) (UnsafeMutablePointer<z_stream>?) -> CInt
  ) throws(CompressionFault) {
    // SAFETY: both are this object's alone until `deinit`. Where `start` fails, zlib has freed what
    // it took.
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    let held = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    unsafe held.initialize(to: 0)
    unsafe stream.initialize(to: z_stream())
    unsafe stream.pointee.zalloc = sluice_zalloc
    unsafe stream.pointee.zfree = sluice_zfree
    unsafe stream.pointee.opaque = UnsafeMutableRawPointer(held)
    guard unsafe start(stream) == Z_OK else {
      unsafe stream.deallocate()
      unsafe held.deallocate()
      throw .outOfMemory
    }
    unsafe self.stream = stream
    unsafe self.held = held
    unsafe self.end = end
  }

  deinit {
    _ = unsafe self.end(self.stream)
    unsafe self.stream.deallocate()
    unsafe self.held.deallocate()
  }

  /// Octets of memory held at present.
  var heldByteCount: Int { unsafe self.held.pointee + MemoryLayout<z_stream>.size }

  /// Whether the last octet taken ended both a block and an octet of the deflate stream.
  ///
  /// zlib.h: 128 stands for "behind a block", 64 for the last one, and the rest are unused bits.
  var isBetweenBlocks: Bool { unsafe self.stream.pointee.data_type == 128 }

  /// Has `call` work on the octets, as far as `room` goes.
  mutating func step(
    _ octets: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer,
    _ call: (UnsafeMutablePointer<z_stream>) -> CInt
  ) -> Step {
    // SAFETY: zlib reads and writes within the two counts, which are no larger than the regions,
    // and does not touch the regions after the call.
    let inputByteCount = UInt32(clamping: octets.count)
    let roomByteCount = UInt32(clamping: room.count)
    unsafe self.stream.pointee.next_in = octets.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe self.stream.pointee.avail_in = inputByteCount
    unsafe self.stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe self.stream.pointee.avail_out = roomByteCount
    let status = unsafe call(self.stream)
    return unsafe Step(
      taken: Int(inputByteCount - self.stream.pointee.avail_in),
      written: Int(roomByteCount - self.stream.pointee.avail_out), status: status)
  }
}
