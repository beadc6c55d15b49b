internal import Configuration
internal import HTTP2
internal import Logging
internal import Net
internal import Telemetry
internal import Transport

/// The socket of an HTTP/2 connection. Its streams are connections of their own, with the phases that
/// all have; what is common to them is in their ``Carrier``, and this is the way of its frames.
///
///     socket ─▶ frames ─▶ session ─▶ events ─▶ streams   (Worker+Streams)
///     socket ◀────────────── output ◀── flush, at the end of the turn
struct Multiplexing: ~Copyable {
  private var stream: ByteStream
  let arrival: Arrival
  /// The slot of its carrier.
  let carrier: Int
  /// When the client was heard last, when it had streams last, and when it took answers last.
  private var heardAt: Deadline
  private var busyAt: Deadline
  private var tookAt: Deadline
  /// Octets that the client's kernel has, as far as was looked.
  private var deliveredByteCount = 0
  /// Whether it was asked if it is there, as long as nothing was heard since.
  private var question: Question?
  /// When clients that owe the end of a stream are looked at.
  private var looksAt = Deadline.never
  /// When it is told to ask elsewhere, and whether it was.
  private var departsAt = Deadline.never
  private var hasNotified = false
  private var hasDeparted = false
  /// Whether the socket is at its end, or everything has been said.
  private var isLost = false
  private var isDone = false
  private var armedAt = Deadline.never

  /// A PING on its way (RFC 9113 §6.7).
  private struct Question {
    /// When it was asked, or was last seen to be still on its way.
    var askedAt: Deadline
    /// The count of octets that lie in front of it, and of those that were delivered when it was looked at.
    let position: Int
    var deliveredByteCount: Int
  }

  /// Begins where what came already stands in the scratch.
  static func begin(
    _ stream: consuming ByteStream, _ arrival: Arrival, _ bench: inout Workbench
  ) -> Connection {
    let session: Session
    do throws(SessionFault) {
      session = try Session(
        bench.snapshot.sessionRules, now: bench.now, &bench.scratch.pool)
    } catch {
      bench.snapshot.log.error("no HTTP/2 session", metadata: ["reason": "\(error.reason)"])
      return bench.close(stream)
    }
    guard let token = bench.scratch.carriers.nextToken() else { return bench.close(stream) }
    let carrier = Carrier(
      session, token: arrival.token, tlsVersion: stream.tlsVersion,
      windowByteCount: Limits.streamWindowByteCount)
    bench.scratch.carriers.insert(carrier, as: token)
    bench.meter.http2.connections.raise()
    let phase = Multiplexing(stream, arrival, carrier: Int(token.slot), now: bench.now)
    return phase.begin(&bench)
  }

  private init(
    _ stream: consuming ByteStream, _ arrival: Arrival, carrier: Int, now: Deadline
  ) {
    self.stream = stream
    self.arrival = arrival
    self.carrier = carrier
    self.heardAt = now
    self.busyAt = now
    self.tookAt = now
  }

  private consuming func begin(_ bench: inout Workbench) -> Connection {
    // The deadline of the phase before; its own is set below.
    bench.wheel.disarm(Int(self.arrival.token.slot))
    var phase = Owned(self)
    phase.value.catchUp(&bench)
    phase.value.received(&bench)
    bench.scratch.flushLater(phase.value.carrier)
    if phase.value.stream.isReadable { phase.value.waitForTurn(&bench) }
    phase.value.arm(&bench)
    return .multiplexing(phase)
  }

  /// A process that is about to end has given a turn to those that were there.
  private mutating func catchUp(_ bench: inout Workbench) {
    guard let until = bench.departure.closesUntil else { return }
    let share = Double.random(in: 0..<1, using: &bench.chance)
    self.departsAt = bench.now.advanced(by: until.duration(since: bench.now) * share)
  }

  /// The socket is ready. Whether it goes on; if not, ``close(_:)`` must follow.
  mutating func handle(_ event: Event, _ bench: inout Workbench) -> Bool {
    guard event.token.registration == 0 else { return true }
    self.stream.note(event.readiness)
    if event.readiness.contains(.writable), self.stream.queuedByteCount > 0 {
      guard self.stream.flush(&bench.scratch) == nil else { return false }
      self.tookAt = bench.now
      self.noteDelivered(bench)
      if self.stream.queuedByteCount == 0 { bench.scratch.flushLater(self.carrier) }
    }
    self.read(&bench)
    return true
  }

  /// Receives once: what came has to be handed to the streams before more can take its place.
  private mutating func read(_ bench: inout Workbench) {
    // A client that takes no answers has nothing to ask.
    guard self.stream.isReadable, !self.isLost, self.mayRead(bench) else { return }
    // What its streams have not heard yet comes first.
    guard !bench.scratch.carriers[self.carrier].session.hasEvents else {
      return self.waitForTurn(&bench)
    }
    bench.scratch.inbound.clear()
    switch self.stream.receive(&bench.scratch) {
    case .octets, .nothing: self.received(&bench)
    case .ended, .failed:
      self.received(&bench)
      // At the turn's end, when its streams have what came before.
      self.isLost = true
      bench.scratch.flushLater(self.carrier)
    }
    if self.stream.isReadable, !self.isLost { self.waitForTurn(&bench) }
  }

  private func mayRead(_ bench: borrowing Workbench) -> Bool {
    self.stream.queuedByteCount + bench.scratch.carriers[self.carrier].session.output.count
      <= Limits.unreadAnswersByteCountMax
  }

  /// Takes what stands in the scratch for frames.
  private mutating func received(_ bench: inout Workbench) {
    guard !bench.scratch.inbound.isEmpty else { return }
    self.heardAt = bench.now
    self.question = nil
    swap(&bench.scratch.inbound, &bench.scratch.frames)
    bench.scratch.inbound.clear()
    bench.scratch.receiveFrames(self.carrier, now: bench.now)
    bench.readCarriers.append(self.carrier)
  }

  private mutating func waitForTurn(_ bench: inout Workbench) {
    guard !self.stream.waitsForTurn else { return }
    self.stream.waitsForTurn = true
    bench.unfinished.append(self.arrival.token)
  }

  /// Sends what the session has: the turn is over. Whether it goes on.
  mutating func flush(_ bench: inout Workbench) -> Bool {
    bench.scratch.flushBegins(self.carrier)
    guard !self.isLost else { return false }
    if self.stream.queuedByteCount == 0 {
      self.tookAt = bench.now
      guard self.stream.sendFrames(of: self.carrier, &bench.scratch) == nil else { return false }
      if self.stream.queuedByteCount > 0 { self.noteDelivered(bench) }
    }
    // Streams that waited for room have it in the next turn, so that others have theirs.
    if bench.scratch.carriers[self.carrier].session.hasEvents {
      bench.readCarriers.append(self.carrier)
      self.waitForTurn(&bench)
    }
    let isStirred = bench.scratch.carriers[self.carrier].takeStir()
    if isStirred || bench.scratch.carriers[self.carrier].streamCount > 0 { self.busyAt = bench.now }
    // One that was not read while its answers waited is told of it by nobody.
    if self.stream.isReadable, self.mayRead(bench) { self.waitForTurn(&bench) }
    self.arm(&bench)
    self.isDone = self.isOver(bench)
    return !self.isDone
  }

  /// Whether everything is said.
  private func isOver(_ bench: borrowing Workbench) -> Bool {
    guard self.stream.queuedByteCount == 0,
      bench.scratch.carriers[self.carrier].session.output.isEmpty
    else { return false }
    if bench.scratch.carriers[self.carrier].session.isOver { return true }
    return self.hasDeparted && bench.scratch.carriers[self.carrier].isQuiet
  }
}

// MARK: - Deadlines and ends

extension Multiplexing {
  /// The timer has fired. Whether it goes on.
  mutating func deadlinePassed(_ bench: inout Workbench) -> Bool {
    self.armedAt = .never
    let now = bench.now
    self.noteDelivered(bench)
    guard !self.isStalled(now) else { return false }
    if now >= self.departsAt { self.depart(&bench) }
    if bench.scratch.carriers[self.carrier].isQuiet {
      if now >= self.idleUntil(bench) { self.leave(&bench) }
    } else if now >= self.heardAt.advanced(by: Limits.pingInterval) {
      guard self.ping(&bench) else { return false }
    }
    if now >= self.looksAt {
      self.looksAt = .never
      bench.scratch.lookAtLingering(self.carrier)
    }
    bench.scratch.carriers[self.carrier].session.noteWaitIsOver()
    if bench.scratch.carriers[self.carrier].session.hasEvents {
      bench.readCarriers.append(self.carrier)
    }
    bench.scratch.flushLater(self.carrier)
    return true
  }

  /// Looks at what the client has taken, of the kernel's part too: one that is slow takes that for long
  /// before an event tells of it.
  private mutating func noteDelivered(_ bench: borrowing Workbench) {
    // Records are a little more than what is in them: less is known to be delivered than is.
    let count =
      bench.scratch.carriers[self.carrier].sentByteCount &- self.stream.undeliveredByteCount()
    guard count > self.deliveredByteCount else { return }
    self.deliveredByteCount = count
    self.tookAt = bench.now
  }

  /// Whether the client has taken nothing for too long of what waits for it.
  private func isStalled(_ now: Deadline) -> Bool {
    self.stream.queuedByteCount > 0 && now >= self.tookAt.advanced(by: Limits.responseTimeout)
  }

  /// Since when the client has taken nothing of what waits for it; `nil` where nothing does.
  mutating func stalledSince(_ bench: borrowing Workbench) -> Deadline? {
    guard self.stream.queuedByteCount > 0 else { return nil }
    self.noteDelivered(bench)
    return self.tookAt
  }

  /// The worker needs the memory in which frames wait. ``close(_:)`` must follow.
  mutating func shed() { self.isLost = true }

  /// Asks a silent client whether it is there; `false` where it has not answered.
  private mutating func ping(_ bench: inout Workbench) -> Bool {
    guard let question = self.question else {
      let sentByteCount = bench.scratch.carriers[self.carrier].sentByteCount
      let waitingByteCount = bench.scratch.carriers[self.carrier].session.output.count
      self.question = Question(
        askedAt: bench.now, position: sentByteCount &+ waitingByteCount,
        deliveredByteCount: self.deliveredByteCount)
      bench.scratch.carriers[self.carrier].session.ping(bench.chance.next())
      return true
    }
    guard bench.now >= question.askedAt.advanced(by: Limits.pingTimeout) else { return true }
    // Behind much that is taken slowly it has not come as far yet. What waits here is for
    // ``isStalled(_:)`` to judge.
    let isUnderWay =
      question.deliveredByteCount < question.position
      && self.deliveredByteCount > question.deliveredByteCount
    guard isUnderWay || self.stream.queuedByteCount > 0 else { return false }
    self.question?.askedAt = bench.now
    self.question?.deliveredByteCount = self.deliveredByteCount
    return true
  }

  private func idleUntil(_ bench: borrowing Workbench) -> Deadline {
    let limits = bench.snapshot.limits
    // A client that has never asked has as long for it as one of HTTP/1.1.
    let timeout =
      bench.scratch.carriers[self.carrier].isUnused
      ? limits.handshakeTimeout : limits.keepAliveTimeout
    return self.busyAt.advanced(by: timeout)
  }

  /// It is this connection's turn to be closed at `deadline`: its streams have turns of their own.
  mutating func close(at deadline: Deadline, _ bench: inout Workbench) {
    // Nothing is lost, and nobody comes back at once, where there is nothing under way.
    let isQuiet = bench.scratch.carriers[self.carrier].isQuiet
    self.departsAt = min(self.departsAt, isQuiet ? bench.now : deadline)
    self.arm(&bench)
  }

  /// RFC 9113 §6.8: the client is told to ask elsewhere, and what is on its way is still served.
  private mutating func depart(_ bench: inout Workbench) {
    guard self.hasNotified else {
      self.hasNotified = true
      self.departsAt = bench.now.advanced(by: Limits.lastRequestTimeout)
      bench.scratch.carriers[self.carrier].session.goAway(isFinal: false)
      return
    }
    self.leave(&bench)
  }

  /// Takes no more streams, and ends with the last that there is.
  private mutating func leave(_ bench: inout Workbench) {
    self.departsAt = .never
    guard !self.hasDeparted else { return }
    self.hasDeparted = true
    bench.scratch.carriers[self.carrier].session.goAway(isFinal: true)
  }

  /// The grace is over: its streams have ended. ``close(_:)`` must follow.
  mutating func cut(_ bench: inout Workbench) {
    self.leave(&bench)
    guard self.stream.queuedByteCount == 0 else { return }
    _ = self.stream.sendFrames(of: self.carrier, &bench.scratch)
  }

  /// Lets the socket go. Streams that are left are told by the worker.
  consuming func close(_ bench: inout Workbench) -> Connection {
    self.record(bench)
    bench.lostStreams += bench.scratch.fail(self.carrier)
    guard self.isDone else { return bench.close(self.stream) }
    // A socket that is closed with octets unread is reset, and that could overtake the last frames.
    return Closing(self.stream, self.arrival.token).begin(&bench)
  }

  private borrowing func record(_ bench: borrowing Workbench) {
    guard let fault = bench.scratch.carriers[self.carrier].session.fault else { return }
    bench.meter.http2.note(fault.abuse?.rawValue)
    bench.snapshot.log.info(
      "HTTP/2 connection ended",
      metadata: [
        "client": "\(self.arrival.peerText)", "reason": "\(fault.reason)",
      ])
  }

  private mutating func arm(_ bench: inout Workbench) {
    let isQuiet = bench.scratch.carriers[self.carrier].isQuiet
    var next = self.departsAt
    if isQuiet {
      next = min(next, self.idleUntil(bench))
    } else {
      let since = self.question?.askedAt.advanced(by: Limits.pingTimeout)
      next = min(next, since ?? self.heardAt.advanced(by: Limits.pingInterval))
    }
    if self.stream.queuedByteCount > 0 {
      next = min(next, self.tookAt.advanced(by: Limits.responseTimeout))
    }
    if bench.scratch.carriers[self.carrier].session.hasWaiting {
      next = min(next, bench.now.advanced(by: Limits.smallWindowTimeout))
    }
    if bench.scratch.carriers[self.carrier].lingeringCount > 0 {
      // Each is looked at twice.
      self.looksAt = min(self.looksAt, bench.now.advanced(by: Limits.closeTimeout / 2))
      next = min(next, self.looksAt)
    } else {
      self.looksAt = .never
    }
    guard next < self.armedAt else { return }
    self.armedAt = next
    bench.wheel.arm(Int(self.arrival.token.slot), at: next)
  }
}
