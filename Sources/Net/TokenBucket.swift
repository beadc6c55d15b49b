/// What a peer may send at a rate, with a burst. It may be overdrawn: then nothing more is taken until
/// the debt is paid, so that the rate holds in the long run whatever the size of a piece.
public struct TokenBucket: Sendable {
  private let perNanosecond: Double
  private let depth: Double
  private var balance: Double
  private var countedAt: Deadline

  /// A full bucket.
  ///
  /// - Parameters:
  ///   - perSecond: what is earned in a second, above 0.
  ///   - burst: what fits into it, at least 1.
  public init(perSecond: Double, burst: Double, now: Deadline) {
    self.perNanosecond = perSecond / 1e9
    self.depth = max(1, burst)
    self.balance = self.depth
    self.countedAt = now
  }

  /// The same with what is left in the bucket whose place it takes; a debt is not forgiven.
  public consuming func keeping(_ earlier: TokenBucket?, now: Deadline) -> TokenBucket {
    guard var earlier else { return self }
    self.balance = min(self.depth, earlier.fill(now: now))
    return self
  }

  /// What is there now; negative for a debt.
  public mutating func fill(now: Deadline) -> Double {
    guard now > self.countedAt else { return self.balance }
    let earned = Double(now.nanoseconds - self.countedAt.nanoseconds) * self.perNanosecond
    self.balance = min(self.depth, self.balance + earned)
    self.countedAt = now
    return self.balance
  }

  /// Takes so many, whether they are there or not.
  public mutating func take(_ count: Int) { self.balance -= Double(count) }

  /// When there will be `count` again.
  public func instant(of count: Double) -> Deadline {
    let missing = count - self.balance
    guard missing > 0 else { return self.countedAt }
    let nanoseconds = (missing / self.perNanosecond).rounded(.up)
    // A century is never: the sum stops there.
    guard nanoseconds < 3e18 else { return .never }
    return Deadline(nanoseconds: self.countedAt.nanoseconds &+ UInt64(nanoseconds))
  }
}
