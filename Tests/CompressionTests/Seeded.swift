/// Chance that can be had again (SplitMix64).
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { self.state = seed }

  mutating func next() -> UInt64 {
    self.state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = self.state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// What payloads are made of.
enum Matter: CaseIterable {
  case zeros, text, noise

  func octets(_ count: Int, using chance: inout Seeded) -> [UInt8] {
    switch self {
    case .zeros:
      return [UInt8](repeating: 0, count: count)
    case .text:
      var text: [UInt8] = []
      while text.count < count {
        let price = Int.random(in: 1...9999, using: &chance)
        text += Array(#"{"symbol":"SLU","price":\#(price)},"#.utf8)
      }
      return Array(text[..<count])
    case .noise:
      var octets: [UInt8] = []
      octets.reserveCapacity(count + 8)
      while octets.count < count {
        let word = chance.next()
        for place in 0..<8 { octets.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(place)))) }
      }
      return Array(octets[..<count])
    }
  }
}
