public import Net
public import TLS

/// Why a stream broke.
public enum StreamFault: Error, Equatable, Sendable {
  /// The kernel's word: a reset, most often.
  case socket(Errno)
  /// A record that cannot be opened, or a handshake that failed.
  case tls(TLSFault)

  /// Whether this process or the system, not the peer, is at its end.
  public var isExhaustion: Bool {
    if case .socket(let fault) = self { fault.isExhaustion } else { false }
  }

  /// One sentence for records.
  public var reason: String {
    switch self {
    case .socket(let fault): fault.description
    case .tls(let fault): fault.reason
    }
  }
}

/// An ordered stream of octets to and from one peer: a socket, plain or under TLS, and what the
/// socket did not take yet.
///
/// Readiness is edge-triggered, so the stream remembers it: ``isReadable`` stays true until the
/// kernel has said that there is no more.
public struct ByteStream: ~Copyable {
  let socket: Socket
  private var tls: TLSConnection?
  private var queue = ByteQueue()
  /// Octets behind those of the queue that the kernel holds for this peer outside of the socket.
  var pipe: Pipe?
  /// Whether a receive may bring something.
  public private(set) var isReadable = false
  /// Whether the end of the stream is known to be near: receives go on until it is seen.
  private var isEndNear = false
  /// The end has been seen: it is told again until the caller has acted on it.
  private(set) var hasEnded = false
  /// Whether the stream is in its worker's line for another turn.
  public var waitsForTurn = false
  /// Whether ``end(_:)`` waits for the queue to empty.
  private var endsWhenFlushed = false

  /// A plain stream, or one whose handshake is still to be made.
  public init(_ socket: consuming Socket, tls: consuming TLSConnection?) {
    self.socket = socket
    self.tls = tls
  }

  /// Octets, records where there is TLS, that the kernel did not take yet.
  public var queuedByteCount: Int { self.queue.count &+ self.pipedByteCount }

  /// Whether the stream is not under TLS.
  public var isPlain: Bool {
    switch self.tls {
    case .some: false
    case .none: true
    }
  }

  /// Octets that wait for the peer in all, the kernel's included, where some wait here; 0 where
  /// none do. A slow peer takes the kernel's for a long time before readiness tells of it.
  public borrowing func untakenByteCount() -> Int {
    self.queuedByteCount == 0 ? 0 : self.queuedByteCount + self.socket.untakenByteCount()
  }

  /// The version of TLS, `nil` on a plain stream.
  public var tlsVersion: String? {
    switch self.tls {
    case .some(let tls): tls.version
    case .none: nil
    }
  }

  /// Whether the TLS handshake resumed a session; never on a plain stream.
  public var isResumed: Bool {
    switch self.tls {
    case .some(let tls): tls.isResumed
    case .none: false
    }
  }

  /// Notes what the loop reported; nothing at all stands for the turn that the stream waited for.
  public mutating func note(_ readiness: Readiness) {
    if readiness.isEmpty { self.waitsForTurn = false }
    if !readiness.isDisjoint(with: [.readable, .peerEnded, .failed]) { self.isReadable = true }
    if !readiness.isDisjoint(with: [.peerEnded, .failed]) { self.isEndNear = true }
  }

  /// The outcome of the connect; `nil` where it succeeded.
  public borrowing func connectFault() -> Errno? { self.socket.connectFault() }

  /// Registers the socket with a worker's loop, once for all.
  public borrowing func register(
    with loop: borrowing EventLoop, as token: Token
  ) throws(Errno) {
    try loop.add(self.socket, as: token)
  }

  /// Forgets what is queued, for a peer that is gone.
  public mutating func discardQueue(_ scratch: inout Scratch) {
    self.queue.clear(into: &scratch.pool)
    self.discardPipe(&scratch)
  }

  /// Closes the socket and gives the queue's memory back. What the kernel holds is still sent.
  public consuming func close(_ scratch: inout Scratch) {
    self.discardQueue(&scratch)
    self.socket.close()
  }

  /// Makes the coming close an abort (RST): the peer is not to take the end for a clean one.
  public borrowing func resetOnClose() { self.socket.resetOnClose() }
}

// MARK: - Receiving

extension ByteStream {
  /// What one receive brought.
  public enum OnReceive: Equatable, Sendable {
    /// ``Scratch/inbound`` holds octets.
    case octets
    /// Nothing in clear, perhaps part of a record: look at ``ByteStream/isReadable`` for more.
    case nothing
    /// The peer sends nothing more. ``Scratch/inbound`` may still hold its last octets.
    case ended
    case failed(StreamFault)
  }

  /// Receives once into ``Scratch/inbound``, behind what the caller has left there.
  ///
  /// - Parameter limit: the most octets that a plain stream is to give.
  public mutating func receive(_ scratch: inout Scratch, upTo limit: Int = .max) -> OnReceive {
    guard !self.hasEnded else { return .ended }
    guard self.tls != nil else {
      return self.note(self.socket.receive(into: &scratch.inbound, upTo: limit))
    }
    scratch.records.clear()
    switch self.note(self.socket.receive(into: &scratch.records)) {
    case .octets: return self.open(&scratch)
    case let other: return other
    }
  }

  mutating func note(_ received: Received) -> OnReceive {
    switch received {
    case .octets(_, let isLast):
      if isLast, !self.isEndNear { self.isReadable = false }
      return .octets
    case .wouldBlock:
      self.isReadable = false
      return .nothing
    case .endOfStream: return self.noteEnd()
    case .failed(let fault):
      self.isReadable = false
      return .failed(.socket(fault))
    }
  }

  private mutating func open(_ scratch: inout Scratch) -> OnReceive {
    let opened =
      self.tls?.open(
        &scratch.records, into: &scratch.inbound, replies: &scratch.sealed, over: scratch.wire)
      ?? .open
    // A key update or an alert asks for an answer.
    if !scratch.sealed.isEmpty, let fault = self.sendSealed(&scratch) { return .failed(fault) }
    switch opened {
    case .open: return scratch.inbound.isEmpty ? .nothing : .octets
    case .ended: return self.noteEnd()
    case .failed(let fault): return .failed(.tls(fault))
    }
  }

  /// No event will tell of the end again, so that the stream stays readable for whoever is to act.
  private mutating func noteEnd() -> OnReceive {
    self.hasEnded = true
    self.isReadable = true
    return .ended
  }
}

// MARK: - Handshake

extension ByteStream {
  /// How far the TLS handshake is.
  public enum OnHandshake: Equatable, Sendable {
    case pending
    /// ``Scratch/inbound`` may hold octets that came with the peer's last flight.
    case done
    /// The peer went away.
    case ended
    case failed(StreamFault)
  }

  /// Takes the handshake as far as the peer's octets reach. A client begins it by this, too.
  public mutating func handshake(_ scratch: inout Scratch) -> OnHandshake {
    scratch.records.clear()
    let received =
      self.isReadable ? self.note(self.socket.receive(into: &scratch.records)) : .nothing
    switch received {
    case .ended: return .ended
    case .failed(let fault): return .failed(fault)
    case .octets, .nothing: break
    }
    let outcome =
      self.tls?.handshake(&scratch.records, replies: &scratch.sealed, over: scratch.wire) ?? .done
    // Before a failure is reported: the peer is owed its alert.
    let fault = self.sendSealed(&scratch)
    switch outcome {
    case .failed(let fault): return .failed(.tls(fault))
    case .needsOctets: return fault.map { .failed($0) } ?? .pending
    case .done: break
    }
    if let fault { return .failed(fault) }
    guard !scratch.records.isEmpty else { return .done }
    switch self.open(&scratch) {
    // An end behind the first octets is for the next phase to see.
    case .octets, .nothing, .ended: return .done
    case .failed(let fault): return .failed(fault)
    }
  }
}

// MARK: - Sending

extension ByteStream {
  /// Sends what stands in ``Scratch/inbound``: the octets of the other side, from where they are.
  ///
  /// - Parameter hasMore: whether others follow at once: the kernel may wait for them.
  public mutating func sendInbound(
    _ scratch: inout Scratch, hasMore: Bool = false
  ) -> StreamFault? {
    self.send(&scratch.inbound, &scratch.sealed, &scratch.pool, scratch.wire, hasMore: hasMore)
  }

  /// Sends what stands in ``Scratch/outbound``.
  public mutating func sendOutbound(_ scratch: inout Scratch) -> StreamFault? {
    self.send(&scratch.outbound, &scratch.sealed, &scratch.pool, scratch.wire)
  }

  /// Sends all of `octets`, in pieces through ``Scratch/outbound`` where they are many.
  public mutating func send(_ octets: [UInt8], _ scratch: inout Scratch) -> StreamFault? {
    var start = 0
    while start < octets.count {
      let end = min(start + scratch.outbound.freeCount, octets.count)
      scratch.outbound.append(octets.span.extracting(start..<end))
      if let fault = self.sendOutbound(&scratch) { return fault }
      start = end
    }
    return nil
  }

  /// Sends what the kernel did not take before. `isEmpty` of the queue tells whether it took all.
  public mutating func flush(_ scratch: inout Scratch) -> StreamFault? {
    guard self.queuedByteCount > 0 else { return nil }
    if case .failed(let fault) = self.queue.send(to: self.socket, sparing: &scratch.pool) {
      return .socket(fault)
    }
    if self.queue.isEmpty, let fault = self.flushPipe(&scratch) { return fault }
    if self.queuedByteCount == 0, self.endsWhenFlushed { self.socket.shutdownWrite() }
    return nil
  }

  /// Says, behind all that is queued, that nothing more comes: close_notify, then FIN.
  public mutating func end(_ scratch: inout Scratch) -> StreamFault? {
    guard !self.endsWhenFlushed else { return nil }
    if self.tls != nil {
      self.tls?.end(into: &scratch.sealed, over: scratch.wire)
      if let fault = self.sendSealed(&scratch) { return fault }
    }
    self.endsWhenFlushed = true
    if self.queuedByteCount == 0 { self.socket.shutdownWrite() }
    return nil
  }

  private mutating func send(
    _ octets: inout Buffer, _ sealed: inout Buffer, _ pool: inout ChunkPool,
    _ wire: borrowing RecordWire, hasMore: Bool = false
  ) -> StreamFault? {
    guard self.tls != nil else { return self.sendRaw(&octets, &pool, hasMore: hasMore) }
    while !octets.isEmpty {
      if let fault = self.tls?.seal(&octets, into: &sealed, over: wire) {
        // The buffers are the worker's: what stayed in them would go to the next stream's peer.
        octets.clear()
        sealed.clear()
        return .tls(fault)
      }
      if let fault = self.sendRaw(&sealed, &pool) {
        octets.clear()
        return fault
      }
    }
    return nil
  }

  private mutating func sendSealed(_ scratch: inout Scratch) -> StreamFault? {
    self.sendRaw(&scratch.sealed, &scratch.pool)
  }

  /// Offers the octets to the kernel and queues what it does not take; the buffer is empty after.
  private mutating func sendRaw(
    _ octets: inout Buffer, _ pool: inout ChunkPool, hasMore: Bool = false
  ) -> StreamFault? {
    assert(self.pipedByteCount == 0, "octets would overtake those in the pipe")
    // Order: nothing overtakes what waits already.
    if self.queue.isEmpty, !octets.isEmpty {
      switch self.socket.send(octets, hasMore: hasMore) {
      case .octets(let count): octets.consume(count)
      case .wouldBlock: break
      case .failed(let fault):
        octets.clear()
        return .socket(fault)
      }
    }
    if !octets.isEmpty { self.queue.append(&octets, from: &pool) }
    return nil
  }
}
