import Testing

@testable import Upstream

/// Gives what the test wrote down, over and over.
private struct Scripted: RandomNumberGenerator {
  private let values: [UInt64]
  private var index = 0

  init(_ values: UInt64...) { self.values = values }

  mutating func next() -> UInt64 {
    defer { self.index += 1 }
    return self.values[self.index % self.values.count]
  }
}

@Suite("balancer")
struct BalancerTests {
  private static func candidates(_ weights: [Int], loads: [Int]? = nil) -> [Balancer.Candidate] {
    weights.enumerated().map { index, weight in
      Balancer.Candidate(index: index, weight: weight, load: loads?[index] ?? 0)
    }
  }

  private static func picks(
    _ count: Int, _ balancer: inout Balancer, _ candidates: [Balancer.Candidate]
  ) -> [Int] {
    var chance = SystemRandomNumberGenerator()
    return (0..<count).compactMap { _ in balancer.pick(from: candidates, using: &chance) }
  }

  @Test("nobody to pick from", arguments: Balance.allCases)
  func empty(balance: Balance) {
    var balancer = Balancer(balance)
    var chance = SystemRandomNumberGenerator()
    #expect(balancer.pick(from: [], using: &chance) == nil)
  }

  @Test("the only one is picked, whatever its load", arguments: Balance.allCases)
  func single(balance: Balance) {
    var balancer = Balancer(balance)
    let only = [Balancer.Candidate(index: 3, weight: 1000, load: 1 << 20)]
    #expect(Self.picks(5, &balancer, only) == [3, 3, 3, 3, 3])
  }

  @Test(
    "in turn, each is picked as often as its weight says, in every cycle",
    arguments: [[1], [1, 1, 1], [5, 1, 1], [2, 3, 7, 11], [1000, 1], [4, 4, 8]])
  func weights(weights: [Int]) {
    var balancer = Balancer(.roundRobin)
    let cycle = weights.reduce(0, +)
    for _ in 0..<3 {
      let picks = Self.picks(cycle, &balancer, Self.candidates(weights))
      let counts = weights.indices.map { index in picks.count { $0 == index } }
      #expect(counts == weights)
    }
  }

  @Test("in turn, a heavy one does not come in bursts")
  func smooth() {
    var balancer = Balancer(.roundRobin)
    #expect(
      Self.picks(7, &balancer, Self.candidates([5, 1, 1])) == [0, 0, 1, 0, 2, 0, 0])
  }

  @Test("in turn, those that were tried are passed over, and their turn comes later")
  func avoiding() {
    var balancer = Balancer(.roundRobin)
    let all = Self.candidates([1, 1, 1])
    let without = Self.picks(4, &balancer, Array(all[1...]))
    #expect(without == [1, 2, 1, 2])
    let picks = Self.picks(300, &balancer, all)
    for index in 0..<3 {
      let count = picks.count { $0 == index }
      #expect((99...101).contains(count), "\(index): \(count)")
    }
  }

  @Test(
    "the least busy for its weight is picked",
    arguments: [
      ([1, 1, 1], [3, 2, 4], 1), ([1, 1], [0, 5], 0), ([2, 1], [2, 1], 0), ([1, 10], [0, 8], 1),
      ([1, 10], [0, 9], nil), ([1, 10], [0, 10], 0), ([1000, 1], [998, 0], 0),
    ] as [([Int], [Int], Int?)])
  func leastBusy(weights: [Int], loads: [Int], expected: Int?) {
    var balancer = Balancer(.leastConnections)
    let picks = Self.picks(20, &balancer, Self.candidates(weights, loads: loads))
    // Without an expected one they are equals, which take turns.
    #expect(Set(picks) == (expected.map { [$0] } ?? Set(weights.indices)))
  }

  @Test("equals take turns")
  func turns() {
    var balancer = Balancer(.leastConnections)
    let picks = Self.picks(9, &balancer, Self.candidates([1, 1, 1], loads: [4, 4, 4]))
    #expect(Set(picks[0..<3]) == [0, 1, 2])
    #expect(picks[0..<3] == picks[3..<6])
  }

  @Test("least connections settle in proportion to the weights")
  func proportion() {
    var balancer = Balancer(.leastConnections)
    let weights = [1, 2, 5]
    var loads = [0, 0, 0]
    for _ in 0..<800 {
      for pick in Self.picks(1, &balancer, Self.candidates(weights, loads: loads)) {
        loads[pick] += 1
      }
    }
    #expect(loads == [100, 200, 500])
  }

  @Test("of two picked at random, the less busy one is taken, the first of equals")
  func randomTwo() {
    // The top bits choose: few set bits are the first index of the range, all ones the last. Not 0,
    // which the standard library draws again.
    let first: UInt64 = 1 << 40
    let last = UInt64.max
    let candidates = Self.candidates([1, 1, 1], loads: [2, 9, 1])
    for (values, expected) in [
      // Index 0, then the first of the others, which is 1.
      ((first, first), 0),
      // Index 0, then the last of the others, which is 2.
      ((first, last), 2),
      // Index 2, then the first of the others, which is 0.
      ((last, first), 2),
      // Index 2, then the last of the others, which is 1.
      ((last, last), 2),
    ] {
      var balancer = Balancer(.randomTwo)
      var chance = Scripted(values.0, values.1)
      #expect(balancer.pick(from: candidates, using: &chance) == expected)
    }
    var balancer = Balancer(.randomTwo)
    var chance = Scripted(last, first)
    #expect(balancer.pick(from: Self.candidates([1, 1, 1]), using: &chance) == 2)
  }

  @Test("the busiest of all is never picked at random")
  func neverTheBusiest() {
    var balancer = Balancer(.randomTwo)
    let picks = Self.picks(500, &balancer, Self.candidates([1, 1, 1], loads: [5, 9, 5]))
    #expect(Set(picks) == [0, 2])
  }

  @Test("at random, weights count, too")
  func weightedRandomTwo() {
    var balancer = Balancer(.randomTwo)
    let picks = Self.picks(50, &balancer, Self.candidates([1, 4], loads: [2, 10]))
    #expect(Set(picks) == [1])
  }
}
