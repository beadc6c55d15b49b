public import HTTP2
public import Net
public import TLS

/// Why a stream broke.
public enum StreamFault: Error, Equatable, Sendable {
  /// The kernel's word: a reset, most often.
  case socket(Errno)
  /// A record that cannot be opened, or a handshake that failed.
  case tls(TLSFault)
  /// A stream of an HTTP/2 connection that was reset, or lost with its connection.
  case stream(ErrorCode)

  /// Whether this process or the system, not the peer, is at its end.
  public var isExhaustion: Bool {
    if case .socket(let fault) = self { fault.isExhaustion } else { false }
  }

  /// One sentence for records.
  public var reason: String {
    switch self {
    case .socket(let fault): fault.description
    case .tls(let fault): fault.reason
    case .stream(let code): "the stream was reset (\(code))"
    }
  }
}

/// An ordered stream of octets to and from one peer, and what the peer did not take yet: a socket,
/// plain or under TLS, or one of the streams of an HTTP/2 connection (ByteStream+Carried.swift). Whoever
/// reads and writes it does not have to know which.
///
/// Readiness is edge-triggered, so the stream remembers it: ``isReadable`` stays true until the
/// kernel has said that there is no more.
public struct ByteStream: ~Copyable {
  /// None where the stream is carried by another's.
  let socket: Socket
  private var tls: TLSConnection?
  /// The stream of an HTTP/2 connection that this is; `nil` for a socket.
  let carried: Carried?
  var queue = ByteQueue()
  /// Octets behind those of the queue that the kernel holds for this peer outside of the socket.
  var pipe: Pipe?
  /// Whether a receive may bring something.
  public internal(set) var isReadable = false
  /// Whether the end of the stream is known to be near: receives go on until it is seen.
  public private(set) var isEndNear = false
  /// The end has been seen: it is told again until the caller has acted on it.
  var hasEnded = false
  /// Whether the connection ended under TLS that had not said so: somebody may have cut it off.
  public private(set) var isTruncated = false
  /// Whether the stream is in its worker's line for another turn.
  public var waitsForTurn = false
  /// Whether ``end(_:)`` waits for the queue to empty.
  var endsWhenFlushed = false
  /// Whether the coming close is an abort.
  var isAborted = false

  /// A plain stream, or one whose handshake is still to be made.
  public init(_ socket: consuming Socket, tls: consuming TLSConnection?) {
    self.socket = socket
    self.tls = tls
    self.carried = nil
  }

  /// One of the streams of an HTTP/2 connection.
  public init(_ carried: Carried) {
    self.socket = .none
    self.tls = nil
    self.carried = carried
  }

  /// Octets, records where there is TLS, that the kernel did not take yet.
  public var queuedByteCount: Int { self.queue.count &+ self.pipedByteCount }

  /// Whether the stream is a socket's, and not under TLS.
  public var isPlain: Bool {
    guard self.carried == nil else { return false }
    switch self.tls {
    case .some: return false
    case .none: return true
    }
  }

  /// Whether it is one of the streams of an HTTP/2 connection.
  public var isCarried: Bool { self.carried != nil }

  /// Octets that wait for the peer in all, the kernel's included, where some wait here; 0 where
  /// none do. A slow peer takes the kernel's for a long time before readiness tells of it.
  public borrowing func untakenByteCount() -> Int {
    guard self.carried == nil else { return self.queuedByteCount }
    return self.queuedByteCount == 0 ? 0 : self.undeliveredByteCount()
  }

  /// Octets that wait for the peer of a socket in all, the kernel's included.
  public borrowing func undeliveredByteCount() -> Int {
    self.queuedByteCount + self.socket.untakenByteCount()
  }

  /// The version of TLS, `nil` on a plain stream.
  public var tlsVersion: String? {
    if let carried = self.carried { return carried.tlsVersion }
    switch self.tls {
    case .some(let tls): return tls.version
    case .none: return nil
    }
  }

  /// What the TLS handshake has settled on; HTTP/1.1 on a plain stream.
  public var applicationProtocol: ApplicationProtocol {
    switch self.tls {
    case .some(let tls): tls.applicationProtocol
    case .none: .http11
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
    if let carried = self.carried { scratch.leave(carried, isAborted: self.isAborted) }
    self.socket.close()
  }

  /// Makes the coming close an abort (RST): the peer is not to take the end for a clean one.
  public mutating func resetOnClose() {
    self.isAborted = true
    if self.carried == nil { self.socket.resetOnClose() }
  }
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
    if let carried = self.carried { return self.receive(carried, &scratch, upTo: limit) }
    guard self.tls != nil else {
      return self.note(self.socket.receive(into: &scratch.inbound, upTo: limit))
    }
    scratch.records.clear()
    switch self.note(self.socket.receive(into: &scratch.records)) {
    case .octets: return self.open(&scratch)
    case .ended:
      self.isTruncated = true
      return .ended
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
  mutating func noteEnd() -> OnReceive {
    self.hasEnded = true
    self.isReadable = true
    return .ended
  }
}

// MARK: - Before TLS

extension ByteStream {
  /// Copies what comes first behind what stands in ``Scratch/inbound``, and leaves it to be received.
  public mutating func peekBeforeTLS(_ scratch: inout Scratch, upTo limit: Int) -> Int {
    let count = self.socket.peek(into: &scratch.inbound, upTo: limit)
    // The next octets are told of by an event.
    self.isReadable = false
    return count
  }

  /// Takes so many octets off what comes, which are there; `false` where they are not.
  public mutating func dropBeforeTLS(_ count: Int, _ scratch: inout Scratch) -> Bool {
    scratch.records.clear()
    guard case .octets(count, _) = self.socket.receive(into: &scratch.records, upTo: count) else {
      return false
    }
    scratch.records.clear()
    return true
  }

  /// Sends what stands in ``Scratch/outbound`` as it is.
  public mutating func sendBeforeTLS(_ scratch: inout Scratch) -> StreamFault? {
    self.sendRaw(&scratch.outbound, &scratch.pool)
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
  /// - Parameters:
  ///   - hasMore: whether others follow at once: the kernel may wait for them.
  ///   - isLast: whether ``end(_:)`` follows: an HTTP/2 stream says so with the same frame.
  public mutating func sendInbound(
    _ scratch: inout Scratch, hasMore: Bool = false, isLast: Bool = false
  ) -> StreamFault? {
    if let carried = self.carried {
      self.send(carried, &scratch.inbound, isLast: isLast, &scratch.carriers, &scratch.pool)
      scratch.flushLater(carried.carrier)
      return nil
    }
    return self.send(
      &scratch.inbound, &scratch.sealed, &scratch.pool, scratch.wire, hasMore: hasMore)
  }

  /// Sends what stands in ``Scratch/outbound``.
  ///
  /// - Parameter hasMore: whether others follow at once: the kernel may wait for them.
  public mutating func sendOutbound(
    _ scratch: inout Scratch, hasMore: Bool = false
  ) -> StreamFault? {
    if let carried = self.carried {
      self.send(carried, &scratch.outbound, &scratch.carriers, &scratch.pool)
      scratch.flushLater(carried.carrier)
      return nil
    }
    return self.send(
      &scratch.outbound, &scratch.sealed, &scratch.pool, scratch.wire, hasMore: hasMore)
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
    if let carried = self.carried { return self.flush(carried, &scratch) }
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
    if let carried = self.carried { return self.end(carried, &scratch) }
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
