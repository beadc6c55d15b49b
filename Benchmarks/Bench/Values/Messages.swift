import Net

/// What a message is: so many octets of the ``Pattern``, from a place in it that tells messages and
/// connections apart.
struct Message: Equatable {
  let byteCount: Int
  let shift: Int
}

/// How large messages are.
enum MessageSizes: Equatable {
  case fixed(Int)
  /// Sixty in a hundred have 32 to 512 octets, thirty 512 to 8 KiB, ten 8 KiB to 256 KiB, evenly
  /// spread within each range.
  case mixed

  /// The ranges of ``mixed``, each with the number of those in a hundred that fall below its end.
  static let mixedRanges: [(below: Int, sizes: ClosedRange<Int>)] = [
    (60, 32...512), (90, 512...8192), (100, 8192...262_144),
  ]

  func next(_ chance: inout SplitMix) -> Int {
    guard case .mixed = self else {
      return if case .fixed(let size) = self { size } else { 0 }
    }
    let draw = Int.random(in: 0..<100, using: &chance)
    let range = Self.mixedRanges.first { draw < $0.below } ?? Self.mixedRanges[0]
    return Int.random(in: range.sizes, using: &chance)
  }
}

/// The messages of one connection in their order. The side that checks them has a copy of the side
/// that sends: the seed is fixed, so nothing has to be remembered.
struct MessageSequence {
  private static let seed: UInt64 = 0x51_1CE
  private let sizes: MessageSizes
  private let connection: Int
  private var chance: SplitMix
  /// Messages drawn so far.
  private(set) var count: UInt64 = 0

  init(_ sizes: MessageSizes, connection: Int) {
    self.sizes = sizes
    self.connection = connection
    self.chance = SplitMix(seed: Self.seed &+ UInt64(connection))
  }

  mutating func next() -> Message {
    let shift = UInt64(self.connection) &* 7919 &+ self.count &* 104_729
    self.count += 1
    return Message(
      byteCount: self.sizes.next(&self.chance), shift: Int(shift % UInt64(Pattern.period)))
  }
}

/// The octets of which all messages are pieces: chance from a fixed seed, repeated without end.
struct Pattern {
  /// A prime, so that no power of two of a peer's buffers falls on the same place twice.
  static let period = 65_521
  /// Twice the period: a piece of up to a period lies in it as a whole, wherever it begins.
  private let octets: [UInt8]

  init() {
    var chance = SplitMix(seed: 0x0C7E75)
    let once = (0..<Self.period).map { _ in UInt8.random(in: .min ... .max, using: &chance) }
    self.octets = once + once
  }

  /// Calls `body` with the octets of `message` from `offset` on: at most `count`, and at most a
  /// period.
  func withOctets<Result>(
    of message: Message, from offset: Int, count: Int, _ body: (Span<UInt8>) -> Result
  ) -> Result {
    let start = (message.shift + offset) % Self.period
    let count = min(count, message.byteCount - offset, Self.period)
    return body(self.octets.span.extracting(start..<start + count))
  }

  /// Whether `octets` are what `message` has from `offset` on.
  func matches(_ octets: Span<UInt8>, _ message: Message, from offset: Int) -> Bool {
    guard offset + octets.count <= message.byteCount else { return false }
    var done = 0
    while done < octets.count {
      let (count, isSame) = self.withOctets(
        of: message, from: offset + done, count: octets.count - done
      ) { expected in
        (expected.count, Self.isSame(octets.extracting(done..<done + expected.count), expected))
      }
      guard isSame else { return false }
      done += count
    }
    return true
  }

  /// Without an early end, so that the compiler makes vectors of it.
  private static func isSame(_ one: Span<UInt8>, _ other: Span<UInt8>) -> Bool {
    var difference: UInt8 = 0
    for index in one.indices { difference |= one[index] ^ other[index] }
    return difference == 0
  }
}
