/// A worker's scratch memory: allocated once, filled and emptied within one turn of the loop.
///
///     0 ───── start ═════ end ───── capacity
///             └─ count ─┘  └ free ─┘
@safe public struct Buffer: ~Copyable {
  private let base: UnsafeMutableRawPointer
  /// Octets that fit in all.
  public let capacity: Int
  private var start = 0
  private var end = 0

  /// An empty buffer. Its pages cost nothing until they are written to.
  ///
  /// - Parameter capacity: octets, more than 0.
  public init(capacity: Int) {
    precondition(capacity > 0)
    unsafe self.base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 4096)
    self.capacity = capacity
  }

  deinit { unsafe self.base.deallocate() }

  /// Octets written and not yet consumed.
  public var count: Int { self.end &- self.start }
  /// Whether nothing is left to consume.
  public var isEmpty: Bool { self.start == self.end }
  /// Octets that can still be written.
  public var freeCount: Int { self.capacity &- self.end }

  /// Forgets what is in it.
  public mutating func clear() {
    self.start = 0
    self.end = 0
  }

  /// Drops the first `count` octets; an empty buffer starts at its beginning again.
  public mutating func consume(_ count: Int) {
    precondition(count >= 0 && count <= self.count)
    self.start &+= count
    if self.start == self.end { self.clear() }
  }

  /// Says that `count` octets were written behind the end.
  public mutating func produced(_ count: Int) {
    precondition(count >= 0 && count <= self.freeCount)
    self.end &+= count
  }

  /// The octets that are not consumed yet.
  public var octets: Span<UInt8> {
    @_lifetime(borrow self)
    borrowing get {
      // SAFETY: [start, end) was written, and the memory lives as long as the borrow of `self`.
      let octets = unsafe UnsafeRawBufferPointer(start: self.base + self.start, count: self.count)
        .assumingMemoryBound(to: UInt8.self)
      let span = unsafe Span(_unsafeElements: octets)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Copies `octets` behind the end. The caller has looked at ``freeCount``.
  public mutating func append(_ octets: Span<UInt8>) {
    precondition(octets.count <= self.freeCount)
    unsafe octets.withUnsafeBytes { source in
      // SAFETY: the precondition above; the span cannot lie inside this buffer, which is borrowed
      // exclusively.
      guard let from = source.baseAddress else { return }
      unsafe (self.base + self.end).copyMemory(from: from, byteCount: source.count)
    }
    self.end &+= octets.count
  }

  /// The octets that are not consumed yet, for a C function that only reads.
  @unsafe public var unsafeOctets: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: self.base + self.start, count: self.count)
  }

  /// The free space, for a C function that writes; ``produced(_:)`` must follow.
  @unsafe public var unsafeFreeSpace: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: self.base + self.end, count: self.freeCount)
  }
}

extension Buffer {
  /// The octets as an array of their own; the buffer is empty after.
  public mutating func takeAll() -> [UInt8] {
    let octets = unsafe Array(self.unsafeOctets)
    self.clear()
    return octets
  }
}

extension Buffer {
  /// Copies the octets of a range behind those of an array.
  public borrowing func copy(_ range: Range<Int>, onto octets: inout [UInt8]) {
    precondition(range.lowerBound >= 0 && range.upperBound <= self.count)
    unsafe octets.append(
      contentsOf: unsafe UnsafeRawBufferPointer(rebasing: self.unsafeOctets[range]))
  }

  /// Copies all but the first `start` octets behind those of an array.
  public borrowing func copyTail(from start: Int, onto octets: inout [UInt8]) {
    precondition(start >= 0 && start <= self.count)
    unsafe octets.append(
      contentsOf: unsafe UnsafeRawBufferPointer(rebasing: self.unsafeOctets[start...]))
  }

  /// Copies the octets at `range` to `offset`, both counted from the first octet that is not consumed.
  /// The places may overlap; how many octets there are stays as it is.
  public mutating func move(_ range: Range<Int>, to offset: Int) {
    precondition(range.lowerBound >= 0 && range.upperBound <= self.count)
    precondition(offset >= 0 && offset <= self.count &- range.count)
    // SAFETY: both places lie within [start, end) by the preconditions above. memmove(3), which this
    // is, lets them overlap.
    unsafe (self.base + self.start + offset).copyMemory(
      from: self.base + self.start + range.lowerBound, byteCount: range.count)
  }

  /// Drops all but the first `count` octets.
  public mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= self.count)
    self.end = self.start &+ count
  }
}
