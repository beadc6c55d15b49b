internal import Glibc

/// Picks one of several endpoints. Pure: loads and chance are passed in.
public struct Balancer: Sendable {
  /// What is known of an endpoint at the moment of the choice.
  public struct Candidate: Equatable, Sendable {
    /// Index in the group's list.
    public let index: Int
    /// At least 1; only its proportion to the others' counts.
    public let weight: Int
    /// Tunnels and attempts that it has now, over the whole process.
    public let load: Int
    /// hash: what it is known by in every process.
    public let stableID: UInt64

    /// What a group, or a test, knows of an endpoint.
    public init(index: Int, weight: Int, load: Int, stableID: UInt64 = 0) {
      self.index = index
      self.weight = weight
      self.load = load
      self.stableID = stableID
    }
  }

  private let balance: Balance
  /// round_robin: what each index is owed. Its sum is always zero.
  private var credits: [Int] = []
  /// least_connections: where the search begins, so that equals take turns.
  private var turn = 0

  /// A balancer that has not picked yet.
  public init(_ balance: Balance) { self.balance = balance }

  /// The index of the endpoint to use, `nil` where there is no candidate.
  ///
  /// - Parameter hashKey: what hash goes by; `nil` where the request has nothing to hash.
  public mutating func pick(
    from candidates: [Candidate], hashKey: UInt64? = nil,
    using chance: inout some RandomNumberGenerator
  ) -> Int? {
    guard !candidates.isEmpty else { return nil }
    return switch self.balance {
    case .roundRobin: self.pickInTurn(candidates)
    case .leastConnections: self.pickLeastBusy(candidates)
    case .randomTwo: Self.pickOfTwo(candidates, using: &chance)
    case .hash:
      hashKey.map { Self.pickByHash($0, candidates) }
        ?? Self.pickOfTwo(candidates, using: &chance)
    }
  }

  /// Smooth weighted round robin: each candidate earns its weight, the richest one pays for all.
  private mutating func pickInTurn(_ candidates: [Candidate]) -> Int? {
    let highest = candidates.reduce(0) { max($0, $1.index) }
    if highest >= self.credits.count {
      self.credits += Array(repeating: 0, count: highest + 1 - self.credits.count)
    }
    var richest: Candidate?
    var total = 0
    for candidate in candidates {
      self.credits[candidate.index] += candidate.weight
      total += candidate.weight
      if richest.map({ self.credits[candidate.index] > self.credits[$0.index] }) ?? true {
        richest = candidate
      }
    }
    if let richest { self.credits[richest.index] -= total }
    return richest?.index
  }

  private mutating func pickLeastBusy(_ candidates: [Candidate]) -> Int? {
    self.turn &+= 1
    let start = Int(UInt(bitPattern: self.turn) % UInt(candidates.count))
    let rotated = candidates[start...] + candidates[..<start]
    return rotated.min { Self.isLessBusy($0, $1) }?.index
  }

  private static func pickOfTwo(
    _ candidates: [Candidate], using chance: inout some RandomNumberGenerator
  ) -> Int? {
    let first = Int.random(in: 0..<candidates.count, using: &chance)
    guard candidates.count > 1 else { return candidates[first].index }
    var second = Int.random(in: 0..<candidates.count - 1, using: &chance)
    if second >= first { second += 1 }
    let (one, two) = (candidates[first], candidates[second])
    return Self.isLessBusy(two, one) ? two.index : one.index
  }

  /// Compares what each would have with one more, in proportion to its weight.
  private static func isLessBusy(_ one: Candidate, _ two: Candidate) -> Bool {
    (one.load + 1) * two.weight < (two.load + 1) * one.weight
  }

  /// Weighted rendezvous hashing (Thaler and Ravishankar; Schindelhauer and Schomaker for weights):
  /// every candidate draws a lot for the key, and the highest wins. As no lot depends on who else
  /// draws, only the keys of a candidate that goes move, each to its own second choice, and one
  /// that comes takes its part evenly from all.
  private static func pickByHash(_ hashKey: UInt64, _ candidates: [Candidate]) -> Int? {
    var best: (index: Int, lot: Double)?
    for candidate in candidates {
      let lot = Self.lot(of: candidate, for: hashKey)
      if best.map({ lot > $0.lot }) ?? true { best = (candidate.index, lot) }
    }
    return best?.index
  }

  /// With u even between 0 and 1, -weight / ln u is the highest of all as often as the weight says.
  private static func lot(of candidate: Candidate, for hashKey: UInt64) -> Double {
    // 52 bits and a half are what a Double holds; the half keeps u off 0 and 1, which draw no lots.
    let bits = mixed(hashKey ^ candidate.stableID) >> 12
    return -Double(candidate.weight) / log((Double(bits) + 0.5) / 0x1p52)
  }
}
