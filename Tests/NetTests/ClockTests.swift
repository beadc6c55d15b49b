import Testing

@testable import Net

@Suite("clocks")
struct ClockTests {
  private static let hour = Deadline(nanoseconds: 3_600_000_000_000)

  @Test("a deadline moves by a duration, never backwards and never beyond never")
  func advance() {
    #expect(Self.hour.advanced(by: .milliseconds(1)).nanoseconds == 3_600_001_000_000)
    #expect(Self.hour.advanced(by: .zero) == Self.hour)
    #expect(Self.hour.advanced(by: .seconds(-1)) == Self.hour)
    #expect(Self.hour.advanced(by: .seconds(Int64.max)) == .never)
    #expect(Deadline.never.advanced(by: .nanoseconds(1)) == .never)
    #expect(Self.hour < .never)
  }

  @Test("the distance of two deadlines is never negative")
  func distance() {
    let later = Self.hour.advanced(by: .seconds(2))
    #expect(later.duration(since: Self.hour) == .seconds(2))
    #expect(Self.hour.duration(since: later) == .zero)
    #expect(Self.hour.duration(since: Self.hour) == .zero)
    #expect(Deadline.never.duration(since: .init(nanoseconds: 0)) == .nanoseconds(Int64.max))
  }

  @Test("the clock does not go back")
  func monotonic() {
    let first = Deadline.now()
    let second = Deadline.now()
    #expect(first <= second)
    #expect(first.nanoseconds > 0)
  }

  private static let lengths: [(Duration, UInt64)] = [
    (Duration.zero, UInt64(0)), (.nanoseconds(1), 1), (.seconds(1), 1_000_000_000),
    (.seconds(-1), 0), (.nanoseconds(-1), 0), (.seconds(Int64.max), .max),
    (Duration(secondsComponent: 0, attosecondsComponent: 999_999_999), 0),
    (
      Duration(secondsComponent: 18_446_744_073, attosecondsComponent: 0),
      18_446_744_073_000_000_000
    ),
    (Duration(secondsComponent: 18_446_744_074, attosecondsComponent: 0), .max),
  ]

  @Test("a duration in whole nanoseconds", arguments: Self.lengths)
  func clamping(duration: Duration, nanoseconds: UInt64) {
    #expect(duration.clampedNanoseconds == nanoseconds)
  }

  @Test(
    "a wait in whole milliseconds is rounded up",
    arguments: [
      (Duration.zero, CInt(0)), (.nanoseconds(1), 1), (.milliseconds(1), 1),
      (.nanoseconds(1_000_001), 2), (.seconds(-5), 0), (.seconds(Int64.max), .max),
      (.seconds(3_000_000_000), .max),
    ])
  func milliseconds(duration: Duration, milliseconds: CInt) {
    #expect(duration.clampedMillisecondsUp == milliseconds)
  }

  @Test("milliseconds for records have a fraction")
  func fraction() { #expect(Duration.microseconds(1500).milliseconds == 1.5) }

  @Test(
    "a time of day is written as RFC 3339 says",
    arguments: [
      (Int64(0), Int64(0), "1970-01-01T00:00:00.000Z"),
      (951_827_696, 7_999_999, "2000-02-29T12:34:56.007Z"),
      (951_868_799, 999_999_999, "2000-02-29T23:59:59.999Z"),
      (951_868_800, 0, "2000-03-01T00:00:00.000Z"),
      (1_769_860_800, 123_000_000, "2026-01-31T12:00:00.123Z"),
      (1_735_689_599, 0, "2024-12-31T23:59:59.000Z"),
      (1_709_164_800, 0, "2024-02-29T00:00:00.000Z"),
      (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
      (4_107_542_399, 0, "2100-02-28T23:59:59.000Z"),
      (2_147_483_648, 0, "2038-01-19T03:14:08.000Z"),
      (-1, 0, "1969-12-31T23:59:59.000Z"),
    ])
  func timestamp(seconds: Int64, nanoseconds: Int64, text: String) {
    #expect(WallClock(seconds: seconds, nanoseconds: nanoseconds).timestamp == text)
  }

  @Test("the wall clock reads")
  func wallClock() {
    let now = WallClock.now()
    #expect(now.seconds > 1_700_000_000)
    #expect((0..<1_000_000_000).contains(now.nanoseconds))
  }
}
