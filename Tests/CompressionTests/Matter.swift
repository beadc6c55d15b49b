import Net

/// What payloads are made of.
enum Matter: CaseIterable {
  case zeros, text, noise

  func octets(_ count: Int, using chance: inout SplitMix) -> [UInt8] {
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
