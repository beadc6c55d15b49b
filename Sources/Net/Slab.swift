/// The connections of one worker: numbered slots whose elements never move.
///
/// A slot is handed out with a generation, so that a ``Token`` of an earlier life finds nothing.
/// Memory grows by whole chunks and is kept; a free slot costs its size and nothing else.
@safe public struct Slab<Element: ~Copyable>: ~Copyable {
  /// Slots a chunk holds. A power of two: the subscript splits an index by shift and mask.
  @usableFromInline static var chunkSlotCount: Int { 256 }

  @usableFromInline var chunks: [UnsafeMutablePointer<Element>] = unsafe []
  /// Even: free. Odd: taken. Goes up by one at each change.
  @usableFromInline var generations: [UInt32] = []
  @usableFromInline var freeSlots: [UInt32] = []
  /// Elements that live now.
  @inlinable public var count: Int { self.elementCount }
  @usableFromInline var elementCount = 0
  private let slotCountMax: Int

  /// - Parameter slotCountMax: how many elements may live at once, at most ``Token/slotCountMax``.
  public init(slotCountMax: Int) {
    precondition(slotCountMax > 0 && slotCountMax <= Token.slotCountMax)
    self.slotCountMax = slotCountMax
  }

  deinit {
    for slot in 0..<self.slotCount where self.isLive(slot) {
      unsafe self.address(slot).deinitialize(count: 1)
    }
    for index in unsafe self.chunks.indices { unsafe self.chunks[index].deallocate() }
  }

  /// Slots there are, taken or free: every index below is valid for ``isLive(_:)``.
  public var slotCount: Int { self.generations.count }

  /// The token that the next ``insert(_:as:)`` takes; `nil` where the slab is full. An element that
  /// is to know its own token is made between the two.
  public mutating func nextToken() -> Token? {
    if self.freeSlots.isEmpty, !self.grow() { return nil }
    guard let slot = self.freeSlots.last else { return nil }
    return Token(slot: slot, generation: self.generations[Int(slot)] &+ 1)
  }

  /// Puts an element into the slot of the token that ``nextToken()`` gave.
  @inlinable
  public mutating func insert(_ element: consuming Element, as token: Token) {
    precondition(self.freeSlots.last == token.slot, "not the next token")
    self.freeSlots.removeLast()
    self.generations[Int(token.slot)] = token.generation
    // SAFETY: a free slot is uninitialized memory of the right type.
    unsafe self.address(Int(token.slot)).initialize(to: element)
    self.elementCount += 1
  }

  /// Frees a live slot and gives its element back.
  @inlinable
  public mutating func remove(_ slot: Int) -> Element {
    precondition(self.isLive(slot), "slot \(slot) is free")
    self.generations[slot] &+= 1
    self.freeSlots.append(UInt32(slot))
    self.elementCount -= 1
    // SAFETY: the slot was live, so its memory holds an element; it counts as free from here on.
    return unsafe self.address(slot).move()
  }

  /// Whether an element lives in the slot.
  @inlinable
  public func isLive(_ slot: Int) -> Bool { self.generations[slot] & 1 == 1 }

  /// The token of the element that lives in the slot.
  public func token(of slot: Int) -> Token {
    Token(slot: UInt32(slot), generation: self.generations[slot])
  }

  /// The slot that `token` names, `nil` where that life of it is over.
  @inlinable
  public func liveSlot(for token: Token) -> Int? {
    let slot = Int(token.slot)
    // An even generation is no life at all: tokens that are not of this slab carry one.
    guard slot < self.generations.count, token.generation & 1 == 1,
      self.generations[slot] == token.generation
    else { return nil }
    return slot
  }

  /// The element in a live slot, in place.
  @inlinable
  public subscript(slot: Int) -> Element {
    unsafeAddress {
      precondition(self.isLive(slot))
      return unsafe UnsafePointer(self.address(slot))
    }
    unsafeMutableAddress {
      precondition(self.isLive(slot))
      return unsafe self.address(slot)
    }
  }

  @unsafe @inlinable
  func address(_ slot: Int) -> UnsafeMutablePointer<Element> {
    unsafe self.chunks[slot / Self.chunkSlotCount] + slot % Self.chunkSlotCount
  }

  private mutating func grow() -> Bool {
    guard self.slotCount < self.slotCountMax else { return false }
    let first = self.slotCount
    let last = min(first + Self.chunkSlotCount, self.slotCountMax)
    unsafe self.chunks.append(.allocate(capacity: Self.chunkSlotCount))
    self.generations += Array(repeating: 0, count: Self.chunkSlotCount)
    // The lowest slot is taken first, so that a quiet worker touches little memory.
    self.freeSlots += (first..<last).reversed().map { UInt32($0) }
    return true
  }
}
