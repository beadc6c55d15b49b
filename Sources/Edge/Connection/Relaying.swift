internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel
internal import Upstream

/// A request is with a server, and what belongs to it passes: the body of the request one way, the answer
/// the other, each as its receiver frames bodies. Neither side is read while the other one takes nothing.
///
///     client ─▶ RequestPassage ─▶ server ─▶ AnswerPassage ─▶ client     (Relaying+Octets)
struct Relaying: ~Copyable {
  var downstream: ByteStream
  var server: UpstreamAttempt
  let outgoing: OutgoingRequest
  var request: RequestPassage
  var answer: AnswerPassage
  /// Octets of the client behind the request: where its next one begins.
  var rest: [UInt8] = []
  /// When octets moved last, and since when the answer is all that is awaited.
  var movedAt: Deadline
  private var askedAt: Deadline?
  /// What each side had still to take when it was looked at last, the kernel's part included: one that is
  /// slow takes that for long before an event tells of it.
  private var untaken = Pair(both: 0)
  /// Whether a side was seen to take some of it.
  private var hasTaken = false
  /// Since when the client sends nothing more, on a connection of its own: it has gone, or it only waits
  /// for the answer.
  private var endedAt: Deadline?
  private init(
    _ downstream: consuming ByteStream, _ server: consuming UpstreamAttempt,
    _ outgoing: OutgoingRequest, now: Deadline
  ) {
    self.movedAt = now
    // It may have ended its side while it waited.
    if downstream.isEndNear, !downstream.isCarried { self.endedAt = now }
    self.downstream = downstream
    self.server = server
    self.outgoing = outgoing
    self.request = RequestPassage(outgoing)
    self.answer = AnswerPassage()
  }

  /// Sends the request to a server that is connected.
  static func begin(
    _ outgoing: OutgoingRequest, _ downstream: consuming ByteStream,
    _ server: consuming UpstreamAttempt, _ bench: inout Workbench
  ) -> Connection {
    bench.scratch.clear()
    let phase = Owned(Relaying(downstream, server, outgoing, now: bench.now))
    return Self.goOn(phase, { phase, bench in phase.start(&bench) }, &bench)
  }

  /// A server answered an upgrade with something else than 101: a login page, a redirect, a 401. The
  /// client gets it as it is. What the server sent behind the head stands in the scratch.
  static func answered(
    _ head: ResponseHead, _ outgoing: OutgoingRequest, _ downstream: consuming ByteStream,
    _ server: consuming UpstreamAttempt, _ bench: inout Workbench
  ) -> Connection {
    let phase = Owned(Relaying(downstream, server, outgoing, now: bench.now))
    return Self.goOn(phase, { phase, bench in phase.goOn(behind: head, &bench) }, &bench)
  }

  /// What becomes of the phase behind an event.
  enum Fate {
    case goesOn
    /// The answer has gone out, all of it.
    case complete
    /// It breaks off, and the client must not take what it has for all.
    case broken(AccessRecord.Closer, String)
    /// Nothing of an answer has gone out: this goes in its place.
    case refused(Refusal)
    /// The server went away before it answered.
    case lost(String)
    /// No server has seen anything of it, and another connection may bring more.
    case again(String, isStale: Bool)
  }

  private static func goOn(
    _ phase: consuming Owned<Relaying>,
    _ body: (inout Relaying, inout Workbench) -> Fate, _ bench: inout Workbench
  ) -> Connection {
    let fate = body(&phase.value, &bench)
    guard case .goesOn = fate else {
      // A head that was to go out is not to go out before whatever comes in its place.
      bench.scratch.outbound.clear()
      return phase.take().end(fate, &bench)
    }
    phase.value.arm(&bench)
    return .relaying(phase)
  }

  static func handle(
    _ phase: consuming Owned<Relaying>, _ event: Event, _ bench: inout Workbench
  ) -> Connection {
    Self.goOn(phase, { phase, bench in phase.handle(event, &bench) }, &bench)
  }

  private mutating func handle(_ event: Event, _ bench: inout Workbench) -> Fate {
    if event.token.registration == 0 {
      self.downstream.note(event.readiness)
      if event.readiness.contains(.failed) { return .broken(.downstream, "reset") }
      if event.readiness.contains(.peerEnded), self.endedAt == nil { self.endedAt = bench.now }
      if event.readiness.contains(.writable), self.downstream.queuedByteCount > 0 {
        let before = self.downstream.queuedByteCount
        guard self.downstream.flush(&bench.scratch) == nil else {
          return .broken(.downstream, "reset")
        }
        if self.downstream.queuedByteCount < before { self.movedAt = bench.now }
      }
    } else if event.token == self.server.token {
      self.server.stream.note(event.readiness)
      let before = self.server.queuedByteCount
      let fault =
        event.readiness.contains(.writable) ? self.server.stream.flush(&bench.scratch) : nil
      if self.server.queuedByteCount < before { self.movedAt = bench.now }
      if let fault {
        // Its answer may be there nevertheless.
        self.request.breakOff()
        if !self.server.stream.isReadable { return self.lost(fault.reason) }
      }
    }
    return self.pump(&bench)
  }

  // MARK: Ends

  static func deadlinePassed(
    _ phase: consuming Owned<Relaying>, _ bench: inout Workbench
  ) -> Connection {
    Self.goOn(phase, { phase, bench in phase.deadlinePassed(&bench) }, &bench)
  }

  private mutating func deadlinePassed(_ bench: inout Workbench) -> Fate {
    self.noteTaken(bench.now)
    if let askedAt = self.askedAt, self.isStillAsking() { self.askedAt = max(askedAt, bench.now) }
    guard self.deadline() <= bench.now else { return .goesOn }
    let fate = self.overdue()
    if case .refused(.upstreamTimedOut) = fate {
      bench.noteFailedAttempt(self.server.endpoint, "answer timed out", self.outgoing)
    }
    return fate
  }

  private borrowing func overdue() -> Fate {
    if self.endedAt != nil { return .broken(.downstream, "closed") }
    if self.answer.hasBegun {
      return self.downstream.queuedByteCount > 0
        ? .broken(.downstream, "stalled") : .broken(.edge, "timed out")
    }
    let waitsForClient = !self.request.isComplete && self.server.queuedByteCount == 0
    return .refused(waitsForClient ? .bodyTimedOut : .upstreamTimedOut)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection {
    self.end(.broken(.edge, "shutdown"), &bench)
  }

  /// Leaves both sides as the fate has it.
  private consuming func end(_ fate: Fate, _ bench: inout Workbench) -> Connection {
    switch fate {
    case .goesOn: return .relaying(Owned(self))
    case .complete: return self.complete(&bench)
    case .broken(let closer, let reason): return self.breakOff(closer, reason, &bench)
    case .refused(let refusal):
      let exchange = self.outgoing.exchange
      self.server.close(&bench)
      return exchange.refuse(refusal, self.downstream, &bench)
    case .lost(let reason):
      bench.noteFailedAttempt(self.server.endpoint, reason, self.outgoing)
      return self.end(.refused(.upstreamRefused), &bench)
    case .again(let reason, let isStale):
      let outgoing = self.outgoing
      if isStale {
        let tried = self.server.tried
        self.server.close(&bench)
        return Connecting.begin(
          outgoing, self.downstream, tried: tried, fault: .upstreamRefused, mayReuse: false, &bench)
      }
      let tried = self.server.giveUp(reason, outgoing, &bench)
      return Connecting.begin(
        outgoing, self.downstream, tried: tried, fault: .upstreamRefused, &bench)
    }
  }

  private consuming func complete(_ bench: inout Workbench) -> Connection {
    let exchange = self.outgoing.exchange
    let mayPersist =
      self.answer.persists && self.request.isComplete && bench.departure.closesUntil == nil
    self.record(.upstream, "answered", bench)
    if let idleTimeout = self.idleTimeout, let rules = self.outgoing.group.rules.keepAlive {
      self.server.keep(for: idleTimeout, countMax: rules.connectionCountMax, &bench)
    } else {
      self.server.close(&bench)
    }
    if self.downstream.isCarried, self.downstream.queuedByteCount == 0 {
      _ = self.downstream.end(&bench.scratch)
      return bench.close(self.downstream)
    }
    guard mayPersist, !self.downstream.isCarried else {
      let timeout = self.outgoing.route.rules.http?.silenceTimeout ?? Limits.responseTimeout
      return Closing(self.downstream, exchange.arrival.token, stallTimeout: timeout).begin(&bench)
    }
    return ReadingHead.next(self.downstream, behind: self.rest, exchange.arrival, &bench)
  }

  /// How long the server's connection may wait for another request; `nil` where it cannot carry one.
  private var idleTimeout: Duration? {
    guard let rules = self.outgoing.group.rules.keepAlive, self.request.isComplete,
      self.answer.leavesServerClean
    else { return nil }
    return min(rules.idleTimeout, self.answer.idleTimeout ?? rules.idleTimeout)
  }

  private consuming func breakOff(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    self.record(closer, reason, bench)
    self.server.close(&bench)
    // The client must not take an answer that ends with the connection for complete.
    if self.answer.hasBegun { self.downstream.resetOnClose() }
    return bench.close(self.downstream)
  }

  private borrowing func record(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: borrowing Workbench
  ) {
    self.outgoing.exchange.finish(
      .init(
        kind: .request, status: self.answer.status, closer: closer, reason: reason,
        tls: self.downstream.tlsVersion, inboundByteCount: self.request.byteCount,
        outboundByteCount: self.answer.byteCount), bench)
  }

  /// Sets the timer by what is awaited now.
  private mutating func arm(_ bench: inout Workbench) {
    self.noteTaken(bench.now)
    let isAnswerAwaited =
      self.request.isComplete && !self.answer.hasBegun && self.server.queuedByteCount == 0
    if !isAnswerAwaited {
      self.askedAt = nil
    } else if self.askedAt == nil {
      // Interim answers are none: the time runs from the end of the request.
      self.askedAt = bench.now
      let hasBody = self.request.byteCount > 0
      self.untaken[.upstream] = hasBody ? self.server.stream.undeliveredByteCount() : 0
    }
    let deadline = self.deadline()
    bench.wheel.arm(Int(self.outgoing.exchange.arrival.token.slot), at: deadline)
  }

  private func deadline() -> Deadline {
    let rules = self.outgoing.route.rules.http
    let deadline =
      self.askedAt?.advanced(by: rules?.responseTimeout ?? Limits.upgradeTimeout)
      ?? self.movedAt.advanced(by: rules?.silenceTimeout ?? Limits.responseTimeout)
    guard let endedAt else { return deadline }
    return min(deadline, max(self.movedAt, endedAt).advanced(by: Limits.halfClosedTimeout))
  }

  /// Looks at what waits for either side: a slow one that has taken some of it is not silent.
  private mutating func noteTaken(_ now: Deadline) {
    self.noteTaken(.downstream, self.downstream.untakenByteCount(), now)
    // While the answer alone is awaited, see ``isStillAsking()``.
    guard self.askedAt == nil else { return }
    self.noteTaken(.upstream, self.server.stream.untakenByteCount(), now)
  }

  private mutating func noteTaken(_ side: Side, _ untaken: Int, _ now: Deadline) {
    if untaken < self.untaken[side] {
      self.movedAt = now
      self.hasTaken = true
    }
    self.untaken[side] = untaken
  }

  /// Whether the server has taken octets of the request since it was looked at last: they lie in the
  /// kernel for it, and it cannot answer yet.
  private mutating func isStillAsking() -> Bool {
    guard self.untaken[.upstream] > 0 else { return false }
    let untaken = self.server.stream.undeliveredByteCount()
    defer { self.untaken[.upstream] = untaken }
    return untaken < self.untaken[.upstream]
  }

  /// Since when nothing has moved of what waits here for a slow side; `nil` where nothing waits.
  mutating func stalledSince(_ now: Deadline) -> Deadline? {
    guard self.downstream.queuedByteCount > 0 || self.server.queuedByteCount > 0 else { return nil }
    self.noteTaken(now)
    return self.movedAt.spared(self.hasTaken)
  }

  /// Gives back what waits for a slow side: the worker needs the memory.
  consuming func shed(_ bench: inout Workbench) -> Connection {
    guard self.answer.hasBegun else {
      return self.end(.refused(.overloaded(retryAfter: Limits.retryAfter)), &bench)
    }
    let isClient = self.downstream.queuedByteCount > 0
    return self.end(.broken(isClient ? .downstream : .upstream, "shed"), &bench)
  }

  /// The server went away before it answered.
  func lost(_ reason: String) -> Fate {
    guard !self.answer.hasBegun else { return .broken(.upstream, reason) }
    // RFC 9112 §9.3.1: a server may close an idle connection at any time, also at this one.
    let isStale = self.server.isReused && self.outgoing.asked.isSafe
    guard isStale, !self.request.hasTakenContent, !self.answer.hasOctets else {
      return .lost(reason)
    }
    return .again(reason, isStale: true)
  }
}
