public import Net

/// One connection of a peer: what it is held to, and the order in which it ends. A value without clock
/// and descriptor, which looks at no message's meaning.
///
///     greeting ──join──▶ attending ──close──▶ closing ──answer, or time──▶ over
public struct PeerSession: Sendable {
  /// How far it is.
  public enum Phase: Equatable, Sendable {
    /// The first message, which says how it wants to come in, is awaited.
    case greeting
    /// It is in a room, or about to be.
    case attending
    /// It was sent a close frame; the client's is awaited.
    case closing
  }

  /// Octets of a message that is skipped because it is too large; beyond it the connection ends.
  public static let skippedByteCountMax: UInt64 = 1 << 20
  /// Messages, and octets of them, behind which a connection is asked to show that they have arrived,
  /// so that they need not be kept.
  static let unconfirmedMessageCountMax = 64
  static let unconfirmedByteCountMax = 32 * 1024

  private var terms: SessionTerms
  /// How long a script may take to see what its browser has received.
  static let scriptTime = Duration.seconds(5)

  private let begunAt: Deadline
  /// How far it is.
  public private(set) var phase: Phase
  /// Whether both sides have sent their close frames.
  public private(set) var isAnswered = false
  private var messages: TokenBucket?
  private var octets: TokenBucket?
  /// Until when nothing is read because too much has come.
  private var throttledUntil: Deadline?
  /// When octets last came.
  private var heardAt: Deadline
  /// When the ping was sent that has not been answered, and the number that its answer confirms.
  private var asked: (at: Deadline, sequence: UInt64)?
  /// The last answer that confirms something, and when it came.
  private var answeredPing: (at: Deadline, sequence: UInt64)?
  private var owesPing = false
  private var sentSequence: UInt64 = 0
  private var unconfirmedMessageCount = 0
  private var unconfirmedByteCount = 0
  /// Since when nothing has been taken of what waits; `nil` where nothing waits.
  private var stalledSince: Deadline?
  private var queuedByteCount = 0
  private var closesBy = Deadline.never
  /// Until when what the client has sent before it ended the connection is read.
  private var endsBy = Deadline.never
  private var drain = (at: Deadline.never, reason: "")
  /// What ended it.
  public private(set) var ending: SessionEnding?

  /// - Parameter greets: whether the client's first message says how it wants to come in.
  public init(_ terms: SessionTerms, greets: Bool, now: Deadline) {
    self.terms = terms
    self.begunAt = now
    self.heardAt = now
    self.phase = greets ? .greeting : .attending
    self.messages = terms.messages?.bucket(now: now)
    self.octets = terms.octets?.bucket(now: now)
  }

  /// Whether the connection may be read.
  public var isRead: Bool { self.throttledUntil == nil }

  /// It has said how it wants to come in.
  public mutating func greeted() { if self.phase == .greeting { self.phase = .attending } }

  /// It was sent a close frame, or is about to be.
  public mutating func close(_ ending: SessionEnding, now: Deadline) {
    guard self.phase != .closing else { return }
    self.phase = .closing
    self.ending = ending
    self.throttledUntil = nil
    self.closesBy = now.advanced(by: self.terms.closeTimeout)
  }

  /// It is closed at this time, as one of those that are closed one after the other; `.never` takes
  /// that back.
  ///
  /// - Parameter reason: the word of the access log.
  public mutating func drains(at deadline: Deadline, because reason: String = "") {
    self.drain = (deadline, reason)
  }

  /// The client has ended the connection, and what it has sent waits because it was too fast: it is read
  /// for as long as a close frame's answer is awaited.
  public mutating func ended(now: Deadline) {
    self.endsBy = min(self.endsBy, now.advanced(by: self.terms.closeTimeout))
  }

  /// The client has sent its close frame, too.
  public mutating func answered() { self.isAnswered = true }

  /// Other terms hold from here on; who is behind with a rate stays so.
  public mutating func adopt(_ terms: SessionTerms, now: Deadline) {
    guard terms !== self.terms else { return }
    self.terms = terms
    self.messages = terms.messages?.bucket(now: now).keeping(self.messages, now: now)
    self.octets = terms.octets?.bucket(now: now).keeping(self.octets, now: now)
    if self.throttledUntil != nil { self.throttledUntil = now }
  }
}

// MARK: - What comes in, and what goes out

extension PeerSession {
  /// What follows from messages that came too fast.
  public enum OnMessage: Equatable, Sendable {
    case pass
    /// It passes, and is the last for so long.
    case throttled(Duration)
    /// It is one too many.
    case flooding
  }

  /// Octets have come.
  public mutating func heard(_ byteCount: Int, now: Deadline) -> OnMessage {
    self.heardAt = now
    return Self.spend(byteCount, from: &self.octets, self.terms.octets, &self.throttledUntil, now)
  }

  /// A message has come.
  public mutating func received(now: Deadline) -> OnMessage {
    Self.spend(1, from: &self.messages, self.terms.messages, &self.throttledUntil, now)
  }

  private static func spend(
    _ count: Int, from bucket: inout TokenBucket?, _ rate: SessionTerms.Rate?,
    _ throttledUntil: inout Deadline?, _ now: Deadline
  ) -> OnMessage {
    guard let rate, var spent = bucket else { return .pass }
    let isEmpty = spent.fill(now: now) < 1
    if isEmpty, rate.closes { return .flooding }
    spent.take(count)
    bucket = spent
    guard spent.fill(now: now) < 1, !rate.closes else { return .pass }
    let until = spent.instant(of: 1)
    let isNews = throttledUntil == nil
    throttledUntil = max(until, throttledUntil ?? until)
    return isNews ? .throttled(until.duration(since: now)) : .pass
  }

  /// The answer to one of our pings has come. A browser answers before its script sees what came before
  /// the ping: the number is confirmed by the first answer that comes a while later.
  public mutating func confirmed(now: Deadline) -> UInt64? {
    guard let asked = self.asked else { return nil }
    self.asked = nil
    guard let answered = self.answeredPing else {
      self.answeredPing = (now, asked.sequence)
      return nil
    }
    guard answered.at.advanced(by: Self.scriptTime) <= now else { return nil }
    self.answeredPing = (now, asked.sequence)
    return answered.sequence
  }

  /// A message goes out.
  public mutating func sent(_ message: Outgoing) {
    guard message.sequence > 0 else { return }
    self.sentSequence = message.sequence
    self.unconfirmedMessageCount += 1
    self.unconfirmedByteCount += message.byteCount
    if self.unconfirmedMessageCount >= Self.unconfirmedMessageCountMax
      || self.unconfirmedByteCount >= Self.unconfirmedByteCountMax
    {
      self.owesPing = true
    }
  }

  /// Whether a ping is to go out now, behind everything that was sent.
  public mutating func takePing(now: Deadline) -> Bool {
    guard self.owesPing, self.asked == nil, self.phase != .closing else { return false }
    self.owesPing = false
    self.asked = (now, self.sentSequence)
    self.unconfirmedMessageCount = 0
    self.unconfirmedByteCount = 0
    return true
  }

  /// So many octets wait for the client. Whether that is more than may.
  public mutating func queued(_ byteCount: Int, now: Deadline) -> Bool {
    if byteCount == 0 {
      self.stalledSince = nil
    } else if self.stalledSince == nil || byteCount < self.queuedByteCount {
      self.stalledSince = now
    }
    self.queuedByteCount = byteCount
    return byteCount > self.terms.outboxByteCountMax
  }

  /// Since when it has taken nothing of what waits for it; `nil` where nothing waits.
  public var waitsSince: Deadline? { self.stalledSince }
}

// MARK: - Time

extension PeerSession {
  /// What a deadline asks for.
  public enum OnDeadline: Equatable, Sendable {
    /// Sleep until ``PeerSession/nextDeadline``.
    case nothing
    /// See ``PeerSession/takePing(now:)``.
    case ping
    /// It may be read again.
    case resume
    /// End it with a close frame.
    case close(SessionEnding)
    /// Nobody is waited for any longer.
    case cut
  }

  /// The next thing that is due; to be called until there is none.
  public mutating func deadlinePassed(now: Deadline) -> OnDeadline {
    if min(self.closesBy, self.endsBy) <= now { return .cut }
    guard self.phase != .closing else { return .nothing }
    if let until = self.throttledUntil, until <= now {
      self.throttledUntil = nil
      return .resume
    }
    if let ending = self.due(now: now) { return .close(ending) }
    if self.pingDue <= now {
      self.owesPing = true
      return .ping
    }
    return .nothing
  }

  private func due(now: Deadline) -> SessionEnding? {
    if self.drain.at <= now { return .draining(reason: self.drain.reason) }
    if self.greetsBy <= now { return .noJoin }
    if self.livesUntil <= now { return .lifetime }
    if self.stallsAt <= now { return .stall }
    return self.deadAt <= now ? .heartbeat : nil
  }

  /// When ``deadlinePassed(now:)`` has something to do, at the latest.
  public var nextDeadline: Deadline {
    guard self.phase != .closing else { return min(self.closesBy, self.endsBy) }
    let limits = min(self.drain.at, self.greetsBy, self.livesUntil, self.stallsAt)
    return min(limits, self.endsBy, self.deadAt, self.pingDue, self.throttledUntil ?? .never)
  }

  private var greetsBy: Deadline {
    self.phase == .greeting ? self.begunAt.advanced(by: self.terms.joinTimeout) : .never
  }

  private var livesUntil: Deadline {
    self.terms.lifetimeMax.map { self.begunAt.advanced(by: $0) } ?? .never
  }

  private var stallsAt: Deadline {
    self.stalledSince?.advanced(by: self.terms.stallTimeout) ?? .never
  }

  /// One that is not read, or does not take what waits, cannot show that it lives.
  private var heartbeat: SessionTerms.Heartbeat? {
    self.isRead && self.stalledSince == nil ? self.terms.heartbeat : nil
  }

  private var pingDue: Deadline {
    guard let heartbeat = self.heartbeat, self.asked == nil, !self.owesPing else { return .never }
    return self.heardAt.advanced(by: heartbeat.interval)
  }

  private var deadAt: Deadline {
    guard let heartbeat = self.heartbeat, let asked = self.asked else { return .never }
    // Any octet shows that it lives, if not that everything has arrived.
    return max(asked.at, self.heardAt).advanced(by: heartbeat.timeout)
  }
}
