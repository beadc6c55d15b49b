import Net
import Testing

@testable import Token

extension ContinuousClock.Instant {
  private static let start = ContinuousClock.now

  /// So many seconds after the start of the tests.
  static func at(_ seconds: Double) -> Self { self.start.advanced(by: .seconds(seconds)) }
}

@Suite("When a key set is fetched")
struct KeySetPolicyTests {
  /// What happens, and the second at which it does.
  enum Step: Sendable {
    case asks(Double, KeySetPolicy.Wanted, KeySetPolicy.OnAsked)
    case settles(KeySetPolicy.Wanted, KeySetPolicy.OnAsked)
    case isDue(Double, Bool)
    /// A fetch ends, and the second of the next follows.
    case fetched(Double, next: Double)
    case failed(Double, next: Double)
  }

  struct Script: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let steps: [Step]

    init(_ name: String, _ steps: Step...) {
      self.testDescription = name
      self.steps = steps
    }
  }

  static let scripts = [
    Script(
      "the first who asks has it fetched, and the others wait for the same",
      .asks(0, .unknown, .fetch), .asks(1, .unknown, .wait), .asks(2, .known, .wait),
      .fetched(3, next: 303), .settles(.known, .useKeys), .settles(.unknown, .useKeys),
      .asks(4, .known, .useKeys)),
    Script(
      "the timer is first",
      .isDue(0, true), .isDue(0, false), .asks(1, .known, .wait), .fetched(1, next: 301),
      .isDue(300.9, false), .isDue(301, true), .asks(301, .known, .useKeys),
      .fetched(302, next: 602)),
    Script(
      "without any keys there is no telling, and nobody hurries the retries",
      .asks(0, .known, .fetch), .failed(5, next: 6), .settles(.known, .unavailable),
      .asks(5.5, .known, .unavailable), .asks(5.9, .unknown, .unavailable),
      .asks(6, .unknown, .fetch), .failed(6, next: 8), .isDue(7, false), .isDue(8, true),
      .failed(8, next: 12), .isDue(12, true), .failed(12, next: 20), .isDue(20, true),
      .failed(20, next: 36), .isDue(36, true), .failed(36, next: 68), .isDue(68, true),
      .failed(68, next: 128), .isDue(128, true), .failed(128, next: 188), .isDue(188, true),
      .fetched(188, next: 488), .asks(188, .unknown, .fetch), .failed(188, next: 189)),
    Script(
      "an unknown key has the set fetched at once, but not again for ten seconds",
      .isDue(0, true), .fetched(0, next: 300), .asks(1, .unknown, .fetch),
      .asks(1, .known, .useKeys), .asks(1, .unknown, .wait), .fetched(2, next: 302),
      .settles(.unknown, .useKeys), .asks(3, .unknown, .useKeys), .asks(10.9, .unknown, .useKeys),
      .asks(11, .unknown, .fetch), .fetched(12, next: 312), .asks(20.9, .unknown, .useKeys)),
    Script(
      "a failure keeps the keys, and an unknown one is not called wrong",
      .isDue(0, true), .fetched(0, next: 300), .isDue(300, true), .failed(305, next: 306),
      .asks(305, .known, .useKeys), .settles(.known, .useKeys), .settles(.unknown, .unavailable),
      .asks(305, .unknown, .fetch), .asks(305, .known, .useKeys), .failed(306, next: 308),
      .asks(306, .unknown, .unavailable), .isDue(308, true), .asks(308, .unknown, .wait),
      .fetched(309, next: 609), .settles(.unknown, .useKeys), .asks(310, .unknown, .useKeys),
      .isDue(608, false)),
  ]

  @Test("scripts", arguments: scripts)
  func follows(script: Script) {
    var policy = KeySetPolicy(refresh: .seconds(300))
    for (index, step) in script.steps.enumerated() {
      switch step {
      case .asks(let second, let wanted, let expected):
        let answer = policy.asked(for: wanted, now: .at(second))
        #expect(answer == expected, "step \(index)")
      case .settles(let wanted, let expected):
        #expect(policy.settled(wanted) == expected, "step \(index)")
      case .isDue(let second, let expected):
        let begins = policy.begin(now: .at(second))
        #expect(begins == expected, "step \(index)")
      case .fetched(let second, let next):
        policy.fetched(now: .at(second), chance: 0.5)
        #expect(policy.nextFetchAt == .at(next), "step \(index)")
      case .failed(let second, let next):
        let delay = policy.failed(now: .at(second))
        #expect(policy.nextFetchAt == .at(next), "step \(index)")
        #expect(delay == .seconds(next - second), "step \(index)")
      }
    }
  }

  @Test("a refresh comes ten per cent earlier or later", arguments: [(0.0, 270.0), (1, 330)])
  func jitter(chance: Double, next: Double) {
    var policy = KeySetPolicy(refresh: .seconds(300))
    _ = policy.begin(now: .at(0))
    policy.fetched(now: .at(0), chance: chance)
    let distance = policy.nextFetchAt.map { $0 - .at(next) }
    #expect(distance.map { abs($0 / .milliseconds(1)) < 1 } == true)
  }

  /// Random events; after each of them what must hold whatever came before.
  @Test("what always holds", arguments: 0..<200)
  func properties(seed: UInt64) {
    var chance = SplitMix(seed: seed)
    var policy = KeySetPolicy(refresh: .seconds(60))
    var (second, hasKeys, isFetching) = (0.0, false, false)
    var beganAt: [Double] = []
    for _ in 0..<300 {
      second += Double.random(in: 0..<4, using: &chance)
      switch Int.random(in: 0..<4, using: &chance) {
      case 0 where isFetching:
        policy.fetched(now: .at(second), chance: .random(in: 0..<1, using: &chance))
        (hasKeys, isFetching) = (true, false)
      case 1 where isFetching:
        policy.failed(now: .at(second))
        isFetching = false
      case 2:
        guard policy.begin(now: .at(second)) else { break }
        #expect(!isFetching, "one fetch at a time")
        isFetching = true
      default:
        let wanted: KeySetPolicy.Wanted = Bool.random(using: &chance) ? .known : .unknown
        switch policy.asked(for: wanted, now: .at(second)) {
        case .useKeys: #expect(hasKeys)
        case .wait: #expect(isFetching)
        case .unavailable: #expect(!hasKeys || wanted == .unknown)
        case .fetch:
          #expect(!isFetching, "one fetch at a time")
          #expect(!hasKeys || wanted == .unknown, "known keys cost nothing")
          if hasKeys { beganAt.append(second) }
          isFetching = true
        }
      }
      #expect(policy.isFetching == isFetching)
      #expect(policy.settled(.known) == (hasKeys ? .useKeys : .unavailable))
    }
    for (earlier, later) in zip(beganAt, beganAt.dropFirst()) {
      #expect(later - earlier >= 9.999, "unknown keys are asked for every ten seconds at most")
    }
  }
}
