import Testing

@testable import Net

@Suite("timer wheel")
struct TimerWheelTests {
  private static let tick: UInt64 = 8_000_000
  private static let horizon: UInt64 = 63 << 18

  /// The wheel against a list: what is due at each moment, tick by tick.
  private struct Model {
    let origin: UInt64
    var hand: UInt64 = 0
    var ticks: [Int: UInt64] = [:]

    init(origin: Deadline) { self.origin = origin.nanoseconds }

    private func tick(_ deadline: Deadline, roundingUp: Bool) -> UInt64 {
      let since = deadline.nanoseconds > self.origin ? deadline.nanoseconds - self.origin : 0
      return since / TimerWheelTests.tick
        + (roundingUp && since % TimerWheelTests.tick != 0 ? 1 : 0)
    }

    mutating func arm(_ slot: Int, at deadline: Deadline) {
      self.ticks[slot] = nil
      guard deadline != .never else { return }
      let tick = self.tick(deadline, roundingUp: true)
      self.ticks[slot] = min(max(tick, self.hand + 1), self.hand + TimerWheelTests.horizon - 1)
    }

    /// Slots that may fire next, at the tick they do; the hand moves there.
    mutating func due(_ now: Deadline) -> Set<Int> {
      let target = self.tick(now, roundingUp: false)
      guard let first = self.ticks.values.min(), first <= target else {
        self.hand = max(self.hand, target)
        return []
      }
      self.hand = first
      return Set(self.ticks.filter { $0.value == first }.keys)
    }
  }

  @Test("a timer fires at its tick, not before it")
  func fires() {
    let origin = Deadline(nanoseconds: 12_345)
    var wheel = TimerWheel(now: origin)
    wheel.arm(3, at: origin.advanced(by: .milliseconds(9)))
    let early = wheel.expire(now: origin.advanced(by: .milliseconds(15)))
    let due = wheel.expire(now: origin.advanced(by: .milliseconds(16)))
    let again = wheel.expire(now: origin.advanced(by: .milliseconds(100)))
    let (count, wake) = (wheel.count, wheel.nextWake())
    #expect(early == nil)
    #expect(due == 3)
    #expect(again == nil)
    #expect(count == 0)
    #expect(wake == nil)
  }

  @Test("arming again replaces, never disarms, and disarming what is not armed is nothing")
  func rearm() {
    let origin = Deadline.now()
    var wheel = TimerWheel(now: origin)
    wheel.disarm(5)
    wheel.arm(5, at: origin.advanced(by: .seconds(1)))
    wheel.arm(5, at: origin.advanced(by: .seconds(60)))
    var count = wheel.count
    #expect(count == 1)
    let early = wheel.expire(now: origin.advanced(by: .seconds(59)))
    #expect(early == nil)
    wheel.arm(5, at: .never)
    count = wheel.count
    let late = wheel.expire(now: origin.advanced(by: .seconds(3600)))
    #expect(count == 0)
    #expect(late == nil)
  }

  @Test("a deadline that has passed fires with the next tick, so that expiring ends")
  func past() {
    let origin = Deadline(nanoseconds: 1_000_000_000)
    var wheel = TimerWheel(now: origin)
    wheel.arm(0, at: Deadline(nanoseconds: 0))
    let now = wheel.expire(now: origin)
    let wake = wheel.nextWake()
    let next = wheel.expire(now: origin.advanced(by: TimerWheel.tick))
    #expect(now == nil)
    #expect(wake == origin.advanced(by: TimerWheel.tick))
    #expect(next == 0)
  }

  @Test("beyond the horizon a timer fires early, and can be armed again for the rest")
  func horizon() {
    let origin = Deadline(nanoseconds: 0)
    var wheel = TimerWheel(now: origin)
    let deadline = origin.advanced(by: .seconds(7 * 24 * 3600))
    wheel.arm(1, at: deadline)
    var firings = 0
    var now = origin
    while let wake = wheel.nextWake(), firings < 100 {
      now = max(now, wake)
      guard let slot = wheel.expire(now: now) else { continue }
      firings += 1
      if now < deadline { wheel.arm(slot, at: deadline) }
    }
    #expect(now >= deadline)
    #expect(now.duration(since: deadline) <= TimerWheel.tick)
    #expect(firings == 5)
  }

  @Test("the far end of time can be armed")
  func farEnd() {
    var wheel = TimerWheel(now: Deadline(nanoseconds: 5))
    wheel.arm(0, at: Deadline(nanoseconds: .max - 1))
    let wake = wheel.nextWake()
    #expect(wake != nil)
  }

  @Test("all timers of one instant fire, however many they are")
  func crowd() {
    let origin = Deadline(nanoseconds: 0)
    var wheel = TimerWheel(now: origin)
    for slot in 0..<5000 { wheel.arm(slot, at: origin.advanced(by: .seconds(600))) }
    var fired = Set<Int>()
    while let slot = wheel.expire(now: origin.advanced(by: .seconds(600))) { fired.insert(slot) }
    #expect(fired == Set(0..<5000))
  }

  /// How far a random step or timeout goes, in nanoseconds: each level of the wheel is met.
  private static func span(_ chance: inout SplitMix) -> UInt64 {
    let scale = [1, 64, 64 * 64, 1 << 18, 40 << 18, 90 << 18].randomElement(using: &chance) ?? 1
    let ticks = UInt64.random(in: 0...UInt64(scale), using: &chance)
    return ticks * self.tick + UInt64.random(in: 0..<self.tick, using: &chance)
  }

  @Test("the wheel does what a list does", arguments: 0..<20)
  func model(round: Int) throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    var now = Deadline(nanoseconds: UInt64.random(in: 0...(1 << 50), using: &chance))
    var wheel = TimerWheel(now: now)
    var model = Model(origin: now)
    let slotCount = [1, 8, 200].randomElement(using: &chance) ?? 1
    for step in 0..<600 {
      let slot = Int.random(in: 0..<slotCount, using: &chance)
      switch Int.random(in: 0..<10, using: &chance) {
      case 0..<5:
        let past = Int.random(in: 0..<10, using: &chance) == 0
        let deadline =
          past
          ? Deadline(nanoseconds: now.nanoseconds / 2)
          : Deadline(nanoseconds: now.nanoseconds + Self.span(&chance))
        wheel.arm(slot, at: deadline)
        model.arm(slot, at: deadline)
      case 5:
        wheel.disarm(slot)
        model.ticks[slot] = nil
      case 6:
        wheel.arm(slot, at: .never)
        model.arm(slot, at: .never)
      default:
        now = Deadline(nanoseconds: now.nanoseconds + Self.span(&chance))
        try Self.expireAll(&wheel, &model, now, &chance, "seed \(seed), step \(step)")
      }
      let count = wheel.count
      try #require(count == model.ticks.count, "seed \(seed), step \(step)")
      try Self.checkWake(wheel, model, "seed \(seed), step \(step)")
    }
  }

  /// Takes all that is due; some of it is armed again at once, for a time that may have come.
  private static func expireAll(
    _ wheel: inout TimerWheel, _ model: inout Model, _ now: Deadline, _ chance: inout SplitMix,
    _ place: Comment
  ) throws {
    while true {
      let due = model.due(now)
      let slot = wheel.expire(now: now)
      guard let slot else {
        try #require(due.isEmpty, place)
        return
      }
      try #require(due.contains(slot), place)
      model.ticks[slot] = nil
      guard Int.random(in: 0..<4, using: &chance) == 0 else { continue }
      let deadline =
        Int.random(in: 0..<4, using: &chance) == 0
        ? Deadline(nanoseconds: now.nanoseconds - min(now.nanoseconds, 3 * self.tick))
        : Deadline(nanoseconds: now.nanoseconds + self.span(&chance))
      wheel.arm(slot, at: deadline)
      model.arm(slot, at: deadline)
    }
  }

  /// The loop may wake for a cascade, but never after the first timer, and never without progress.
  private static func checkWake(
    _ wheel: borrowing TimerWheel, _ model: Model, _ place: Comment
  ) throws {
    let wake = wheel.nextWake()
    guard let first = model.ticks.values.min() else {
      try #require(wake == nil, place)
      return
    }
    let tick = try #require(wake, place)
    try #require(tick.nanoseconds <= model.origin + first * self.tick, place)
    try #require(tick.nanoseconds > model.origin + model.hand * self.tick, place)
  }
}
