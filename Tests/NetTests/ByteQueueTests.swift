import Testing

@testable import Net

@Suite("byte queue")
struct ByteQueueTests {
  /// Octets in which any loss, repetition or exchange shows.
  private static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8 ^ $0 >> 16) }
  }

  private static func append(
    _ octets: ArraySlice<UInt8>, to queue: inout ByteQueue, from pool: inout ChunkPool
  ) {
    var buffer = Buffer(capacity: max(octets.count, 1))
    buffer.append(octets.span)
    queue.append(&buffer, from: &pool)
    let isEmpty = buffer.isEmpty
    #expect(isEmpty)
  }

  @Test("appending counts, and clearing forgets")
  func counts() {
    var pool = ChunkPool()
    var queue = ByteQueue()
    Self.append([1, 2, 3], to: &queue, from: &pool)
    Self.append([], to: &queue, from: &pool)
    Self.append(Self.pattern(100_000)[...], to: &queue, from: &pool)
    var (count, isEmpty) = (queue.count, queue.isEmpty)
    #expect(count == 100_003)
    #expect(!isEmpty)
    queue.clear(into: &pool)
    (count, isEmpty) = (queue.count, queue.isEmpty)
    #expect(count == 0)
    #expect(isEmpty)
  }

  @Test("chunks go back to the pool, which keeps a limited number of them")
  func pool() {
    var pool = ChunkPool()
    var queue = ByteQueue()
    Self.append(Self.pattern(10 * ChunkPool.chunkByteCount)[...], to: &queue, from: &pool)
    var spares = pool.spareCount
    #expect(spares == 0)
    queue.clear(into: &pool)
    spares = pool.spareCount
    // A chunk's header takes some of it: one chunk more than the octets alone would need.
    #expect(spares == 11)
    Self.append([1], to: &queue, from: &pool)
    spares = pool.spareCount
    #expect(spares == 10)
    Self.append(
      Self.pattern(100 * ChunkPool.chunkByteCount)[...], to: &queue, from: &pool)
    queue.clear(into: &pool)
    spares = pool.spareCount
    #expect(spares == ChunkPool.spareCountMax)
  }

  @Test("a queue that goes without having been cleared frees its memory")
  func end() {
    var pool = ChunkPool()
    var queue = ByteQueue()
    Self.append(Self.pattern(50_000)[...], to: &queue, from: &pool)
    _ = consume queue
    let spares = pool.spareCount
    #expect(spares == 0)
  }

  @Test("an empty queue sends nothing")
  func empty() throws {
    let pair = try Loopback()
    var pool = ChunkPool()
    var queue = ByteQueue()
    let sent = pair.client.send(&queue, sparing: &pool)
    #expect(sent == .octets(0))
  }

  @Test("the order survives a peer that takes little at a time")
  func order() throws {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    let pair = try Loopback()
    let octets = Self.pattern(24 << 20)
    var pool = ChunkPool()
    var queue = ByteQueue()
    var loop = try EventLoop()
    try pair.client.register(with: loop, as: Token(slot: 1, generation: 1))
    try pair.server.register(with: loop, as: Token(slot: 2, generation: 1))
    var (appended, queuedMax) = (0, 0)
    var received: [UInt8] = []
    var buffer = Buffer(capacity: 300_000)
    while received.count < octets.count {
      // More than is taken at first, then the rest as it goes.
      while appended < octets.count, queue.count < 8 << 20 {
        let count = min(Int.random(in: 1...200_000, using: &chance), octets.count - appended)
        Self.append(octets[appended..<appended + count], to: &queue, from: &pool)
        appended += count
      }
      let sent = pair.client.send(&queue, sparing: &pool)
      if case .failed(let fault) = sent { throw fault }
      queuedMax = max(queuedMax, queue.count)
      for _ in 0..<Int.random(in: 1...4, using: &chance) {
        buffer.clear()
        guard case .octets = pair.server.receive(into: &buffer) else {
          if received.count < octets.count, queue.isEmpty { _ = loop.wait(timeout: .seconds(10)) }
          break
        }
        received += buffer.takeAll()
      }
    }
    let (count, spares) = (queue.count, pool.spareCount)
    #expect(received == octets, "seed \(seed)")
    #expect(queuedMax > 0, "the peer was never slow")
    #expect(count == 0)
    #expect(spares > 0)
    #expect(spares <= ChunkPool.spareCountMax)
  }

  @Test("a send to a peer that is gone fails, and the queue can be cleared")
  func reset() throws {
    let pair = try Loopback()
    var pool = ChunkPool()
    var queue = ByteQueue()
    Self.append(Self.pattern(1000)[...], to: &queue, from: &pool)
    pair.server.resetOnClose()
    pair.server.close()
    #expect(throws: Errno.self) { try pair.client.receiveAll() }
    let sent = pair.client.send(&queue, sparing: &pool)
    guard case .failed = sent else {
      Issue.record("sent to a peer that is gone: \(sent)")
      return
    }
    queue.clear(into: &pool)
    let isEmpty = queue.isEmpty
    #expect(isEmpty)
  }
}
