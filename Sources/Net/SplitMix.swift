/// Chance that repeats itself for a seed (Steele, Lea and Flood's SplitMix64): good enough to spread
/// load, to name requests and to make up a test's octets, not for secrets.
public struct SplitMix: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// The sequence of this seed.
  public init(seed: UInt64) { self.state = seed }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    self.state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = self.state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
