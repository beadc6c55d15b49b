public import Net
public import TLS

/// The memory in which one worker receives, opens, seals and composes: filled and emptied within
/// one turn, so that a connection at rest owns none.
///
///     socket ──▶ records ──open──▶ inbound ──▶ frames, heads ──▶ other side
///     socket ◀── sealed ◀──seal── outbound, inbound
public struct Scratch: ~Copyable {
  /// Octets of records taken with one receive.
  public static let recordsByteCount = 128 * 1024
  /// Plaintext: all that `records` can open to, and a record that OpenSSL held the start of.
  public static let inboundByteCount = 160 * 1024
  /// Sealed records: all of a full `inbound` with what sealing adds.
  public static let sealedByteCount = 192 * 1024

  /// Records as they come from a TLS peer.
  var records = Buffer(capacity: recordsByteCount)
  /// What the peer said, in clear.
  public var inbound = Buffer(capacity: inboundByteCount)
  /// Heads of our own on their way out, in clear.
  public var outbound = Buffer(capacity: inboundByteCount)
  /// Records on their way to a TLS peer.
  var sealed = Buffer(capacity: sealedByteCount)
  /// What OpenSSL reads and writes through.
  public let wire: RecordWire
  /// Chunks for what sockets do not take at once.
  public var pool = ChunkPool()
  /// Pipes for large payloads between plain sockets.
  public var pipes: PipePool
  /// Frames of the HTTP/2 connection that was read last. Touched by those alone.
  public var frames = Buffer(capacity: inboundByteCount)
  /// The HTTP/2 connections of the worker.
  public var carriers = Slab<Carrier>(slotCountMax: 1 << 20)
  /// Of those, the connections that have something to send at the end of the turn.
  public var unflushedCarriers: [Token] = []
  /// Octets that came on streams of all of them, and were not taken yet.
  public var keptByteCount = 0

  /// Forgets what an earlier turn left behind: it belongs to nobody, and least of all to the
  /// connection whose turn begins. Whoever lets a connection act calls it first.
  public mutating func clear() {
    assert(self.outbound.isEmpty && self.sealed.isEmpty, "a turn left octets on their way out")
    self.records.clear()
    self.inbound.clear()
    self.outbound.clear()
    self.sealed.clear()
  }

  /// - Parameter pipeCountMax: pipes that may exist at once; each takes two descriptors.
  /// - Throws: where OpenSSL has no memory.
  public init(pipeCountMax: Int = 0) throws(ContextError) {
    self.pipes = PipePool(countMax: pipeCountMax)
    self.wire = try RecordWire()
  }
}
