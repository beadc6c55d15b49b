import Net
import Testing

@testable import bench

@Suite struct ScheduleTests {
  private static let start = Deadline(nanoseconds: 5_000_000_000)

  private static func schedule(rate: UInt64, connectionCount: Int = 4) -> Schedule {
    Schedule(start: self.start, rate: rate, connectionCount: connectionCount)
  }

  @Test("messages are due at even distances, the first at once")
  func intended() {
    let schedule = Self.schedule(rate: 1000)
    #expect(schedule.intended(0) == Self.start)
    #expect(schedule.intended(1) == Self.start.advanced(by: .milliseconds(1)))
    #expect(schedule.intended(2500) == Self.start.advanced(by: .milliseconds(2500)))
  }

  @Test("connections take turns")
  func connections() {
    let schedule = Self.schedule(rate: 1000)
    for index in 0..<100 as Range<UInt64> {
      let connection = Int(index % 4)
      #expect(
        schedule.intended(index / 4, ofConnection: connection) == schedule.intended(index))
    }
  }

  @Test(
    "a message counts as due from its time on, at any rate",
    arguments: [1, 3, 7, 999, 30_001, 1_000_000] as [UInt64])
  func due(rate: UInt64) {
    let schedule = Self.schedule(rate: rate)
    for index in 0..<2000 as Range<UInt64> {
      let time = schedule.intended(index)
      // At most one message has a given nanosecond, since rates end at a million.
      #expect(schedule.dueCount(at: time) == index + 1)
      let before = Deadline(nanoseconds: time.nanoseconds - 1)
      #expect(schedule.dueCount(at: before) == index)
    }
  }

  @Test("nothing is due before the start")
  func early() {
    #expect(Self.schedule(rate: 1000).dueCount(at: Deadline(nanoseconds: 0)) == 0)
  }

  @Test("an hour at the highest rate overflows nothing")
  func late() {
    let schedule = Self.schedule(rate: Schedule.rateMax)
    let hour = Self.start.advanced(by: .seconds(3600))
    #expect(schedule.dueCount(at: hour) == 3_600_000_001)
    #expect(schedule.intended(3_600_000_000) == hour)
  }
}
