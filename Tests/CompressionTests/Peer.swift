import CZlib

/// zlib as a peer would use it, apart from the code under test.
@safe final class PeerDeflate {
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  init(windowBits: Int, level: Int = 6, memoryLevel: Int = 8, strategy: CInt = Z_DEFAULT_STRATEGY) {
    unsafe self.stream.initialize(to: z_stream())
    let status = unsafe sluice_deflateInit2(
      self.stream, CInt(level), CInt(-windowBits), CInt(memoryLevel), strategy)
    precondition(status == Z_OK)
  }

  deinit {
    unsafe deflateEnd(self.stream)
    unsafe self.stream.deallocate()
  }

  /// The payload of a compressed message (RFC 7692 §7.2.1).
  func message(_ octets: [UInt8], keepsContext: Bool = true) -> [UInt8] {
    if !keepsContext { unsafe deflateReset(self.stream) }
    guard !octets.isEmpty else { return [0] }
    var compressed = self.run(octets, flush: Z_SYNC_FLUSH)
    precondition(compressed.suffix(4) == [0x00, 0x00, 0xFF, 0xFF])
    compressed.removeLast(4)
    return compressed
  }

  /// A whole stream whose last block has BFINAL.
  func final(_ octets: [UInt8]) -> [UInt8] {
    unsafe deflateReset(self.stream)
    return self.run(octets, flush: Z_FINISH)
  }

  private func run(_ octets: [UInt8], flush: CInt) -> [UInt8] {
    var compressed = unsafe [UInt8](
      repeating: 0, count: Int(deflateBound(self.stream, UInt(octets.count))) + 64)
    let capacity = compressed.count
    unsafe octets.withUnsafeBufferPointer { source in
      unsafe compressed.withUnsafeMutableBufferPointer { target in
        unsafe self.stream.pointee.next_in = source.baseAddress
        unsafe self.stream.pointee.avail_in = UInt32(source.count)
        unsafe self.stream.pointee.next_out = target.baseAddress
        unsafe self.stream.pointee.avail_out = UInt32(capacity)
        unsafe deflate(self.stream, flush)
      }
    }
    unsafe compressed.removeLast(Int(self.stream.pointee.avail_out))
    return compressed
  }
}

/// zlib as a peer would use it, apart from the code under test.
@safe final class PeerInflate {
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  init(windowBits: Int) {
    unsafe self.stream.initialize(to: z_stream())
    precondition(unsafe sluice_inflateInit2(self.stream, CInt(-windowBits)) == Z_OK)
  }

  deinit {
    unsafe inflateEnd(self.stream)
    unsafe self.stream.deallocate()
  }

  /// The message of a compressed payload (RFC 7692 §7.2.2), `nil` where it is malformed.
  func message(_ compressed: [UInt8], keepsContext: Bool = true) -> [UInt8]? {
    if !keepsContext { unsafe inflateReset(self.stream) }
    let source = compressed + [0x00, 0x00, 0xFF, 0xFF]
    var message: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 * 1024)
    let isSound = unsafe source.withUnsafeBufferPointer { source in
      unsafe self.stream.pointee.next_in = source.baseAddress
      unsafe self.stream.pointee.avail_in = UInt32(source.count)
      repeat {
        let status = unsafe piece.withUnsafeMutableBufferPointer { target in
          unsafe self.stream.pointee.next_out = target.baseAddress
          unsafe self.stream.pointee.avail_out = UInt32(target.count)
          return unsafe inflate(self.stream, Z_SYNC_FLUSH)
        }
        guard status == Z_OK else { return false }
        unsafe message += piece[..<(piece.count - Int(self.stream.pointee.avail_out))]
        // zlib.h: 128 stands for "behind a block", without unused bits.
      } while unsafe self.stream.pointee.avail_in > 0 || self.stream.pointee.data_type != 128
      return true
    }
    return isSound ? message : nil
  }
}
