internal import CLinux

/// A point on the monotonic clock. Not a duration: the two never mix by accident.
public struct Deadline: Comparable, Hashable, Sendable {
  /// Nanoseconds since an arbitrary start, the same for the whole process.
  public var nanoseconds: UInt64

  /// The point at which the clock reads `nanoseconds`.
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// A point that is never reached.
  public static let never = Deadline(nanoseconds: .max)

  /// The clock's present reading. A worker reads it once per turn and passes it on.
  public static func now() -> Deadline { Deadline(nanoseconds: sluice_monotonic_nanoseconds()) }

  /// The point `duration` later; a negative duration counts as zero, and the sum stops at ``never``.
  public func advanced(by duration: Duration) -> Deadline {
    let (sum, overflow) = self.nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
    return overflow ? .never : Deadline(nanoseconds: sum)
  }

  /// How long after `earlier` this point is; zero where it is not.
  public func duration(since earlier: Deadline) -> Duration {
    guard self > earlier else { return .zero }
    return .nanoseconds(Int64(clamping: self.nanoseconds - earlier.nanoseconds))
  }

  /// The same in nanoseconds: 128 bits, which a ``Duration`` has, are too slow for every turn.
  public func nanoseconds(since earlier: Deadline) -> UInt64 {
    self > earlier ? self.nanoseconds - earlier.nanoseconds : 0
  }

  /// Whether `lhs` comes before `rhs`.
  public static func < (lhs: Deadline, rhs: Deadline) -> Bool { lhs.nanoseconds < rhs.nanoseconds }
}

extension Duration {
  /// The length in whole nanoseconds, 0 for a negative one, at most some 584 years.
  public var clampedNanoseconds: UInt64 {
    let attoseconds = self.attoseconds
    guard attoseconds > 0 else { return 0 }
    // One instruction divides 128 bits by 64 where the quotient has room in 64.
    let high = UInt64(truncatingIfNeeded: attoseconds >> 64)
    let attosecondsPerNanosecond = 1_000_000_000 as UInt64
    guard high < attosecondsPerNanosecond else { return .max }
    let low = UInt64(truncatingIfNeeded: attoseconds)
    return attosecondsPerNanosecond.dividingFullWidth((high, low)).quotient
  }

  /// The length in whole milliseconds, rounded up, as poll(2) and epoll_wait(2) take it.
  var clampedMillisecondsUp: CInt {
    self.clampedNanoseconds.clampedMillisecondsUp
  }

  /// The length in milliseconds with a fraction, for records.
  public var milliseconds: Double { Double(self.clampedNanoseconds) / 1_000_000 }
}

extension UInt64 {
  /// So many nanoseconds in whole milliseconds, rounded up.
  var clampedMillisecondsUp: CInt {
    let (whole, rest) = self.quotientAndRemainder(dividingBy: 1_000_000)
    return CInt(clamping: whole + (rest == 0 ? 0 : 1))
  }
}
