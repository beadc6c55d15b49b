public import Net
internal import Synchronization

/// A number that one thread raises and others may read at any time: no addition has to be atomic.
public struct Counter: ~Copyable, Sendable {
  private let number = Atomic<UInt64>(0)

  /// Nothing counted yet.
  public init() {}

  /// What was counted, as of a moment ago.
  public var value: UInt64 { self.number.load(ordering: .relaxed) }

  /// Adds to it. Called by one thread alone.
  public func raise(by count: UInt64 = 1) {
    guard count > 0 else { return }
    self.number.store(self.number.load(ordering: .relaxed) &+ count, ordering: .relaxed)
  }

  /// Sets it, where it tells how much of something there is. Called by one thread alone.
  public func set(to value: UInt64) { self.number.store(value, ordering: .relaxed) }
}

/// How often each of a few things happened. Off the hot path: it has a lock.
public final class Tally<Key: Hashable & Sendable>: Sendable {
  private let numbers = Mutex<[Key: Int]>([:])

  /// Nothing counted yet.
  public init() {}

  /// One more of this.
  public func raise(_ key: Key) { self.numbers.withLock { $0[key, default: 0] += 1 } }

  /// What was counted.
  public var counts: [Key: Int] { self.numbers.withLock { $0 } }
}

/// How long something took, as a histogram. Off the hot path: it has a lock.
public final class LatencyMeter: Sendable {
  private let histogram = Mutex(Histogram())

  /// Nothing measured yet.
  public init() {}

  /// What began at one instant has ended at another.
  public func record(since beginning: Deadline, at end: Deadline) {
    self.histogram.withLock { $0.record(since: beginning, at: end) }
  }

  /// Several that began at these instants have ended.
  public func record(_ beginnings: [Deadline], at end: Deadline) {
    self.histogram.withLock { histogram in
      for beginning in beginnings { histogram.record(since: beginning, at: end) }
    }
  }

  /// What was measured.
  public var reading: Histogram { self.histogram.withLock { $0 } }
}

/// Lengths of time, counted in classes.
public struct Histogram: Sendable, Equatable {
  /// The upper bounds of the classes, in seconds; what is longer has a class of its own.
  public static let bounds: [Double] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
    10,
  ]

  /// How many fell into each class: one more than there are bounds.
  public private(set) var counts = [Int](repeating: 0, count: Self.bounds.count + 1)
  /// All of them together, in seconds.
  public private(set) var sum: Double = 0

  /// Nothing measured yet.
  public init() {}

  /// How many there are.
  public var count: Int { self.counts.reduce(0, +) }

  /// One more took so long.
  public mutating func record(seconds: Double) {
    let place = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    self.counts[place] += 1
    self.sum += seconds
  }

  /// What began at one instant has ended at another. In nanoseconds on the way: a ``Duration`` is slow.
  mutating func record(since beginning: Deadline, at end: Deadline) {
    self.record(seconds: Double(end.nanoseconds(since: beginning)) / 1_000_000_000)
  }

  /// Both together.
  public static func + (one: Histogram, two: Histogram) -> Histogram {
    var both = one
    for (place, count) in two.counts.enumerated() { both.counts[place] += count }
    both.sum += two.sum
    return both
  }
}
