import Testing

@testable import Net

@Suite("moving octets of byte queues")
struct ByteQueueMovingTests {
  /// Octets in which any loss, repetition or exchange shows.
  private static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8 ^ $0 >> 16) }
  }

  private static func takeAll(_ queue: inout ByteQueue, _ pool: inout ChunkPool) -> [UInt8] {
    var buffer = Buffer(capacity: queue.count + 1)
    let count = queue.take(into: &buffer, upTo: .max, sparing: &pool)
    let octets = buffer.takeAll()
    #expect(octets.count == count)
    return octets
  }

  @Test("octets go in as spans and come out in their order")
  func spans() {
    var pool = ChunkPool()
    var queue = ByteQueue()
    let octets = Self.pattern(40_000)
    var start = 0
    for count in [0, 1, 9, 16_000, 20_000, 3_990] {
      let piece = Array(octets[start..<start + count])
      queue.append(piece.span, from: &pool)
      start += count
    }
    let (count, taken) = (queue.count, pool.takenCount)
    #expect(count == 40_000)
    #expect(taken == 3)
    let out = Self.takeAll(&queue, &pool)
    let left = pool.takenCount
    #expect(out == octets)
    #expect(left == 0)
  }

  @Test("taking stops at the limit and where the buffer is full")
  func take() {
    var pool = ChunkPool()
    var queue = ByteQueue()
    let octets = Self.pattern(50_000)
    queue.append(octets.span, from: &pool)
    var buffer = Buffer(capacity: 40_000)
    let counts = [
      queue.take(into: &buffer, upTo: 0, sparing: &pool),
      queue.take(into: &buffer, upTo: -1, sparing: &pool),
      queue.take(into: &buffer, upTo: 100, sparing: &pool),
      queue.take(into: &buffer, upTo: 30_000, sparing: &pool),
      queue.take(into: &buffer, upTo: .max, sparing: &pool),
      queue.take(into: &buffer, upTo: .max, sparing: &pool),
    ]
    #expect(counts == [0, 0, 100, 30_000, 9_900, 0])
    var out = buffer.takeAll()
    out += Self.takeAll(&queue, &pool)
    let (isEmpty, taken) = (queue.isEmpty, pool.takenCount)
    #expect(out == octets)
    #expect(isEmpty)
    #expect(taken == 0)
  }

  @Test("a queue moves behind another", arguments: [0, 1, 20_000], [0, 1, 20_000])
  func move(first: Int, second: Int) {
    var pool = ChunkPool()
    var queue = ByteQueue()
    var other = ByteQueue()
    let octets = Self.pattern(first + second + 5)
    queue.append(Array(octets[..<first]).span, from: &pool)
    other.append(Array(octets[first..<first + second]).span, from: &pool)
    let before = pool.takenCount
    queue.append(contentsOf: &other)
    let (count, rest, after) = (queue.count, other.isEmpty, pool.takenCount)
    #expect(count == first + second)
    #expect(rest)
    #expect(after == before)
    // Both go on as if nothing had been.
    queue.append(Array(octets[(first + second)...]).span, from: &pool)
    other.append([7], from: &pool)
    let (out, alone) = (Self.takeAll(&queue, &pool), Self.takeAll(&other, &pool))
    let left = pool.takenCount
    #expect(out == octets)
    #expect(alone == [7])
    #expect(left == 0)
  }
}

extension ByteQueue {
  fileprivate mutating func append(_ octets: [UInt8], from pool: inout ChunkPool) {
    self.append(octets.span, from: &pool)
  }
}
