public import Net
public import WebSocket

/// The two directions between a client and a server. Pure: no descriptor, no clock, no I/O.
///
///              close frame of A        close frame of B
///     open ─────────────────▶ closing ─────────────────▶ both told ──▶ over ──▶ closed
///       │                        ▲ the edge tells whom A did not     (both have ended, and
///       ├── the edge ends it ────┤                                    nothing is queued)
///       ├── server lost ─────────┘
///       └── client lost ──▶ half closed: the server gets the end of the stream, and may finish
///
/// A direction is named after its source: `downstream` carries the client's octets to the server.
/// Whatever ends a tunnel, each side that can still be reached is told with a close frame between two
/// frames, and its answer is waited for, but not for long.
public struct Tunnel: ~Copyable {
  // On the heap, not in line: this compiler copies all of a large value for each question to it.
  var flows: OwnedPair<Flow>
  var watches: OwnedPair<Watch>
  /// Why it ends, the first cause: what the access log says. `nil` while it is open.
  public internal(set) var cause: Cause?
  /// What the edge tells those who have not been told; `nil` while it leaves the end to the peers.
  var told: Cause?
  /// The first close frame's code: 1005 where it had none, 1006 where there was no close frame.
  public internal(set) var closeCode = CloseCode.abnormalClosure
  private var droppedByteCount = 0
  /// For how long peers were not read because they were too fast, in nanoseconds, as far as nobody has
  /// taken note of it.
  public var throttledNanoseconds: UInt64 = 0
  var terms: TunnelTerms
  /// The payload of the edge's pings.
  public let pingTag: UInt64
  let watermarks: Watermarks
  /// When peers last said something to each other, or took some of it.
  var spokeAt: Deadline
  /// When its end is forced.
  var closesBy = Deadline.never
  /// When that ends for which the client was admitted.
  let expiresAt: Deadline
  /// When it began.
  let begunAt: Deadline
  /// When it is its turn to be closed with others, and why.
  var drain: (at: Deadline, cause: Cause) = (.never, .shutdown)

  /// Octets that are dropped for a peer that is gone before the other one is cut off.
  public static let droppedByteCountMax = 1024 * 1024

  /// A tunnel that is open in both directions.
  public init(
    _ terms: TunnelTerms, _ upgrade: TunnelUpgrade, now: Deadline,
    watermarks: Watermarks = .standard
  ) {
    self.terms = terms
    self.watermarks = watermarks
    self.pingTag = upgrade.pingTag
    self.flows = OwnedPair(
      Flow(from: .downstream, terms, upgrade, now: now),
      Flow(from: .upstream, terms, upgrade, now: now))
    self.watches = OwnedPair(Watch(begunAt: now), Watch(begunAt: now))
    self.spokeAt = now
    self.expiresAt = upgrade.expiresAt
    self.begunAt = now
  }

  /// The route's terms have changed: they hold for this tunnel from here on, but for what the opening
  /// handshake has settled.
  public mutating func adopt(_ terms: TunnelTerms, now: Deadline) {
    guard self.terms !== terms else { return }
    self.terms = terms
    for side in Side.allCases { self.flows[side].adopt(terms.rules, from: side, now: now) }
  }

  /// Octets passed on from `side` so far.
  public func octetCount(from side: Side) -> UInt64 { self.flows[side].octetCount }

  /// Messages passed on from `side` so far.
  public func messageCount(from side: Side) -> UInt64 { self.flows[side].messageCount }

  /// Whether the source may be read now.
  public func mayRead(_ side: Side) -> Bool { self.flows[side].isRead }

  /// Payload octets of the present frame of `side` that are still to come and may go to the other
  /// side unread; 0 between frames, and where nothing is passed on.
  public func unreadPayload(from side: Side) -> UInt64 {
    self.flows[side].isDropping ? 0 : self.flows[side].cursor.payloadLeft
  }

  /// Whether `side` stands between two frames.
  public func isBetweenFrames(_ side: Side) -> Bool { self.flows[side].cursor.isBetweenFrames }

  /// Nothing more comes from either side that matters: close both as soon as nothing is queued for
  /// either.
  public var isOver: Bool { self.isDone(.downstream) && self.isDone(.upstream) }

  /// Whether `side` has said, or shown, that it sends nothing more.
  public func hasEnded(_ side: Side) -> Bool { self.flows[side].hasEnded }

  /// Whether nothing more is awaited from `side`. A client that has answered a close frame, or been
  /// answered, has said its last; but it is for the server to end a connection (RFC 6455 §7.1.1), as
  /// the one that ends it first has to remember it. A peer that takes nothing is not waited for.
  private func isDone(_ side: Side) -> Bool {
    if self.flows[side].hasEnded { return true }
    if let told = self.told, told.isDeaf(side), !self.flows[side.other].owesClose { return true }
    guard side == .downstream, self.flows[side].hasSaidClose else { return false }
    return self.flows[.upstream].hasToldClose
  }

  /// Whether a frame of the edge's own waits to go to `side`.
  public func hasFrames(towards side: Side) -> Bool { self.flows[side.other].owes }

  /// Whether it is open, and nothing of the edge's own waits to be sent: after nearly every message.
  public var isCalm: Bool {
    self.cause == nil && !self.flows[.downstream].owes && !self.flows[.upstream].owes
  }

  /// Whether the last data frame of `side` had `byteCount` octets of payload or more, even where they are
  /// still to come: what comes next may be worth a way of its own.
  public func isBulky(_ side: Side, from byteCount: UInt64) -> Bool {
    self.flows[side].cursor.lastPayloadByteCount >= byteCount
  }

  /// Whether its end has begun.
  public var isEnding: Bool { self.cause != nil }

  /// Whether the edge's own end has begun.
  var isToldByEdge: Bool { self.told != nil }
}

// MARK: - Octets

extension Tunnel {
  /// What to do with octets that came in, in this order.
  public struct Judgement: Equatable, Sendable {
    /// So many go to the other side.
    public var passCount: Int
    /// So many behind them go nowhere.
    public var dropCount = 0
    /// What becomes of the rest.
    public var next: Next

    /// What becomes of octets behind those that were judged.
    public enum Next: Equatable, Sendable {
      /// There are none.
      case done
      /// They wait for what completes them, or for their time.
      case hold
      /// They are to be judged, too.
      case again
      /// They are to be judged behind frames of the edge's own: see ``Tunnel/takeFrame(towards:now:)``.
      case insert
    }
  }

  /// Judges octets that came from `side`.
  public mutating func judge(
    _ octets: Span<UInt8>, from side: Side, now: Deadline, counting counts: inout FrameCounts
  ) -> Judgement {
    guard !self.flows[side].isDropping else {
      return self.judgeDropped(octets, from: side, now: now, counting: &counts)
    }
    let messagesBefore = counts.messages
    let isMetered = self.flows[side].messages != nil
    let messageCountMax = isMetered ? self.messageCountMax(from: side, now: now) : .max
    let (count, stop) = self.flows[side].cursor.advance(
      over: octets, messageCountMax: messageCountMax,
      stopsBetweenFrames: self.flows[side].owes && !self.flows[side].isReframed, counting: &counts)
    let messageCount = counts.messages &- messagesBefore
    self.flows[side].octetCount &+= UInt64(count)
    self.flows[side].messageCount &+= messageCount
    if isMetered { self.flows[side].messages?.take(Int(messageCount)) }
    let judgement = self.judgement(count, octets.count &- count, stop, from: side, now: now)
    if self.flows[side].octets != nil { self.spend(count, from: side, now: now) }
    return judgement
  }

  private mutating func judgement(
    _ count: Int, _ rest: Int, _ stop: FrameCursor.Stop, from side: Side, now: Deadline
  ) -> Judgement {
    switch stop {
    case .end: return Judgement(passCount: count, next: .done)
    case .incomplete: return Judgement(passCount: count, next: .hold)
    case .betweenFrames: return Judgement(passCount: count, next: .insert)
    case .ownPong(let byteCount):
      return Judgement(passCount: count, dropCount: byteCount, next: .again)
    case .close(let code):
      self.flows[side].hasToldClose = true
      self.noteClose(code, from: side, now: now)
    case .violation(let violation): self.close(.violation(side, violation), now: now)
    case .messageTooBig: self.close(.messageTooBig(side), now: now)
    case .messagesSpent:
      guard self.terms.rules.messages?.excess == .close else {
        let until = self.flows[side].messages?.instant(of: 1) ?? now
        self.flows[side].throttle(until: until, now: now)
        return Judgement(passCount: count, next: .hold)
      }
      self.close(.messageRate(side), now: now)
    }
    // What is left is judged as something that is dropped: the answer to a close frame may be in it.
    guard rest > 0 else { return Judgement(passCount: count, next: .done) }
    return Judgement(passCount: count, next: self.flows[side].owes ? .insert : .again)
  }

  /// The payload behind `octets`, which `side` has said next, where all of them would pass and end
  /// inside of a frame; 0 otherwise. Nothing is judged by that.
  public mutating func payload(
    behind octets: Span<UInt8>, from side: Side, now: Deadline
  ) -> UInt64 {
    guard !self.flows[side].isDropping, !self.flows[side].owes else { return 0 }
    let messageCountMax = self.messageCountMax(from: side, now: now)
    var cursor = self.flows[side].cursor
    var counts = FrameCounts()
    let (_, stop) = cursor.advance(
      over: octets, messageCountMax: messageCountMax, counting: &counts)
    return stop == .end ? cursor.payloadLeft : 0
  }

  /// How many messages may begin now.
  private mutating func messageCountMax(from side: Side, now: Deadline) -> Int {
    guard let balance = self.flows[side].messages?.fill(now: now) else { return .max }
    return Int(max(0, min(balance, 1e15)))
  }

  /// Takes octets out of the bucket that holds them, whether it has them or not.
  private mutating func spend(_ count: Int, from side: Side, now: Deadline) {
    guard let balance = self.flows[side].octets?.fill(now: now) else { return }
    self.flows[side].octets?.take(count)
    guard balance < Double(count) else { return }
    guard self.terms.rules.bytes?.excess == .close else {
      let until = self.flows[side].octets?.instant(of: 0) ?? now
      self.flows[side].throttle(until: until, now: now)
      return
    }
    self.close(.byteRate(side), now: now)
  }

  /// So many octets of payload went to the other side unread.
  public mutating func passedUnread(_ count: Int, from side: Side, now: Deadline) {
    self.flows[side].cursor.skipPayload(count)
    self.flows[side].octetCount &+= UInt64(count)
    self.heard(from: side, now: now)
    self.spokeAt = now
    self.spend(count, from: side, now: now)
  }

  /// Reads what goes nowhere: the answer to a close frame may be in it.
  private mutating func judgeDropped(
    _ octets: Span<UInt8>, from side: Side, now: Deadline, counting counts: inout FrameCounts
  ) -> Judgement {
    self.dropped(octets.count, from: side)
    guard !self.flows[side].hasSaidClose, !self.flows[side].isGarbled else {
      return Judgement(passCount: 0, dropCount: octets.count, next: .done)
    }
    self.flows[side].cursor.liftLimit()
    let (count, stop) = self.flows[side].cursor.advance(over: octets, counting: &counts)
    switch stop {
    case .incomplete: return Judgement(passCount: 0, dropCount: count, next: .hold)
    case .ownPong(let byteCount):
      return Judgement(passCount: 0, dropCount: count + byteCount, next: .again)
    case .close(let code): self.noteClose(code, from: side, now: now)
    case .violation: self.flows[side].isGarbled = true
    case .end, .betweenFrames, .messagesSpent, .messageTooBig: break
    }
    return Judgement(passCount: 0, dropCount: octets.count, next: .done)
  }

  /// Enough to let a polite peer end in its own time; not to be flooded for nothing.
  private mutating func dropped(_ count: Int, from side: Side) {
    guard self.watches[side.other].isGone else { return }
    self.droppedByteCount += count
    if self.droppedByteCount > Self.droppedByteCountMax { self.flows[side].hasEnded = true }
  }

  /// What a change of a queue asks for.
  public enum OnQueue: Equatable, Sendable {
    case nothing
    /// Read this side again: its octets have room now.
    case resume(Side)
  }

  /// The queue towards `side` holds `count` octets now.
  public mutating func queued(_ count: Int, towards side: Side, now: Deadline) -> OnQueue {
    self.watches[side].queued(count, now: now)
    let source = side.other
    if count > self.watermarks.highByteCount {
      // What is dropped has no need of room, so that its source never waits.
      if !self.flows[source].isDropping { self.flows[source].isPaused = true }
    } else if count < self.watermarks.lowByteCount, self.flows[source].isPaused {
      self.flows[source].isPaused = false
      return self.mayRead(source) ? .resume(source) : .nothing
    }
    return .nothing
  }
}

// MARK: - Frames of the edge's own

extension Tunnel {
  /// A frame that the edge makes.
  public enum OwnFrame: Equatable, Sendable {
    case ping
    case close(ClosePayload)
  }

  /// The next frame of the edge's own that goes to `side`, now that whole frames stand before it;
  /// `nil` where there is none, or where the present frame has to end first.
  public mutating func takeFrame(towards side: Side, now: Deadline) -> OwnFrame? {
    let source = side.other
    guard self.flows[source].owes, self.flows[source].isBetweenFrames else { return nil }
    guard !self.flows[source].owesClose else {
      self.flows[source].owesClose = false
      guard !self.flows[source].hasToldClose, let payload = self.told?.closePayload(for: side)
      else { return nil }
      self.flows[source].hasToldClose = true
      self.flows[source].drop()
      self.noteCode(payload.code)
      return .close(payload)
    }
    self.flows[source].owesPing = false
    self.watches[side].asked(now: now)
    return .ping
  }
}
