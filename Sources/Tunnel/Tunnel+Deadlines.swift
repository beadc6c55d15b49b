public import Net

/// What has to happen at certain times. Nothing here is touched by a message but the two instants in
/// ``Tunnel/heard(from:now:)`` and ``Tunnel/spoke(now:)``: whoever sleeps until ``Tunnel/nextDeadline`` finds then that
/// it is not due, and sleeps on.
extension Tunnel {
  /// Octets came from `side`: it lives.
  public mutating func heard(from side: Side, now: Deadline) { self.watches[side].heardAt = now }

  /// The peers said something to each other, or took some of it.
  public mutating func spoke(now: Deadline) { self.spokeAt = now }

  /// So many octets wait for `side` in all, the kernel's part included.
  public mutating func untaken(_ count: Int, towards side: Side, now: Deadline) {
    if self.watches[side].untaken(count, now: now) { self.took(side, now: now) }
  }

  /// Whether ``untaken(_:towards:now:)`` has to be said, so that a later look has something to compare.
  public func isUnmeasured(_ side: Side) -> Bool { self.watches[side].isUnmeasured }

  /// A peer took some of what waited for it: it is as alive as one that says something.
  public mutating func took(_ side: Side, now: Deadline) {
    self.spokeAt = now
    self.watches[side].took(now: now)
  }

  /// Whether `side` was ever seen to take some of what waited for it.
  public func hasTaken(_ side: Side) -> Bool { self.watches[side].hasTaken }

  /// Since when `side` has taken nothing of what waits for it; `nil` where nothing waits.
  public func stalledSince(_ side: Side) -> Deadline? { self.watches[side].stalledSince }

  /// It is closed at this time, as one of those that are closed one after the other; `.never` takes
  /// that back. What comes first holds.
  public mutating func drains(at deadline: Deadline, because cause: Cause) {
    guard deadline == .never || deadline < self.drain.at else { return }
    self.drain = (deadline, cause)
  }

  /// Why it is to be closed before long; `nil` where it is not.
  public var drainCause: Cause? { self.drain.at == .never ? nil : self.drain.cause }

  /// What a deadline asks for.
  public enum OnDeadline: Equatable, Sendable {
    /// Sleep until ``Tunnel/nextDeadline``.
    case nothing
    /// This side is to be sent a ping: see ``Tunnel/takeFrame(towards:now:)``.
    case ping(Side)
    /// Its end has begun: see ``Tunnel/takeFrame(towards:now:)`` and ``Tunnel/mayEnd(_:)``.
    case ending
    /// This side may be read again.
    case resume(Side)
    /// Close both sides at once.
    case cut
  }

  /// The next thing that is due; to be called until there is none.
  public mutating func deadlinePassed(now: Deadline) -> OnDeadline {
    for side in Side.allCases {
      guard let until = self.flows[side].throttledUntil, until <= now else { continue }
      self.throttledNanoseconds &+= self.flows[side].unthrottle(now: now)
      if self.mayRead(side) { return .resume(side) }
    }
    if self.closesBy <= now { return self.closeDeadlinePassed(now: now) }
    if self.isHalfClosed, self.halfClosedUntil <= now { return .cut }
    if let cause = self.dueCause(now: now) {
      self.close(cause, now: now)
      return .ending
    }
    for side in Side.allCases where self.pingDue(side) <= now {
      self.flows[side.other].owesPing = true
      return .ping(side)
    }
    return .nothing
  }

  /// When ``deadlinePassed(now:)`` has something to do, at the latest.
  public var nextDeadline: Deadline {
    var next = min(self.closesBy, self.isHalfClosed ? self.halfClosedUntil : .never)
    for side in Side.allCases {
      if let until = self.flows[side].throttledUntil { next = min(next, until) }
      guard !self.isEnding else { continue }
      next = min(next, self.pingDue(side), self.deadAt(side), self.stallsAt(side))
    }
    guard self.closesBy == .never else { return next }
    next = min(next, self.expiresAt, self.livesUntil, self.drain.at)
    return self.isEnding ? next : min(next, self.idleAt)
  }

  /// Why the tunnel has to end now, if it has to.
  private mutating func dueCause(now: Deadline) -> Cause? {
    guard self.closesBy == .never else { return nil }
    if self.expiresAt <= now { return .tokenExpired }
    if self.livesUntil <= now { return .lifetime }
    if self.drain.at <= now { return self.drain.cause }
    guard !self.isEnding else { return nil }
    for side in Side.allCases {
      if self.stallsAt(side) <= now { return .stall(side) }
      if self.deadAt(side) <= now { return .heartbeat(side) }
    }
    return self.idleAt <= now ? .idle : nil
  }

  /// Nobody is waited for any longer, but a slow peer may take all that waits for it.
  private mutating func closeDeadlinePassed(now: Deadline) -> OnDeadline {
    let patience = self.lastTakenAt.advanced(by: self.terms.closeTimeout)
    if self.isToldByEdge { self.giveUpOpenFrames() }
    guard patience > now else { return self.closeTimedOut(now: now) }
    self.closesBy = patience
    return .nothing
  }

  /// The rest of a frame is not waited for any longer: what is queued is all that is still to go.
  private mutating func giveUpOpenFrames() {
    for side in Side.allCases where self.flows[side].owesClose {
      self.flows[side].owesClose = false
      self.flows[side].drop()
    }
  }

  /// When somebody last took something who is still owed the rest of it.
  private var lastTakenAt: Deadline {
    guard !self.isToldByEdge, case .closed(let closer)? = self.cause else {
      return max(self.watches[.downstream].tookAt, self.watches[.upstream].tookAt)
    }
    // Whoever has closed may be made to wait, but not for ever, by one that goes on talking.
    return self.watches[closer.other].tookAt
  }

  private var halfClosedUntil: Deadline {
    let patience = min(self.terms.rules.idleTimeout, self.terms.halfClosedTimeout)
    return self.spokeAt.advanced(by: patience)
  }

  private var livesUntil: Deadline {
    self.terms.rules.lifetimeMax.map { self.begunAt.advanced(by: $0) } ?? .never
  }

  private var idleAt: Deadline { self.spokeAt.advanced(by: self.terms.rules.idleTimeout) }

  private func stallsAt(_ side: Side) -> Deadline {
    self.watches[side].stalledSince?.advanced(by: self.terms.rules.stallTimeout) ?? .never
  }

  /// When `side` is to be sent a ping.
  private func pingDue(_ side: Side) -> Deadline {
    guard let heartbeat = self.heartbeat(of: side), self.askedAt(side) == nil,
      !self.flows[side.other].owesPing
    else { return .never }
    return self.watches[side].heardAt.advanced(by: heartbeat.interval)
  }

  /// When `side`, which owes an answer to a ping, is dead.
  private func deadAt(_ side: Side) -> Deadline {
    guard let heartbeat = self.heartbeat(of: side), let asked = self.askedAt(side) else {
      return .never
    }
    return asked.advanced(by: heartbeat.timeout)
  }

  /// The heartbeat of a side that can show its life: one that is not read cannot, and one that does
  /// not take what waits for it is judged by that.
  private func heartbeat(of side: Side) -> TunnelRules.Heartbeat? {
    guard let heartbeat = self.terms.rules.heartbeat, heartbeat.to.includes(side), !self.isEnding,
      self.flows[side].isRead, self.watches[side].stalledSince == nil
    else { return nil }
    return heartbeat
  }

  /// When the ping was sent that `side` has not answered by any octet.
  private func askedAt(_ side: Side) -> Deadline? {
    guard let asked = self.watches[side].askedAt, asked > self.watches[side].heardAt else {
      return nil
    }
    return asked
  }
}
