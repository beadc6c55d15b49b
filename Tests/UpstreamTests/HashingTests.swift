import Net
import Testing

@testable import Upstream

@Suite("rendezvous hashing")
struct RendezvousTests {
  private static let keys = (0..<20_000).map { hashKey(of: "session-\($0)".utf8) }

  /// Candidates as a group has them; the place is the same however many go.
  private static func candidates(_ weights: [Int]) -> [Balancer.Candidate] {
    weights.enumerated().map { index, weight in
      let id = hashKey(of: "ws://10.0.0.\(index):80|10.0.0.\(index):80".utf8)
      return Balancer.Candidate(index: index, weight: weight, load: 0, stableID: id)
    }
  }

  private static func picks(_ candidates: [Balancer.Candidate]) -> [Int] {
    var balancer = Balancer(.hash)
    var chance = SplitMix(seed: 1)
    return Self.keys.compactMap { key in
      balancer.pick(from: candidates, hashKey: key, using: &chance)
    }
  }

  private static func counts(_ picks: [Int], _ count: Int) -> [Int] {
    picks.reduce(into: Array(repeating: 0, count: count)) { $0[$1] += 1 }
  }

  @Test(
    "keys spread as the weights say",
    arguments: [
      [1, 1], [1, 1, 1, 1, 1], [1, 2, 5], [100, 200, 500], [10, 100_000],
      [100_000, 50_000, 25_000],
    ])
  func spread(weights: [Int]) {
    let counts = Self.counts(Self.picks(Self.candidates(weights)), weights.count)
    let total = weights.reduce(0, +)
    for (count, weight) in zip(counts, weights) {
      let expected = Double(Self.keys.count * weight) / Double(total)
      // Four standard deviations at the most, of a draw that is the same each time.
      let tolerance = 4 * expected.squareRoot() + 1
      #expect(abs(Double(count) - expected) <= tolerance, "\(counts)")
    }
  }

  @Test("one that goes moves its own keys only, and those spread over the rest")
  func removal() {
    let all = Self.candidates(Array(repeating: 1, count: 10))
    let before = Self.picks(all)
    for gone in all.indices {
      let after = Self.picks(all.filter { $0.index != gone })
      let moved = zip(before, after).filter { $0 != $1 }
      #expect(moved.allSatisfy { $0.0 == gone })
      #expect(moved.count == before.count { $0 == gone })
      let heirs = Self.counts(moved.map(\.1), 10)
      let expected = Double(moved.count) / 9
      for (heir, count) in heirs.enumerated() where heir != gone {
        #expect(abs(Double(count) - expected) < 4 * expected.squareRoot(), "\(gone): \(heirs)")
      }
    }
  }

  @Test("one that comes takes its part, and nobody else gains")
  func addition() {
    let all = Self.candidates(Array(repeating: 1, count: 11))
    let before = Self.picks(Array(all[..<10]))
    let moved = zip(before, Self.picks(all)).filter { $0 != $1 }
    #expect(moved.allSatisfy { $0.1 == 10 })
    let expected = Double(Self.keys.count) / 11
    #expect(abs(Double(moved.count) - expected) < 0.05 * expected, "\(moved.count)")
  }

  @Test("one that grows warm only gains")
  func warming() {
    var before = Self.picks(Self.candidates([100, 100, 10]))
    for weight in [20, 50, 100] {
      let after = Self.picks(Self.candidates([100, 100, weight]))
      #expect(zip(before, after).allSatisfy { $0 == $1 || $1 == 2 })
      before = after
    }
  }

  @Test("neither load nor order nor chance matter where there is a key")
  func stable() {
    let candidates = Self.candidates([1, 2, 3, 4])
    let busy = candidates.reversed().map {
      Balancer.Candidate(
        index: $0.index, weight: $0.weight, load: 1000 * $0.index, stableID: $0.stableID)
    }
    #expect(Self.picks(candidates) == Self.picks(busy))
  }

  @Test("without a key it is the less busy of two")
  func noKey() {
    let candidates = [5, 9, 5].enumerated().map { index, load in
      Balancer.Candidate(index: index, weight: 1, load: load, stableID: UInt64(index))
    }
    var (hash, two) = (Balancer(.hash), Balancer(.randomTwo))
    var (one, other) = (SplitMix(seed: 7), SplitMix(seed: 7))
    for _ in 0..<200 {
      let pick = hash.pick(from: candidates, using: &one)
      #expect(pick == two.pick(from: candidates, using: &other))
      #expect(pick != 1)
    }
  }

  @Test("the lowest and the highest number draw lots, too")
  func extremes() {
    for key in [0, .max, 1 << 63] as [UInt64] {
      for id in [0, .max, key] as [UInt64] {
        let only = Balancer.Candidate(index: 0, weight: 1, load: 0, stableID: id)
        var balancer = Balancer(.hash)
        var chance = SplitMix(seed: 1)
        let pick = balancer.pick(from: [only], hashKey: key, using: &chance)
        #expect(pick == 0)
      }
    }
  }
}

@Suite("stable numbers")
struct StableNumberTests {
  @Test(
    "octets have the same number for good",
    arguments: [
      ("", 0xC381_7C01_6BA4_FF30), ("a", 0x5F29_C2AA_DD9B_8527),
      ("ws://10.0.0.1:80|10.0.0.1:80", 0x4521_F630_5702_5390),
    ] as [(String, UInt64)])
  func known(text: String, number: UInt64) {
    #expect(hashKey(of: text.utf8) == number)
    #expect(hashKey(of: Array(text.utf8)) == number)
  }

  @Test("an endpoint's is that of its server and address")
  func endpoints() throws {
    let group = try Group("ws://10.0.0.1", "unix:/run/a.sock", "ws://chat:9000", "wss://10.0.0.1")
    group.update("chat", to: addresses("::7", "::8"))
    let ids = group.endpoints.map(\.stableID)
    #expect(ids.prefix(3) == [0x4521_F630_5702_5390, 0xD1B8_8795_2074_B871, 0x1E71_78F3_97A6_88BC])
    #expect(Set(ids).count == 5)
  }
}

@Suite("hash keys")
struct HashKeyTests {
  @Test(
    "a key is read and written",
    arguments: [
      ("client_address", .clientAddress), ("header:X-Session", .header("X-Session")),
      ("cookie:session", .cookie("session")), ("query:room", .query("room")),
      ("query:a:b", .query("a:b")), ("claim:sub", .claim("sub")),
      ("claim:https://id.example/team", .claim("https://id.example/team")),
    ] as [(String, HashKey)])
  func reads(text: String, key: HashKey) throws {
    #expect(try HashKey(parsing: text) == key)
    #expect(key.description == text)
  }

  @Test(
    "what is none is quoted in the error",
    arguments: [
      "", ":", "client_address:", "client_address:x", "Client_Address", "header", "header:",
      "header:a b", "header:a:b", "header:ä", "cookie:", "cookie:a=b", "cookie:a;b", "query:",
      "query:a&b", "query:a=b", "query:a%20b", "query:a+b", "claim:", "claim", "path:/",
      " header:a",
    ])
  func refuses(text: String) {
    #expect {
      _ = try HashKey(parsing: text)
    } throws: { error in
      (error as? HashKeyError)?.message.contains("\"\(text)\"") == true
    }
  }
}
