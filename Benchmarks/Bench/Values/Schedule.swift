import Net

/// When the messages of an open loop are meant to be sent: number `k` of all at `start + k / rate`,
/// on connection `k mod connectionCount`.
///
/// Latency counts from here and not from the moment at which a message could be sent: a peer that
/// stalls is charged for all that waited (no coordinated omission).
struct Schedule: Equatable {
  /// Messages a second that may be asked for.
  static let rateMax: UInt64 = 1_000_000
  private static let second: UInt64 = 1_000_000_000

  /// When the first message is due.
  let start: Deadline
  /// Messages a second, of all connections together.
  let rate: UInt64
  let connectionCount: UInt64

  init(start: Deadline, rate: UInt64, connectionCount: Int) {
    precondition(rate > 0 && rate <= Self.rateMax && connectionCount > 0)
    self.start = start
    self.rate = rate
    self.connectionCount = UInt64(connectionCount)
  }

  /// When message `index` of all is due.
  func intended(_ index: UInt64) -> Deadline {
    Deadline(nanoseconds: self.start.nanoseconds + index * Self.second / self.rate)
  }

  /// When the message `index` of one connection is due.
  func intended(_ index: UInt64, ofConnection connection: Int) -> Deadline {
    self.intended(index * self.connectionCount + UInt64(connection))
  }

  /// How many messages of all are due at `now`.
  func dueCount(at now: Deadline) -> UInt64 {
    guard now >= self.start else { return 0 }
    // intended(k) ≤ now  ⇔  k · second < (elapsed + 1) · rate
    let elapsed = now.nanoseconds - self.start.nanoseconds
    return ((elapsed + 1) * self.rate + Self.second - 1) / Self.second
  }
}
