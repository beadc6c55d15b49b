public import Net
internal import WebSocket

/// How a tunnel ends: a peer closes it, the edge does, or a connection is lost.
extension Tunnel {
  /// A close frame came from `side`.
  mutating func noteClose(_ code: CloseCode?, from side: Side, now: Deadline) {
    self.flows[side].hasSaidClose = true
    self.flows[side].drop()
    // The answer is awaited, and no limit is to delay it.
    self.flows[side.other].release()
    self.noteCode(code)
    guard self.cause == nil else { return }
    self.cause = .closed(side)
    self.closesBy = now.advanced(by: self.terms.closeTimeout)
  }

  mutating func noteCode(_ code: CloseCode?) {
    guard self.closeCode == .abnormalClosure else { return }
    self.closeCode = code ?? .noStatusReceived
  }

  /// The edge ends the tunnel: whoever has not got a close frame gets one.
  public mutating func close(_ cause: Cause, now: Deadline) {
    guard self.told == nil else { return }
    let isHalfClosed = self.isHalfClosed
    self.told = cause
    if self.cause == nil { self.cause = cause }
    self.closesBy = now.advanced(by: self.terms.closeTimeout)
    for side in Side.allCases {
      self.flows[side.other].release()
      guard !self.flows[side.other].hasToldClose else { continue }
      // A server that was told of its client's end can be told nothing more.
      let canHear = !self.watches[side].isGone && !(isHalfClosed && side == .upstream)
      if canHear, cause.closePayload(for: side) != nil, self.mayWait(for: side, cause) {
        self.flows[side.other].owesClose = true
      } else {
        self.flows[side.other].drop()
      }
    }
  }

  /// Whether the present frame towards `side` has ended, or its end is worth waiting for.
  private func mayWait(for side: Side, _ cause: Cause) -> Bool {
    if self.flows[side.other].isBetweenFrames { return true }
    return !cause.isDeaf(side) && !self.flows[side.other].hasEnded
  }

  /// The client has ended without a close frame, and the server may finish.
  var isHalfClosed: Bool {
    switch self.cause {
    case .lost(.downstream), .broken(.downstream): self.told == nil
    default: false
    }
  }

  /// `side` has sent its last octet.
  public mutating func ended(_ side: Side, now: Deadline) {
    guard !self.flows[side].hasEnded else { return }
    self.flows[side].hasEnded = true
    self.forgetOwedBehindPart(of: side)
    guard !self.flows[side].hasSaidClose else { return }
    self.lost(side, .lost(side), now: now)
  }

  /// `side` broke: nothing can be sent to it or received from it.
  public mutating func failed(_ side: Side, now: Deadline) {
    guard !self.watches[side].isGone else { return }
    self.watches[side].isGone = true
    self.flows[side].hasEnded = true
    self.forgetOwedBehindPart(of: side)
    self.flows[side.other].drop()
    self.flows[side.other].owesClose = false
    self.watches[side].queued(0, now: now)
    guard !self.flows[side].hasSaidClose else { return }
    self.lost(side, .broken(side), now: now)
  }

  /// In the middle of a frame that has no end, nothing of the edge's own can follow any more.
  private mutating func forgetOwedBehindPart(of side: Side) {
    guard !self.flows[side].isBetweenFrames else { return }
    self.flows[side].owesClose = false
    self.flows[side].owesPing = false
  }

  private mutating func lost(_ side: Side, _ cause: Cause, now: Deadline) {
    switch self.cause {
    case nil:
      self.cause = cause
      self.spokeAt = now
      if side == .upstream { self.close(cause, now: now) }
    case .closed(let closer) where closer != side:
      // Whoever closes in order gets an answer in order.
      self.close(.closeTimeout(side, self.closeCode.answer), now: now)
    default: break
    }
  }

  /// Whether `side` is to be told, behind all that is queued for it, that nothing more comes.
  public func mayEnd(_ side: Side) -> Bool {
    let source = side.other
    guard !self.flows[source].owesClose else { return false }
    if self.flows[side].isGarbled { return true }
    let hasEnded = self.flows[source].hasEnded
    guard self.flows[source].hasToldClose else { return hasEnded || self.told != nil }
    if self.flows[side].hasEnded { return true }
    // A server that was told ends the connection first. A client is not told of the end before it has
    // answered, also where the server is gone: some browsers would not answer any more, and take the
    // close for an unclean one.
    return side == .downstream && self.flows[side].hasSaidClose
  }

  /// The bound of a close frame's answer has passed.
  mutating func closeTimedOut(now: Deadline) -> OnDeadline {
    guard self.told == nil, case .closed(let closer)? = self.cause,
      !self.flows[closer.other].hasSaidClose, !self.flows[closer].hasEnded
    else { return .cut }
    let cause = Cause.closeTimeout(closer.other, self.closeCode.answer)
    self.cause = cause
    self.close(cause, now: now)
    // All that is left to be done is to answer the one that closed.
    self.closesBy = now
    return .ending
  }
}

extension CloseCode {
  /// What answers a close frame with this code; `nil` where it had none.
  fileprivate var answer: CloseCode? { self.mayAppearOnWire ? self : nil }
}
