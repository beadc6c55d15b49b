import Net
import Testing

@testable import Upstream

@Suite("health")
struct HealthTests {
  /// A letter for each change, so that a whole life reads as one line.
  private static func letter(_ change: Health.Change?) -> Character {
    switch change {
    case nil: "."
    case .becameHealthy: "H"
    case .becameUnhealthy: "U"
    case .ejected: "E"
    case .readmitted: "R"
    }
  }

  private static func letter(_ standing: Health.Standing) -> Character {
    switch standing {
    case .healthy: "h"
    case .ejected: "e"
    case .unhealthy: "u"
    }
  }

  @Test(
    "probes in a row decide: + is a good one, - a failed one",
    arguments: [
      (3, 2, "--", ".."), (3, 2, "---", "..U"), (3, 2, "--+---", ".....U"),
      (3, 2, "-----", "..U.."), (3, 2, "---++", "..U.H"), (3, 2, "---+-++", "..U...H"),
      (3, 2, "---++---++", "..U.H..U.H"), (3, 2, "++++", "...."), (1, 1, "-+-+", "UHUH"),
      (1, 3, "-++-+++", "U.....H"), (2, 1, "-+-+--+", ".....UH"),
    ])
  func probes(unhealthyAfter: Int, healthyAfter: Int, probes: String, changes: String) {
    let rules = HealthRules(unhealthyAfter: unhealthyAfter, healthyAfter: healthyAfter)
    var health = Health()
    var seen = ""
    for probe in probes {
      seen.append(Self.letter(health.probed(probe == "+", rules: rules, now: .at(0))))
    }
    #expect(seen == changes)
    let last = changes.last { $0 != "." }
    #expect(health.standing(now: .at(0)) == (last == "U" ? .unhealthy : .healthy))
  }

  @Test(
    "attempts in a row decide: + is a good one, - a failed one, t ten seconds and what is then",
    arguments: [
      // Two failures eject for 30 s.
      ("-", "."), ("--", ".E"), ("-+-", "..."), ("-+--", "...E"), ("+++", "..."),
      // Time alone ends an ejection, the good attempt after it is what is told.
      ("--ttt", ".Eeeh"), ("--ttt+", ".EeehR"), ("--ttt+-", ".EeehR."),
      // Somebody who found nobody else: a failure changes nothing, a success lets it in.
      ("------ttt", ".E....eeh"), ("--t+t", ".EeRh"), ("--t+--", ".EeR.E"),
      // Ejected again without a good attempt in between: 60, 120, 240 s, and not more.
      ("--ttt--tttttt", ".Eeeh.Eeeeeeh"),
      ("--ttt-+--ttt", ".Eeeh.R.Eeeh"),
    ])
  func attempts(attempts: String, changes: String) {
    let rules = EjectionRules(consecutiveFailures: 2, duration: .seconds(30))
    var health = Health()
    var seconds = 0
    var seen = ""
    for event in attempts {
      if event == "t" {
        seconds += 10
        seen.append(Self.letter(health.standing(now: .at(seconds))))
      } else {
        let change = health.attempted(event == "+", rules: rules, now: .at(seconds))
        seen.append(Self.letter(change))
      }
    }
    #expect(seen == changes)
  }

  @Test("an ejection is told with its end, and doubles up to eight times")
  func doubling() {
    let rules = EjectionRules(consecutiveFailures: 1, duration: .seconds(30))
    var health = Health()
    var now = 0
    for length in [30, 60, 120, 240, 240, 240] {
      let change = health.attempted(false, rules: rules, now: .at(now))
      #expect(change == .ejected(until: .at(now + length)))
      #expect(health.standing(now: .at(now + length - 1)) == .ejected)
      now += length
      #expect(health.standing(now: .at(now)) == .healthy)
    }
    let readmission = health.attempted(true, rules: rules, now: .at(now))
    #expect(readmission == .readmitted)
    let change = health.attempted(false, rules: rules, now: .at(now))
    #expect(change == .ejected(until: .at(now + 30)))
  }

  @Test("without rules nobody is ejected, and an ejection of before ends as it would have")
  func noRules() {
    let rules = EjectionRules(consecutiveFailures: 1, duration: .seconds(30))
    var health = Health()
    for _ in 0..<100 {
      let change = health.attempted(false, rules: nil, now: .at(0))
      #expect(change == nil)
    }
    _ = health.attempted(false, rules: rules, now: .at(0))
    let late = health.attempted(false, rules: nil, now: .at(40))
    #expect(late == nil)
    #expect(health.standing(now: .at(29)) == .ejected)
    #expect(health.standing(now: .at(30)) == .healthy)
  }

  @Test("who fails its probes is unhealthy, ejected or not")
  func both() {
    var health = Health()
    _ = health.attempted(
      false, rules: EjectionRules(consecutiveFailures: 1, duration: .seconds(60)), now: .at(0))
    let rules = HealthRules(unhealthyAfter: 1, healthyAfter: 1)
    _ = health.probed(false, rules: rules, now: .at(1))
    #expect(health.standing(now: .at(2)) == .unhealthy)
    #expect(health.standing(now: .at(99)) == .unhealthy)
    _ = health.probed(true, rules: rules, now: .at(10))
    // Its probes do not speak for what clients saw.
    #expect(health.standing(now: .at(59)) == .ejected)
    #expect(health.standing(now: .at(60)) == .healthy)
    // Slow start counts from the later of the two.
    #expect(health.share(now: .at(60), slowStart: .seconds(10)) == Health.shareMin)
  }

  @Test("an endless ejection is one, and no sum overflows")
  func endless() {
    let rules = EjectionRules(consecutiveFailures: 1, duration: .seconds(Int64.max))
    var health = Health()
    for _ in 0..<5 {
      _ = health.attempted(false, rules: rules, now: .at(0))
      #expect(health.standing(now: .at(1 << 30)) == .ejected)
      _ = health.attempted(true, rules: rules, now: .at(0))
    }
  }
}

@Suite("slow start")
struct SlowStartTests {
  private static func shares(_ health: Health, at seconds: [Int], over: Duration?) -> [Double] {
    seconds.map { health.share(now: .at($0), slowStart: over) }
  }

  private static func isNear(_ shares: [Double], _ expected: [Double]) -> Bool {
    shares.count == expected.count && zip(shares, expected).allSatisfy { abs($0 - $1) < 1e-9 }
  }

  private static let ramp = [0.1, 0.1, 0.19, 0.55, 0.91, 1, 1, 1]
  private static let seconds = [-5, 0, 1, 5, 9, 10, 11, 1_000_000]

  @Test("one that was there from the beginning takes all at once")
  func first() {
    let shares = Self.shares(Health(), at: [0, 1, 100], over: .seconds(10))
    #expect(shares == [1, 1, 1])
  }

  @Test("one that was added grows evenly from a tenth")
  func added() {
    let health = Health(warmingSince: .at(100))
    let shares = Self.shares(health, at: Self.seconds.map { 100 + $0 }, over: .seconds(10))
    #expect(Self.isNear(shares, Self.ramp), "\(shares)")
  }

  @Test(
    "without slow start there is none", arguments: [nil, .zero, .seconds(-1)] as [Duration?])
  func off(slowStart: Duration?) {
    let shares = Self.shares(Health(warmingSince: .at(100)), at: [99, 100], over: slowStart)
    #expect(shares == [1, 1])
  }

  @Test("one that is found healthy again grows from there")
  func healthyAgain() {
    let rules = HealthRules(unhealthyAfter: 1, healthyAfter: 2)
    var health = Health()
    for (second, succeeded) in [(0, false), (50, true), (100, true)] {
      _ = health.probed(succeeded, rules: rules, now: .at(second))
    }
    let shares = Self.shares(health, at: Self.seconds.map { 100 + $0 }, over: .seconds(10))
    #expect(Self.isNear(shares, Self.ramp), "\(shares)")
  }

  @Test("one whose ejection ends grows from its end, or from the good attempt that ended it")
  func readmitted() {
    let rules = EjectionRules(consecutiveFailures: 1, duration: .seconds(100))
    var health = Health()
    _ = health.attempted(false, rules: rules, now: .at(0))
    let seconds = Self.seconds.map { 100 + $0 }
    #expect(Self.isNear(Self.shares(health, at: seconds, over: .seconds(10)), Self.ramp))

    var late = health
    _ = late.attempted(true, rules: rules, now: .at(107))
    #expect(Self.isNear(Self.shares(late, at: seconds, over: .seconds(10)), Self.ramp))

    var early = health
    _ = early.attempted(true, rules: rules, now: .at(40))
    let earlier = Self.seconds.map { 40 + $0 }
    #expect(Self.isNear(Self.shares(early, at: earlier, over: .seconds(10)), Self.ramp))
  }
}

/// Lives made up by chance, each from a seed that a failure prints.
@Suite("health, whatever happens")
struct HealthPropertyTests {
  private struct Life {
    var chance: SplitMix
    let probing: HealthRules
    let ejecting: EjectionRules
    var health = Health()
    var second = 0

    init(seed: UInt64) {
      var chance = SplitMix(seed: seed)
      self.probing = HealthRules(
        unhealthyAfter: .random(in: 1...4, using: &chance),
        healthyAfter: .random(in: 1...4, using: &chance))
      self.ejecting = EjectionRules(
        consecutiveFailures: .random(in: 1...4, using: &chance),
        duration: .seconds(Int.random(in: 1...60, using: &chance)))
      self.chance = chance
    }

    mutating func event() -> Health.Change? {
      self.second += Int.random(in: 0...20, using: &self.chance)
      let succeeded = Int.random(in: 0..<3, using: &self.chance) == 0
      if Bool.random(using: &self.chance) {
        return self.health.probed(succeeded, rules: self.probing, now: .at(self.second))
      }
      return self.health.attempted(succeeded, rules: self.ejecting, now: .at(self.second))
    }
  }

  @Test("what is told is what changed", arguments: 0..<100 as Range<UInt64>)
  func changes(seed: UInt64) {
    var life = Life(seed: seed)
    var isUnhealthy = false
    var isEjected = false
    for _ in 0..<200 {
      let change = life.event()
      let now = Deadline.at(life.second)
      switch change {
      case nil: break
      case .becameUnhealthy:
        #expect(!isUnhealthy)
        isUnhealthy = true
      case .becameHealthy:
        #expect(isUnhealthy)
        isUnhealthy = false
      case .ejected(let until):
        let longest = life.ejecting.duration * Health.ejectionFactorMax
        #expect(until >= now.advanced(by: life.ejecting.duration))
        #expect(until <= now.advanced(by: longest))
        isEjected = true
      case .readmitted:
        #expect(isEjected)
        isEjected = false
      }
      #expect((life.health.standing(now: now) == .unhealthy) == isUnhealthy)
      #expect(isEjected || life.health.standing(now: now) != .ejected)
      let share = life.health.share(now: now, slowStart: .seconds(30))
      #expect((Health.shareMin...1).contains(share))
    }
  }

  @Test(
    "good probes and time bring everybody back, with the whole weight",
    arguments: 0..<100 as Range<UInt64>)
  func recovery(seed: UInt64) {
    var life = Life(seed: seed)
    for _ in 0..<200 {
      for _ in 0..<Int.random(in: 0...10, using: &life.chance) { _ = life.event() }
      var health = life.health
      for _ in 0..<life.probing.healthyAfter {
        _ = health.probed(true, rules: life.probing, now: .at(life.second))
      }
      let longest = life.ejecting.duration * Health.ejectionFactorMax
      let later = Deadline.at(life.second).advanced(by: longest)
      #expect(health.standing(now: later) == .healthy)
      let warm = later.advanced(by: .seconds(30))
      #expect(health.share(now: warm, slowStart: .seconds(30)) == 1)
    }
  }
}
