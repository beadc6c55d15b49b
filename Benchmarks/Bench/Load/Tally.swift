import Net

/// What was counted.
struct Tally {
  /// Connections that were upgraded.
  private(set) var openedCount = 0
  /// Connections that were not.
  private(set) var failedCount = 0
  /// Connections that ended before their time.
  private(set) var droppedCount = 0
  /// Messages that came back changed.
  private(set) var mismatchedCount = 0
  /// What went wrong first.
  private(set) var firstFault: String?

  /// Messages, or connections of churn, that were completed while it was measured.
  private(set) var unitCount: UInt64 = 0
  /// How long it was measured.
  private(set) var duration = Duration.zero
  /// The octets of their payload.
  private(set) var byteCount: UInt64 = 0
  /// Nanoseconds from sending, or from the intended time of an open loop, to the echo.
  private(set) var latency = Histogram()

  /// Whether all went well.
  var isFlawless: Bool {
    self.openedCount > 0 && self.failedCount + self.droppedCount + self.mismatchedCount == 0
  }

  mutating func measured(_ duration: Duration) { self.duration = duration }

  mutating func opened() { self.openedCount += 1 }

  mutating func completed(byteCount: Int) {
    self.unitCount += 1
    self.byteCount += UInt64(byteCount)
  }

  mutating func waited(_ duration: Duration) { self.latency.record(duration.clampedNanoseconds) }

  mutating func failed(_ reason: String) {
    self.failedCount += 1
    self.noteFault("not opened: \(reason)")
  }

  mutating func dropped(_ reason: String) {
    self.droppedCount += 1
    self.noteFault("dropped: \(reason)")
  }

  mutating func mismatched(_ what: String) {
    self.mismatchedCount += 1
    self.noteFault("changed: \(what)")
  }

  private mutating func noteFault(_ reason: String) {
    if self.firstFault == nil { self.firstFault = reason }
  }
}
