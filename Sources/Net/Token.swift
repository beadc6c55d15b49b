/// What comes back from epoll: a slot, which life of it, and which of its registrations.
///
/// Never a pointer. An event that was queued for a connection that has ended meanwhile carries an
/// old generation; one for an upstream attempt that was given up carries an old registration.
public struct Token: Hashable, Sendable {
  /// Index in the worker's slab, below 2²⁴.
  public let slot: UInt32
  /// Which life of the slot.
  public let generation: UInt32
  /// Which descriptor of the connection: 0 for downstream, from 1 for its upstream attempts.
  public let registration: UInt8

  /// The most slots that a slab can have.
  public static let slotCountMax = 1 << 24

  /// Slot and generation come from a slab, or have a generation of 0, which no slab gives.
  public init(slot: UInt32, generation: UInt32, registration: UInt8 = 0) {
    assert(slot < Self.slotCountMax)
    self.slot = slot
    self.generation = generation
    self.registration = registration
  }

  /// The same connection's descriptor number `registration`.
  public func registered(as registration: UInt8) -> Token {
    Token(slot: self.slot, generation: self.generation, registration: registration)
  }

  init(epollData: UInt64) {
    self.slot = UInt32(truncatingIfNeeded: epollData) & 0xFF_FFFF
    self.registration = UInt8(truncatingIfNeeded: epollData >> 24)
    self.generation = UInt32(truncatingIfNeeded: epollData >> 32)
  }

  var epollData: UInt64 {
    UInt64(self.generation) << 32 | UInt64(self.registration) << 24 | UInt64(self.slot)
  }
}
