internal import Net
internal import Transport

/// The client's answer is on its way and is the last: the edge says so, then waits for the client's
/// own end. A socket closed with octets unread would be reset, and the reset could overtake the
/// answer (RFC 9112 §9.6).
struct Closing: ~Copyable {
  private var downstream: ByteStream
  private let token: Token
  /// How long the client may take nothing of what waits for it.
  private let stallTimeout: Duration
  /// What the client had still to take when it was looked at last.
  private var untakenByteCount = 0
  /// When it was last seen to take something, and whether it ever was.
  private var tookAt = Deadline.never
  private var hasTaken = false

  init(
    _ downstream: consuming ByteStream, _ token: Token,
    stallTimeout: Duration = Limits.closingTimeout
  ) {
    self.downstream = downstream
    self.token = token
    self.stallTimeout = stallTimeout
  }

  consuming func begin(_ bench: inout Workbench) -> Connection {
    guard self.downstream.end(&bench.scratch) == nil else { return self.close(&bench) }
    self.tookAt = bench.now
    self.noteTaken(bench.now)
    self.arm(&bench)
    return self.goOn(&bench)
  }

  private borrowing func arm(_ bench: inout Workbench) {
    guard self.downstream.queuedByteCount == 0 else {
      return bench.arm(self.token, after: self.stallTimeout)
    }
    // A process that is about to end does not wait long for clients that have got everything.
    let isLeaving = bench.departure.closesUntil != nil
    bench.arm(self.token, after: isLeaving ? Limits.lastRequestTimeout : Limits.closingTimeout)
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    // A stale event of the server's side, which is closed.
    guard event.token.registration == 0 else { return .closing(Owned(self)) }
    self.downstream.note(event.readiness)
    if event.readiness.contains(.writable) {
      let before = self.downstream.queuedByteCount
      guard self.downstream.flush(&bench.scratch) == nil else { return self.close(&bench) }
      if self.downstream.queuedByteCount < before { self.tookAt = bench.now }
      // All that is awaited now is its end.
      if before > 0, self.downstream.queuedByteCount == 0 { self.arm(&bench) }
    }
    if self.downstream.isCarried, event.readiness.contains(.failed) { return self.close(&bench) }
    return self.goOn(&bench)
  }

  private consuming func goOn(_ bench: inout Workbench) -> Connection {
    guard self.downstream.isCarried else { return self.read(&bench) }
    // The end of one stream does not touch the others': nothing has to be awaited.
    return self.downstream.queuedByteCount == 0 ? self.close(&bench) : .closing(Owned(self))
  }

  /// Drops what the client still sends.
  private consuming func read(_ bench: inout Workbench) -> Connection {
    var receives = 0
    while self.downstream.isReadable {
      guard receives < Limits.receivesPerTurnMax else {
        if !self.downstream.waitsForTurn { bench.unfinished.append(self.token) }
        self.downstream.waitsForTurn = true
        break
      }
      receives += 1
      bench.scratch.inbound.clear()
      switch self.downstream.receive(&bench.scratch) {
      case .octets, .nothing: continue
      // A client that has half-closed is still owed the rest of its answer.
      case .ended where self.downstream.queuedByteCount > 0: return .closing(Owned(self))
      case .ended, .failed: return self.close(&bench)
      }
    }
    return .closing(Owned(self))
  }

  /// A slow client that has taken something meanwhile is given more time.
  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    guard self.downstream.queuedByteCount > 0 else { return self.close(&bench) }
    self.noteTaken(bench.now)
    let end = self.tookAt.advanced(by: self.stallTimeout)
    guard bench.now < end else { return self.close(&bench) }
    bench.wheel.arm(Int(self.token.slot), at: end)
    return .closing(Owned(self))
  }

  /// Since when the client has taken nothing of what waits for it; `nil` where nothing does.
  mutating func stalledSince(_ now: Deadline) -> Deadline? {
    guard self.downstream.queuedByteCount > 0 else { return nil }
    self.noteTaken(now)
    return self.tookAt.spared(self.hasTaken)
  }

  /// Looks at what waits for the client, the kernel's part included.
  private mutating func noteTaken(_ now: Deadline) {
    let untaken = self.downstream.untakenByteCount()
    if untaken < self.untakenByteCount {
      self.tookAt = now
      self.hasTaken = true
    }
    self.untakenByteCount = untaken
  }

  /// Gives back what waits for a slow client, which must not take what it has for all.
  consuming func shed(_ bench: inout Workbench) -> Connection {
    self.downstream.resetOnClose()
    return self.close(&bench)
  }

  consuming func close(_ bench: inout Workbench) -> Connection {
    bench.close(self.downstream)
  }
}
