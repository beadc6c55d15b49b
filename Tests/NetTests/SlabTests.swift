import Testing

@testable import Net

/// Says when it goes.
private struct Mortal: ~Copyable {
  final class Deaths { var names: [Int] = [] }

  let name: Int
  let deaths: Deaths

  deinit { self.deaths.names.append(self.name) }
}

private struct SlabIsFull: Error {}
private struct TokenIsStale: Error {}

// `#require` copies what it looks at, which a slab does not allow.
extension Slab where Element: ~Copyable {
  fileprivate mutating func token() throws -> Token {
    guard let token = self.nextToken() else { throw SlabIsFull() }
    return token
  }

  fileprivate mutating func add(_ element: consuming Element) throws -> Token {
    let token = try self.token()
    self.insert(element, as: token)
    return token
  }

  fileprivate func slot(_ token: Token) throws -> Int {
    guard let slot = self.liveSlot(for: token) else { throw TokenIsStale() }
    return slot
  }
}

@Suite("slab")
struct SlabTests {
  private let deaths = Mortal.Deaths()

  @Test("a token finds its element, and nothing after that")
  func staleToken() throws {
    var slab = Slab<Mortal>(slotCountMax: 8)
    let token = try slab.add(Mortal(name: 1, deaths: self.deaths))
    let slot = try slab.slot(token)
    let name = slab[slot].name
    #expect(name == 1)
    #expect(slab.token(of: slot) == token)

    _ = slab.remove(slot)
    let stale = slab.liveSlot(for: token)
    #expect(stale == nil)
    #expect(self.deaths.names == [1])

    let next = try slab.token()
    #expect(next.slot == token.slot)
    #expect(next.generation != token.generation)
    slab.insert(Mortal(name: 2, deaths: self.deaths), as: next)
    let older = slab.liveSlot(for: token)
    let newer = slab.liveSlot(for: next)
    #expect(older == nil)
    #expect(newer == slot)
  }

  @Test("a token of generation 0 never finds an element, not even in a slot that was never taken")
  func foreignToken() throws {
    var slab = Slab<Mortal>(slotCountMax: 8)
    let before = slab.liveSlot(for: Token(slot: 0, generation: 0))
    #expect(before == nil)
    let token = try slab.add(Mortal(name: 1, deaths: self.deaths))
    for slot in 0..<8 as Range<UInt32> {
      let found = slab.liveSlot(for: Token(slot: slot, generation: 0))
      #expect(found == nil)
    }
    _ = slab.remove(Int(token.slot))
    let freed = slab.liveSlot(for: slab.token(of: Int(token.slot)))
    #expect(freed == nil)
  }

  @Test("asking for the next token twice gives the same one")
  func nextTokenIsStable() {
    var slab = Slab<Mortal>(slotCountMax: 8)
    let first = slab.nextToken()
    let second = slab.nextToken()
    #expect(first != nil)
    #expect(first == second)
  }

  @Test("the slab grows to its limit, and elements stay where they are", arguments: [1, 256, 700])
  func growth(limit: Int) throws {
    var slab = Slab<Mortal>(slotCountMax: limit)
    var tokens: [Token] = []
    for name in 0..<limit {
      let token = try slab.add(Mortal(name: name, deaths: self.deaths))
      tokens.append(token)
    }
    let full = slab.nextToken()
    let count = slab.count
    #expect(full == nil)
    #expect(count == limit)
    #expect(Set(tokens).count == limit)
    for (name, token) in tokens.enumerated() {
      let slot = try slab.slot(token)
      let found = slab[slot].name
      #expect(found == name)
    }
    let middle = try slab.slot(tokens[limit / 2])
    _ = slab.remove(middle)
    let free = slab.nextToken()
    #expect(free?.slot == tokens[limit / 2].slot)
  }

  @Test("an element is changed in place")
  func inPlace() throws {
    var slab = Slab<[Int]>(slotCountMax: 4)
    let token = try slab.add([])
    for number in 0..<100 { slab[Int(token.slot)].append(number) }
    let element = slab.remove(Int(token.slot))
    #expect(element == Array(0..<100))
  }

  @Test("what lives in a slab that goes, goes with it, and once only")
  func end() throws {
    do {
      var slab = Slab<Mortal>(slotCountMax: 600)
      for name in 0..<600 {
        _ = try slab.add(Mortal(name: name, deaths: self.deaths))
      }
      for slot in stride(from: 0, to: 600, by: 2) { _ = slab.remove(slot) }
      #expect(self.deaths.names.count == 300)
    }
    #expect(self.deaths.names.count == 600)
    #expect(Set(self.deaths.names) == Set(0..<600))
  }

  @Test("a slab does what a dictionary by token does")
  func model() throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    var slab = Slab<Int>(slotCountMax: 300)
    var model: [Token: Int] = [:]
    var dead: [Token] = []
    for step in 0..<20_000 {
      if Int.random(in: 0..<100, using: &chance) < (step / 2000 % 2 == 0 ? 60 : 35) {
        guard let token = slab.nextToken() else {
          try #require(model.count == 300, "seed \(seed)")
          continue
        }
        try #require(model[token] == nil, "seed \(seed)")
        slab.insert(step, as: token)
        model[token] = step
      } else if let token = model.keys.sorted(by: { $0.epollData < $1.epollData })
        .randomElement(using: &chance)
      {
        let slot = try slab.slot(token)
        let element = slab.remove(slot)
        try #require(element == model.removeValue(forKey: token), "seed \(seed)")
        dead.append(token)
      }
      let count = slab.count
      try #require(count == model.count, "seed \(seed)")
      if let token = dead.randomElement(using: &chance) {
        let slot = slab.liveSlot(for: token)
        try #require(slot == nil, "seed \(seed)")
      }
    }
  }
}
