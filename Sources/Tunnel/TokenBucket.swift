internal import Net

/// What a peer may send at a rate, with a burst. It may be overdrawn: then nothing more is taken until
/// the debt is paid, so that the rate holds in the long run whatever the size of a piece.
struct TokenBucket: Sendable {
  private let perNanosecond: Double
  private let depth: Double
  private var balance: Double
  private var countedAt: Deadline

  /// A full bucket.
  init(_ limit: TunnelRules.RateLimit, now: Deadline) {
    self.perNanosecond = limit.perSecond / 1e9
    self.depth = max(1, limit.burst)
    self.balance = self.depth
    self.countedAt = now
  }

  /// The same with what is left in the bucket whose place it takes; a debt is not forgiven.
  consuming func keeping(_ earlier: TokenBucket?, now: Deadline) -> TokenBucket {
    guard var earlier else { return self }
    self.balance = min(self.depth, earlier.fill(now: now))
    return self
  }

  /// What is there now; negative for a debt.
  mutating func fill(now: Deadline) -> Double {
    guard now > self.countedAt else { return self.balance }
    let earned = Double(now.nanoseconds - self.countedAt.nanoseconds) * self.perNanosecond
    self.balance = min(self.depth, self.balance + earned)
    self.countedAt = now
    return self.balance
  }

  /// Takes so many, whether they are there or not.
  mutating func take(_ count: Int) { self.balance -= Double(count) }

  /// When there will be `count` again.
  func instant(of count: Double) -> Deadline {
    let missing = count - self.balance
    guard missing > 0 else { return self.countedAt }
    let nanoseconds = (missing / self.perNanosecond).rounded(.up)
    // A century is never: the sum stops there.
    guard nanoseconds < 3e18 else { return .never }
    return Deadline(nanoseconds: self.countedAt.nanoseconds &+ UInt64(nanoseconds))
  }
}
