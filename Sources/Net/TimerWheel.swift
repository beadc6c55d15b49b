/// The deadlines of one worker's connections, one for each slot of its slab.
///
/// A hierarchical wheel: arming, disarming and firing take constant time however many timers there
/// are. Four levels of 64 buckets; a bucket of level n spans 64ⁿ ticks. A timer sits in the level
/// of the highest digit (base 64) in which its tick differs from the present one, and moves down a
/// level each time the hand reaches its bucket. Bit maps of the buckets in use give the next
/// instant at which anything has to be done.
public struct TimerWheel: ~Copyable {
  /// The resolution. Timeouts are long: 8 ms early is never, 8 ms late is nothing.
  public static let tick = Duration.milliseconds(8)
  private static let tickNanoseconds: UInt64 = 8_000_000
  private static let levelCount = 4
  private static let bucketCount = 64
  /// Ticks that the four levels reach, 36 hours; a later deadline fires then, and its owner, who
  /// sees that it is not due, arms it again. 63 and not 64 buckets of the last level: one that
  /// wrapped to the bucket under the hand could not be told from one that is due.
  private static let horizonTickCount: UInt64 = 63 << 18

  private struct Node {
    var tick: UInt64 = 0
    var next: Int32 = -1
    var previous: Int32 = -1
    /// Level times 64 plus bucket; -1 where the timer is not armed.
    var bucket: Int32 = -1
  }

  private var nodes: [Node] = []
  private var heads = [Int32](repeating: -1, count: levelCount * bucketCount)
  private var occupied = [UInt64](repeating: 0, count: levelCount)
  private let origin: Deadline
  /// The tick up to which all timers have fired.
  private var hand: UInt64 = 0
  /// Timers armed now.
  public private(set) var count = 0

  /// A wheel without timers, whose ticks count from `now`.
  public init(now: Deadline) { self.origin = now }

  /// Sets the one timer of `slot`, replacing what it was set to. A deadline in the past fires
  /// with the next tick; ``Deadline/never`` disarms.
  public mutating func arm(_ slot: Int, at deadline: Deadline) {
    self.disarm(slot)
    guard deadline != .never else { return }
    if slot >= self.nodes.count {
      let missing = max(slot + 1 - self.nodes.count, self.nodes.count)
      self.nodes += Array(repeating: Node(), count: missing)
    }
    let tick = self.tick(atOrAfter: deadline)
    self.nodes[slot].tick = min(max(tick, self.hand + 1), self.hand + Self.horizonTickCount - 1)
    self.link(slot)
    self.count += 1
  }

  /// Unsets the timer of `slot`, if it is set.
  public mutating func disarm(_ slot: Int) {
    guard slot < self.nodes.count, self.nodes[slot].bucket >= 0 else { return }
    self.unlink(slot)
    self.count -= 1
  }

  /// Takes one slot whose deadline has passed, `nil` when there is none left at `now`. The timer is
  /// unset by that; the caller may set it again at once.
  public mutating func expire(now: Deadline) -> Int? {
    let target = now.nanoseconds(since: self.origin) / Self.tickNanoseconds
    while let (level, tick) = self.nextBucket(), tick <= target {
      self.hand = tick
      let index = level * Self.bucketCount + Int((tick >> UInt64(6 * level)) & 63)
      let slot = Int(self.heads[index])
      if level == 0 {
        self.disarm(slot)
        return slot
      }
      self.cascade(index)
    }
    self.hand = max(self.hand, target)
    return nil
  }

  /// Moves all timers of a bucket that the hand has reached to the levels below.
  private mutating func cascade(_ index: Int) {
    while self.heads[index] >= 0 {
      let slot = Int(self.heads[index])
      self.unlink(slot)
      self.link(slot)
    }
  }

  /// When ``expire(now:)`` has something to do next, at the latest; `nil` where no timer is set.
  public func nextWake() -> Deadline? {
    guard let (_, tick) = self.nextBucket() else { return nil }
    return Deadline(nanoseconds: self.origin.nanoseconds + tick * Self.tickNanoseconds)
  }

  /// The next bucket that the hand reaches, and the tick at which it does.
  private func nextBucket() -> (level: Int, tick: UInt64)? {
    for level in 0..<Self.levelCount where self.occupied[level] != 0 {
      let shift = UInt64(6 * level)
      let position = (self.hand >> shift) & 63
      // Rotated so that the bucket under the hand is bit 0: the lowest set bit is the next one.
      let map = self.occupied[level]
      let rotated = position == 0 ? map : map >> position | map << (64 - position)
      let ahead = UInt64(rotated.trailingZeroBitCount)
      let base = (self.hand >> shift) + ahead
      return (level, base << shift)
    }
    return nil
  }

  private func tick(atOrAfter deadline: Deadline) -> UInt64 {
    let nanoseconds = deadline.nanoseconds(since: self.origin)
    return nanoseconds / Self.tickNanoseconds + (nanoseconds % Self.tickNanoseconds == 0 ? 0 : 1)
  }

  private mutating func link(_ slot: Int) {
    let tick = self.nodes[slot].tick
    let differing = (self.hand ^ tick) | 63
    let level = min((63 - differing.leadingZeroBitCount) / 6, Self.levelCount - 1)
    let bucket = Int((tick >> UInt64(6 * level)) & 63)
    let index = level * Self.bucketCount + bucket
    let head = self.heads[index]
    self.nodes[slot].bucket = Int32(index)
    self.nodes[slot].previous = -1
    self.nodes[slot].next = head
    if head >= 0 { self.nodes[Int(head)].previous = Int32(slot) }
    self.heads[index] = Int32(slot)
    self.occupied[level] |= 1 << UInt64(bucket)
  }

  private mutating func unlink(_ slot: Int) {
    let node = self.nodes[slot]
    if node.previous >= 0 {
      self.nodes[Int(node.previous)].next = node.next
    } else {
      self.heads[Int(node.bucket)] = node.next
    }
    if node.next >= 0 { self.nodes[Int(node.next)].previous = node.previous }
    if self.heads[Int(node.bucket)] < 0 {
      self.occupied[Int(node.bucket) / Self.bucketCount] &=
        ~(1 << UInt64(Int(node.bucket) % Self.bucketCount))
    }
    self.nodes[slot].bucket = -1
  }
}
