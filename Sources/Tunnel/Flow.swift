public import Net
internal import WebSocket

/// One direction of a tunnel, named after its source. Not copyable, since no copy is ever meant.
struct Flow: ~Copyable, Sendable {
  var cursor: FrameCursor
  /// Octets passed on.
  var octetCount: UInt64 = 0
  /// Messages whose first frame was passed on.
  var messageCount: UInt64 = 0
  /// What the source may still send; `nil` without a limit.
  var messages: TokenBucket?
  var octets: TokenBucket?
  /// Until when the source is not read because it was too fast.
  var throttledUntil: Deadline?
  private var throttledSince = Deadline.never
  /// The other side has too much waiting for it: the source is not read.
  var isPaused = false
  /// Nothing more comes from the source.
  var hasEnded = false
  /// What comes from the source is read and goes nowhere.
  var isDropping = false
  /// The source has sent a close frame.
  var hasSaidClose = false
  /// Nothing that can be understood comes from the source any more.
  var isGarbled = false
  /// The other side has got a close frame, the source's or the edge's.
  var hasToldClose = false
  /// Frames of the edge's own that wait for the end of the source's present frame.
  var owesPing = false
  var owesClose = false
  /// Whether what is passed on is cut into frames anew, so that it always ends with a whole one.
  let isReframed: Bool

  init(from side: Side, _ terms: TunnelTerms, _ upgrade: TunnelUpgrade, now: Deadline) {
    let rules = terms.rules
    let inflates = upgrade.isOffloaded && side == .downstream
    self.isReframed = upgrade.isOffloaded
    self.cursor = FrameCursor(
      from: side == .downstream ? .client : .server,
      allowing: inflates || upgrade.usesDeflate ? .rsv1 : [],
      // Where messages are inflated here, it is the inflated size that counts.
      messageByteCountMax: inflates ? .max : rules.messageByteCountMax ?? .max,
      pingTag: upgrade.pingTag)
    self.messages = Self.bucket(rules.messages, side, now)
    self.octets = Self.bucket(rules.bytes, side, now)
  }

  private static func bucket(
    _ limit: TunnelRules.RateLimit?, _ side: Side, _ now: Deadline
  ) -> TokenBucket? {
    guard let limit, limit.from.includes(side) else { return nil }
    return TokenBucket(perSecond: limit.perSecond, burst: limit.burst, now: now)
  }

  /// The source was too fast: it is not read until then.
  mutating func throttle(until deadline: Deadline, now: Deadline) {
    if self.throttledUntil == nil { self.throttledSince = now }
    self.throttledUntil = max(deadline, self.throttledUntil ?? deadline)
  }

  /// The source may be read again; for how long it was not, in nanoseconds.
  mutating func unthrottle(now: Deadline) -> UInt64 {
    self.throttledUntil = nil
    return now.duration(since: self.throttledSince).clampedNanoseconds
  }

  /// The terms have changed: limits hold from here on, and who is behind with a rate stays so.
  mutating func adopt(_ rules: TunnelRules, from side: Side, now: Deadline) {
    guard !self.isDropping, !self.hasSaidClose else { return }
    let inflates = self.isReframed && side == .downstream
    self.cursor.setLimit(inflates ? .max : rules.messageByteCountMax ?? .max)
    self.messages = Self.bucket(rules.messages, side, now)?.keeping(self.messages, now: now)
    self.octets = Self.bucket(rules.bytes, side, now)?.keeping(self.octets, now: now)
    if self.throttledUntil != nil { self.throttledUntil = now }
  }

  /// Whether a frame of the edge's own may follow what was passed on.
  var isBetweenFrames: Bool { self.isReframed || self.cursor.isBetweenFrames }

  /// Whether frames of the edge's own wait.
  var owes: Bool { self.owesPing || self.owesClose }

  /// Whether the source may be read.
  var isRead: Bool { !self.hasEnded && !self.isPaused && self.throttledUntil == nil }

  /// From here on nothing is passed on: what waits for its turn is forgotten, and no limit holds.
  mutating func drop() {
    self.isDropping = true
    self.isPaused = false
    self.owesPing = false
    self.release()
  }

  /// Limits end with the tunnel: what the source still says is dropped, but has to be read.
  mutating func release() {
    self.messages = nil
    self.octets = nil
    self.throttledUntil = nil
  }
}

/// What holds for all tunnels of a route: one object, which they share.
public final class TunnelTerms: Sendable {
  /// The route's rules.
  public let rules: TunnelRules
  /// How long a peer may take to answer a close frame, and then to end the connection.
  public let closeTimeout: Duration
  /// How long the rest of a tunnel may stand still after one side has ended.
  public let halfClosedTimeout: Duration

  /// Terms of a route.
  public init(
    _ rules: TunnelRules, closeTimeout: Duration = .seconds(5),
    halfClosedTimeout: Duration = .seconds(5)
  ) {
    self.rules = rules
    self.closeTimeout = closeTimeout
    self.halfClosedTimeout = halfClosedTimeout
  }
}

/// What the opening handshake settled for one tunnel.
public struct TunnelUpgrade: Sendable {
  /// Whether client and server compress for each other.
  public var usesDeflate: Bool
  /// Whether the edge compresses for the client alone.
  public var isOffloaded: Bool
  /// The payload of the edge's pings. Unlike any that a peer would choose.
  public var pingTag: UInt64
  /// When that ends for which the client was admitted.
  public var expiresAt: Deadline

  /// A tunnel without compression and without an end.
  public init(
    usesDeflate: Bool = false, isOffloaded: Bool = false, pingTag: UInt64 = 0,
    expiresAt: Deadline = .never
  ) {
    self.usesDeflate = usesDeflate
    self.isOffloaded = isOffloaded
    self.pingTag = pingTag
    self.expiresAt = expiresAt
  }
}
