import ArgumentParser
import Net

/// What heartbeats cost where there are many: every tunnel has one timer, which fires, finds out when
/// it has to look again, and is set anew.
struct TimersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "timers", abstract: "Time the wheel that holds the deadlines of tunnels.")

  @Option(help: "Timers in the wheel.")
  var count = 1_000_000

  @Option(help: "The interval at which each fires, in seconds of the wheel's own time.")
  var interval = 25

  @Option(help: "How many intervals pass.")
  var rounds = 4

  func validate() throws {
    guard count > 0, interval > 0, rounds > 0 else {
      throw ValidationError("--count, --interval and --rounds have to be above 0.")
    }
  }

  func run() {
    let begin = Deadline(nanoseconds: 0)
    var wheel = TimerWheel(now: begin)
    let period = Duration.seconds(self.interval)
    report("set", self.count) {
      for slot in 0..<self.count { wheel.arm(slot, at: self.first(slot, begin)) }
    }
    report("moved", self.count) {
      for slot in 0..<self.count { wheel.arm(slot, at: self.first(slot, begin)) }
    }
    var firedCount = 0
    let tickCount = self.rounds * self.interval * 125
    report("fired and set again", self.count * self.rounds) {
      for tick in 1...tickCount {
        let now = begin.advanced(by: TimerWheel.tick * tick)
        while let slot = wheel.expire(now: now) {
          wheel.arm(slot, at: now.advanced(by: period))
          firedCount += 1
        }
      }
    }
    print("\(firedCount) have fired, \(wheel.count) are set")
  }

  /// Spread over the interval, as tunnels that began at any time.
  private func first(_ slot: Int, _ begin: Deadline) -> Deadline {
    let nanoseconds = UInt64(self.interval) * 1_000_000_000
    let share = UInt64(slot) &* 0x9E37_79B9_7F4A_7C15 % nanoseconds
    return begin.advanced(by: .nanoseconds(Int64(share)))
  }

  private func report(_ name: String, _ count: Int, _ work: () -> Void) {
    let clock = ContinuousClock()
    let nanoseconds = clock.measure(work) / .nanoseconds(count)
    print("\(name): \((nanoseconds * 10).rounded() / 10) ns a timer")
  }
}
