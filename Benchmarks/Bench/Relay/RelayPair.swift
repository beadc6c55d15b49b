import Net
import Transport

/// Two sockets whose octets are copied from each to the other.
struct RelayPair: ~Copyable {
  /// What is left to do after a turn.
  enum OnTurn { case waits, hasMore, isOver }

  /// Receives from each side in one turn.
  private static let receivesPerTurnMax = 4
  private static let upstreamRegistration: UInt8 = 1

  private var downstream: ByteStream
  private var upstream: ByteStream
  private let splices: Bool
  private var isHandshaking: Bool
  /// Whether the pair is in line for another turn.
  private var waitsForTurn = false
  private var hasDownstreamEnded = false
  private var hasUpstreamEnded = false

  init(
    _ downstream: consuming ByteStream, _ upstream: consuming ByteStream, isSecure: Bool,
    splices: Bool
  ) {
    self.downstream = downstream
    self.upstream = upstream
    self.isHandshaking = isSecure
    self.splices = splices
  }

  borrowing func register(
    with loop: borrowing EventLoop, as token: Token
  ) throws(Errno) {
    try self.downstream.register(with: loop, as: token)
    try self.upstream.register(with: loop, as: token.registered(as: Self.upstreamRegistration))
  }

  consuming func close(_ scratch: inout Scratch) {
    self.downstream.close(&scratch)
    self.upstream.close(&scratch)
  }

  mutating func advance(_ event: Event, _ scratch: inout Scratch) -> OnTurn {
    // Nothing at all stands for the turn that was waited for.
    if event.readiness.isEmpty { self.waitsForTurn = false }
    if event.token.registration == Self.upstreamRegistration {
      self.upstream.note(event.readiness)
    } else {
      self.downstream.note(event.readiness)
    }
    guard self.downstream.flush(&scratch) == nil, self.upstream.flush(&scratch) == nil else {
      return .isOver
    }
    if self.isHandshaking {
      guard self.handshake(&scratch) else { return .isOver }
      if self.isHandshaking { return .waits }
    }
    return self.copyBoth(&scratch)
  }

  /// Takes the handshake on; whether the connection goes on.
  private mutating func handshake(_ scratch: inout Scratch) -> Bool {
    switch self.downstream.handshake(&scratch) {
    case .pending: return true
    case .ended, .failed: return false
    case .done:
      self.isHandshaking = false
      return self.upstream.sendInbound(&scratch) == nil
    }
  }

  private mutating func copyBoth(_ scratch: inout Scratch) -> OnTurn {
    let copy = self.splices ? Self.splice : Self.copy
    guard copy(&self.downstream, &self.upstream, &self.hasDownstreamEnded, &scratch),
      copy(&self.upstream, &self.downstream, &self.hasUpstreamEnded, &scratch)
    else { return .isOver }
    let isSent = self.downstream.queuedByteCount == 0 && self.upstream.queuedByteCount == 0
    if self.hasDownstreamEnded, self.hasUpstreamEnded, isSent { return .isOver }
    return self.wantsTurn() ? .hasMore : .waits
  }

  /// Copies for one turn; whether both ends work. What is not taken stops the receiving.
  private static func copy(
    from source: inout ByteStream, to sink: inout ByteStream, _ hasEnded: inout Bool,
    _ scratch: inout Scratch
  ) -> Bool {
    for _ in 0..<Self.receivesPerTurnMax {
      guard source.isReadable, !hasEnded, sink.queuedByteCount == 0 else { return true }
      scratch.inbound.clear()
      let received = source.receive(&scratch)
      if case .failed = received { return false }
      guard sink.sendInbound(&scratch) == nil else { return false }
      if received == .ended {
        hasEnded = true
        return sink.end(&scratch) == nil
      }
    }
    return true
  }

  /// As ``copy(from:to:_:_:)``, but inside the kernel, for as long as there are pipes.
  private static func splice(
    from source: inout ByteStream, to sink: inout ByteStream, _ hasEnded: inout Bool,
    _ scratch: inout Scratch
  ) -> Bool {
    for _ in 0..<Self.receivesPerTurnMax {
      guard source.isReadable, !hasEnded, sink.queuedByteCount == 0 else { return true }
      switch source.splice(upTo: Pipe.capacity, to: &sink, &scratch) {
      case .moved: continue
      case .nothing: return true
      case .noPipe: return Self.copy(from: &source, to: &sink, &hasEnded, &scratch)
      case .sourceFailed, .sinkFailed: return false
      case .ended:
        hasEnded = true
        return sink.end(&scratch) == nil
      }
    }
    return true
  }

  /// Whether the next turn need not wait for an event.
  private mutating func wantsTurn() -> Bool {
    let canCopy =
      self.downstream.isReadable && !self.hasDownstreamEnded && self.upstream.queuedByteCount == 0
      || self.upstream.isReadable && !self.hasUpstreamEnded && self.downstream.queuedByteCount == 0
    guard canCopy, !self.waitsForTurn else { return false }
    self.waitsForTurn = true
    return true
  }
}
