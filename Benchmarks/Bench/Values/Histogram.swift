/// How often each value was seen, to three significant digits: the layout of HdrHistogram.
///
/// Values below 2048 have a cell each. Above, every doubling of the value is divided into 1024
/// cells, so that a cell is never wider than a thousandth of what it stands for. Memory is bounded
/// (264 KiB), recording takes constant time.
struct Histogram: Equatable {
  /// The largest value that is told from larger ones: 73 minutes of nanoseconds.
  static let valueMax: UInt64 = 1 << 42 - 1
  private static let cellsPerDoubling = 1024
  private static let cellCount = Self.cell(of: Self.valueMax) + 1

  private var counts = [UInt64](repeating: 0, count: Self.cellCount)
  /// Values recorded.
  private(set) var count: UInt64 = 0
  /// The largest value recorded, exactly; 0 where there is none.
  private(set) var max: UInt64 = 0

  /// Notes that `value` was seen `count` times.
  mutating func record(_ value: UInt64, count: UInt64 = 1) {
    let value = min(value, Self.valueMax)
    self.counts[Self.cell(of: value)] += count
    self.count += count
    self.max = Swift.max(self.max, value)
  }

  /// The value that `percent` of those recorded do not exceed, to three digits; 0 where there are
  /// none.
  func percentile(_ percent: Double) -> UInt64 {
    guard self.count > 0 else { return 0 }
    // One step down, as HdrHistogram does it: 99.9 is a little more than 99.9 in binary.
    let wanted = Swift.max(1, UInt64((percent.nextDown * Double(self.count) / 100).rounded(.up)))
    var seen: UInt64 = 0
    for (cell, count) in self.counts.enumerated() where count > 0 {
      seen += count
      if seen >= wanted { return min(Self.highestValue(of: cell), self.max) }
    }
    return self.max
  }

  /// What a closed loop would have recorded, had it not waited for slow answers before it sent the
  /// next question: HdrHistogram's correction for coordinated omission.
  ///
  /// A value above `interval` hid the messages that were to be sent during it, one each `interval`.
  /// They would have waited for the rest of it.
  ///
  /// - Parameter interval: the time between two messages that was meant; 0 corrects nothing.
  func corrected(expectedInterval interval: UInt64) -> Histogram {
    var corrected = self
    guard interval > 0 else { return corrected }
    for (cell, count) in self.counts.enumerated() where count > 0 {
      var rest = min(Self.highestValue(of: cell), self.max)
      while rest >= 2 * interval {
        rest -= interval
        corrected.record(rest, count: count)
      }
    }
    return corrected
  }

  /// The upper bits of the value, eleven of them, behind how far they were moved down.
  private static func cell(of value: UInt64) -> Int {
    let shift = Swift.max(0, 53 - value.leadingZeroBitCount)
    return shift * Self.cellsPerDoubling + Int(value >> UInt64(shift))
  }

  private static func highestValue(of cell: Int) -> UInt64 {
    let shift = Swift.max(0, cell / Self.cellsPerDoubling - 1)
    let top = UInt64(cell - shift * Self.cellsPerDoubling)
    return (top + 1) << UInt64(shift) - 1
  }
}
