import Net

/// What was counted in rooms.
struct RoomsTally {
  /// Connections, and how they fared.
  var connections = Tally()
  /// Signals sent, arrived, and answered with an `ack`; or, of joins, peers begun and welcomed.
  private(set) var sentCount: UInt64 = 0
  private(set) var arrivedCount: UInt64 = 0
  private(set) var ackCount: UInt64 = 0
  /// Those of ``arrivedCount`` that came while it was measured.
  private(set) var unitCount: UInt64 = 0
  /// How long it was measured.
  private(set) var duration = Duration.zero
  /// From when a signal or join was due to its arrival.
  private(set) var latency = Histogram()
  /// From when it was due to when the load came to send it: the load's own part of the latency.
  private(set) var lag = Histogram()

  /// Whether each signal is to be answered.
  private let wantsAcks: Bool

  init(wantsAcks: Bool) { self.wantsAcks = wantsAcks }

  /// Signals, or joins, of which nothing more was seen.
  var lostCount: UInt64 { self.sentCount - min(self.arrivedCount, self.sentCount) }
  /// Answers that did not come.
  var missingAckCount: UInt64 {
    self.wantsAcks ? self.sentCount - min(self.ackCount, self.sentCount) : 0
  }

  /// Whether nothing is awaited any more.
  var isSettled: Bool { self.lostCount == 0 && self.missingAckCount == 0 }

  var isFlawless: Bool { self.connections.isFlawless && self.isSettled }

  /// - Parameter lag: `nil` for what does not count.
  mutating func begun(after lag: Duration?) {
    self.sentCount += 1
    if let lag { self.lag.record(lag.clampedNanoseconds) }
  }

  /// - Parameter latency: `nil` for what does not count.
  mutating func completed(after latency: Duration?, isMeasured: Bool) {
    self.arrivedCount += 1
    if isMeasured { self.unitCount += 1 }
    if let latency { self.latency.record(latency.clampedNanoseconds) }
  }

  mutating func acknowledged() { self.ackCount += 1 }

  mutating func measured(_ duration: Duration) { self.duration = duration }
}
