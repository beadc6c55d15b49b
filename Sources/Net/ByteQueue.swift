internal import CLinux
internal import Glibc

/// Spare chunks of one worker's queues.
///
/// A connection borrows chunks only while a peer is slow; the pool keeps a few for the next one and
/// gives the rest back to the system.
@safe public struct ChunkPool: ~Copyable {
  /// Octets a chunk holds, with its header.
  public static let chunkByteCount = 16 * 1024
  /// Spare chunks kept: 1 MiB.
  public static let spareCountMax = 64

  private var spares: [UnsafeMutableRawPointer] = unsafe []

  /// A pool without spare chunks: the first ones come from the system.
  public init() { unsafe self.spares.reserveCapacity(Self.spareCountMax) }

  deinit {
    for index in unsafe self.spares.indices { unsafe self.spares[index].deallocate() }
  }

  /// Chunks that queues hold at present.
  public private(set) var takenCount = 0

  /// Spare chunks kept at present, for tests.
  package var spareCount: Int { unsafe self.spares.count }

  fileprivate mutating func take() -> UnsafeMutablePointer<Chunk> {
    let memory =
      unsafe self.spares.popLast()
      ?? UnsafeMutableRawPointer.allocate(byteCount: Self.chunkByteCount, alignment: 64)
    let chunk = unsafe memory.bindMemory(to: Chunk.self, capacity: 1)
    unsafe chunk.initialize(to: Chunk())
    self.takenCount += 1
    return unsafe chunk
  }

  fileprivate mutating func give(_ chunk: UnsafeMutablePointer<Chunk>) {
    let memory = UnsafeMutableRawPointer(chunk)
    self.takenCount -= 1
    if unsafe self.spares.count < Self.spareCountMax {
      unsafe self.spares.append(memory)
    } else {
      unsafe memory.deallocate()
    }
  }
}

/// The header at the start of a chunk; the octets follow it.
@unsafe private struct Chunk {
  var next: UnsafeMutablePointer<Chunk>?
  var start = 0
  var end = 0

  static var headerByteCount: Int { unsafe MemoryLayout<Chunk>.stride }
  static var octetCountMax: Int { unsafe ChunkPool.chunkByteCount - self.headerByteCount }
}

extension UnsafeMutablePointer<Chunk> {
  fileprivate var octets: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(self) + Chunk.headerByteCount
  }
}

/// Octets that a socket did not take yet, in order. Empty queues hold no memory.
@safe public struct ByteQueue: ~Copyable {
  /// Pieces offered to the kernel with one call.
  private static let vectorCountMax = 16

  private var head: UnsafeMutablePointer<Chunk>?
  private var tail: UnsafeMutablePointer<Chunk>?
  /// Octets queued.
  public private(set) var count = 0

  /// An empty queue.
  public init() {}

  /// The net: a queue normally ends in ``clear(into:)``, which spares its chunks.
  deinit {
    var next = unsafe self.head
    while let chunk = unsafe next {
      unsafe next = chunk.pointee.next
      unsafe UnsafeMutableRawPointer(chunk).deallocate()
    }
  }

  /// Whether nothing is queued.
  public var isEmpty: Bool { self.count == 0 }

  /// Moves all of the buffer's octets to the end of the queue.
  public mutating func append(_ buffer: inout Buffer, from pool: inout ChunkPool) {
    unsafe self.append(buffer.unsafeOctets, from: &pool)
    buffer.clear()
  }

  /// Copies octets to the end of the queue.
  public mutating func append(_ octets: Span<UInt8>, from pool: inout ChunkPool) {
    unsafe octets.withUnsafeBytes { unsafe self.append($0, from: &pool) }
  }

  /// Copies octets to the end of the queue: those of a C library, which lie outside of it.
  @unsafe public mutating func append(
    _ octets: UnsafeRawBufferPointer, from pool: inout ChunkPool
  ) {
    guard var source = octets.baseAddress else { return }
    var left = octets.count
    while left > 0 {
      let chunk = unsafe self.tailWithSpace(&pool)
      let count = unsafe min(Chunk.octetCountMax &- chunk.pointee.end, left)
      // SAFETY: `count` octets fit behind the chunk's end, and the source holds as many.
      unsafe (chunk.octets + chunk.pointee.end).copyMemory(from: source, byteCount: count)
      unsafe chunk.pointee.end &+= count
      self.count &+= count
      unsafe source += count
      left &-= count
    }
  }

  /// Moves all that another queue holds to the end of this one, chunk by chunk without a copy.
  public mutating func append(contentsOf other: inout ByteQueue) {
    guard let first = unsafe other.head else { return }
    if let tail = unsafe self.tail {
      unsafe tail.pointee.next = first
    } else {
      unsafe self.head = first
    }
    unsafe self.tail = other.tail
    self.count += other.count
    unsafe other.head = nil
    unsafe other.tail = nil
    other.count = 0
  }

  /// Moves the first octets, `byteCountMax` at most and as many as have room, behind those of a
  /// buffer, and gives their count.
  public mutating func take(
    into buffer: inout Buffer, upTo byteCountMax: Int, sparing pool: inout ChunkPool
  ) -> Int {
    let total = max(0, min(self.count, byteCountMax, buffer.freeCount))
    var left = total
    while left > 0, let chunk = unsafe self.head {
      let count = unsafe min(left, chunk.pointee.end - chunk.pointee.start)
      // SAFETY: [start, end) of each chunk was written, and the buffer has room for all of `left`.
      if let room = unsafe buffer.unsafeFreeSpace.baseAddress {
        unsafe room.copyMemory(from: chunk.octets + chunk.pointee.start, byteCount: count)
      }
      buffer.produced(count)
      self.drop(count, into: &pool)
      left -= count
    }
    return total
  }

  /// Sends as much as the socket takes. `.octets` says how much left the queue.
  public mutating func send(to socket: borrowing Socket, sparing pool: inout ChunkPool) -> Sent {
    var total = 0
    while self.count > 0 {
      switch self.sendOnce(to: socket) {
      case .octets(let count):
        self.drop(count, into: &pool)
        total += count
      case .wouldBlock:
        return total > 0 ? .octets(total) : .wouldBlock
      case .failed(let fault):
        return .failed(fault)
      }
    }
    return .octets(total)
  }

  /// Forgets what is queued.
  public mutating func clear(into pool: inout ChunkPool) { self.drop(self.count, into: &pool) }

  private func sendOnce(to socket: borrowing Socket) -> Sent {
    unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.vectorCountMax) { vectors in
      var filled = 0
      var next = unsafe self.head
      while let chunk = unsafe next, filled < Self.vectorCountMax {
        let octets = unsafe chunk.octets + chunk.pointee.start
        // SAFETY: iovec is trivial; [start, end) of each chunk was written.
        unsafe vectors.initializeElement(
          at: filled,
          to: iovec(iov_base: octets, iov_len: chunk.pointee.end - chunk.pointee.start))
        filled += 1
        unsafe next = chunk.pointee.next
      }
      return unsafe socket.send(vectors: UnsafeMutableBufferPointer(rebasing: vectors[..<filled]))
    }
  }

  private mutating func drop(_ count: Int, into pool: inout ChunkPool) {
    var left = count
    while left > 0, let chunk = unsafe self.head {
      let taken = unsafe min(left, chunk.pointee.end - chunk.pointee.start)
      unsafe chunk.pointee.start += taken
      left -= taken
      guard unsafe chunk.pointee.start == chunk.pointee.end else { break }
      unsafe self.head = chunk.pointee.next
      if unsafe self.head == nil { unsafe self.tail = nil }
      unsafe pool.give(chunk)
    }
    self.count -= count
  }

  private mutating func tailWithSpace(_ pool: inout ChunkPool) -> UnsafeMutablePointer<Chunk> {
    if let tail = unsafe self.tail, unsafe tail.pointee.end < Chunk.octetCountMax {
      return unsafe tail
    }
    let chunk = unsafe pool.take()
    if let tail = unsafe self.tail {
      unsafe tail.pointee.next = chunk
    } else {
      unsafe self.head = chunk
    }
    unsafe self.tail = chunk
    return unsafe chunk
  }
}
