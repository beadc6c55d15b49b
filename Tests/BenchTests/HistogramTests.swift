import Testing

@testable import bench

@Suite struct HistogramTests {
  @Test("nothing recorded is zero everywhere")
  func empty() {
    let histogram = Histogram()
    #expect(histogram.count == 0)
    #expect(histogram.max == 0)
    #expect(histogram.percentile(50) == 0)
    #expect(histogram.corrected(expectedInterval: 10) == histogram)
  }

  @Test(
    "values below 2048 are kept exactly", arguments: [0, 1, 2, 1023, 1024, 2046, 2047] as [UInt64])
  func exact(value: UInt64) {
    var histogram = Histogram()
    histogram.record(value)
    histogram.record(1_000_000)
    #expect(histogram.percentile(50) == value)
  }

  @Test("larger values are kept to three digits, around every power of two")
  func threeDigits() {
    for power in 11..<42 {
      for value in [1 << power - 1, 1 << power, 1 << power + 1, 3 << (power - 1)] as [UInt64]
      where value <= Histogram.valueMax {
        var histogram = Histogram()
        histogram.record(value)
        // So that the percentile is not cut to the largest value.
        histogram.record(Histogram.valueMax)
        let kept = histogram.percentile(50)
        #expect(kept >= value)
        #expect(kept - value <= value / 1000)
      }
    }
  }

  @Test("the largest value is exact, and what is beyond the range is kept as its end")
  func largest() {
    var histogram = Histogram()
    histogram.record(123_456_789)
    #expect(histogram.max == 123_456_789)
    #expect(histogram.percentile(100) == 123_456_789)
    histogram.record(.max)
    #expect(histogram.max == Histogram.valueMax)
    #expect(histogram.percentile(100) == Histogram.valueMax)
  }

  @Test("percentiles count from below")
  func percentiles() {
    var histogram = Histogram()
    for value in 1...1000 { histogram.record(UInt64(value)) }
    #expect(histogram.count == 1000)
    #expect(histogram.percentile(0) == 1)
    #expect(histogram.percentile(50) == 500)
    #expect(histogram.percentile(99) == 990)
    #expect(histogram.percentile(99.9) == 999)
    #expect(histogram.percentile(100) == 1000)
  }

  @Test("a value recorded many times at once is recorded as often")
  func counts() {
    var once = Histogram()
    once.record(70_000, count: 3)
    var thrice = Histogram()
    for _ in 0..<3 { thrice.record(70_000) }
    #expect(once == thrice)
  }

  @Test("a stall stands for the messages that it hid")
  func correction() {
    var histogram = Histogram()
    for _ in 0..<99 { histogram.record(10) }
    histogram.record(1000)
    let corrected = histogram.corrected(expectedInterval: 100)
    // 900, 800, … 100: as HdrHistogram's copyCorrectedForCoordinatedOmission adds them.
    #expect(corrected.count == 109)
    #expect(corrected.max == 1000)
    #expect(corrected.percentile(100.0 * 99 / 109) == 10)
    #expect(corrected.percentile(100.0 * 100 / 109) == 100)
    #expect(corrected.percentile(100.0 * 108 / 109) == 900)
  }

  @Test("values up to the interval, and an interval of 0, change nothing")
  func noCorrection() {
    var histogram = Histogram()
    for value in [1, 50, 100] as [UInt64] { histogram.record(value) }
    #expect(histogram.corrected(expectedInterval: 100) == histogram)
    #expect(histogram.corrected(expectedInterval: 0) == histogram)
  }
}
