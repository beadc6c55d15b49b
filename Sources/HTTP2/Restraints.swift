internal import Net

/// What of one kind a client may send: at a rate, with a burst, and besides so much as it has earned
/// by what it was sent.
struct Allowance {
  private var bucket: TokenBucket
  private var credit = 0
  private let creditMax: Int

  init(burst: Int, perSecond: Int, creditMax: Int = 0, now: Deadline) {
    self.bucket = TokenBucket(perSecond: Double(perSecond), burst: Double(burst), now: now)
    self.creditMax = creditMax
  }

  mutating func earn(_ count: Int) {
    self.credit = min(self.credit &+ count, self.creditMax)
  }

  /// Whether one more is within the limit; it is counted.
  mutating func spend(now: Deadline) -> Bool {
    if self.credit > 0 {
      self.credit &-= 1
      return true
    }
    let balance = self.bucket.fill(now: now)
    self.bucket.take(1)
    return balance >= 1
  }
}

/// The limits of ``Abuse``, one allowance for each kind that is counted. What is in the buckets is
/// far above what clients in use do, and far below what costs a worker anything that is felt.
struct Restraints {
  /// CONTINUATION frames behind one HEADERS frame: eight, as nghttp2 has it, or as many as the largest
  /// head needs that is allowed. A frame carries up to 16 KiB, which bounds a block on the wire.
  static func continuationCountMax(_ rules: SessionRules) -> Int {
    max(8, rules.headByteCountMax / (16 * 1024))
  }

  /// The octets that one header block may stand for, far more than a head may have: a client with too
  /// many cookies gets its 431, an index that is repeated a thousand times does not.
  static func decodedByteCountMax(_ rules: SessionRules) -> Int {
    1024 * 1024 + min(rules.headByteCountMax, Int(Int32.max))
  }

  /// Octets of content below which a frame is tiny, if it was the client's window that made it so.
  /// The header of a frame and its TLS record are some 30 octets: a ninth of it at most.
  static let tinyByteCount = 256
  /// How much may be earned: a window of 64 KiB filled with messages of an octet, acknowledged late
  /// and each by two frames.
  static let creditMax = 128 * 1024

  /// A page that is left behind takes back what it had asked for, 200 images at once: five pages
  /// without a pause, and then one every six seconds. Streams that are opened although more are not
  /// allowed count as well. (nghttp2's own choice of numbers, whose clock this takes the place of.)
  private var rapidReset: Allowance
  /// One at the start, and a few where a browser changes its windows.
  private var settings: Allowance
  /// A keep-alive every few seconds; gRPC clients send one for content that came, to measure the
  /// path, which is why frames that were sent earn one each.
  private var pings: Allowance
  /// Libraries that flush before there is anything send one for a stream.
  private var emptyData: Allowance
  /// Older Firefox sends six at the start and one for a request; Chrome adds frames of reserved
  /// types to some (RFC 8701), and reprioritises what is scrolled into view.
  private var priorities: Allowance
  /// A window ends somewhere, and the frame there may be short: every other frame can be, as those
  /// of another length earn one each.
  private var tinyWindows: Allowance
  /// Python's h2 acknowledges each DATA frame twice, for the stream and the connection; clients that
  /// read in small pieces do so for each piece. Ten for a frame is what Envoy allows, too; here one
  /// comes to it for each 64 octets.
  private var windowUpdates: Allowance
  /// A client that is broken gives up, or goes on at its own pace.
  private var malformed: Allowance

  init(now: Deadline) {
    self.rapidReset = Allowance(burst: 1000, perSecond: 33, now: now)
    self.settings = Allowance(burst: 50, perSecond: 1, now: now)
    self.pings = Allowance(burst: 250, perSecond: 10, creditMax: Self.creditMax, now: now)
    self.emptyData = Allowance(burst: 250, perSecond: 10, now: now)
    self.priorities = Allowance(burst: 1000, perSecond: 100, now: now)
    self.tinyWindows = Allowance(burst: 250, perSecond: 10, creditMax: 250, now: now)
    self.windowUpdates = Allowance(
      burst: 1000, perSecond: 100, creditMax: Self.creditMax, now: now)
    self.malformed = Allowance(burst: 100, perSecond: 10, now: now)
  }

  /// Counts one of a kind: whether it is within the limit.
  mutating func allow(_ abuse: Abuse, now: Deadline) -> Bool {
    switch abuse {
    case .rapidReset: self.rapidReset.spend(now: now)
    case .settingsFlood: self.settings.spend(now: now)
    case .pingFlood: self.pings.spend(now: now)
    case .emptyData: self.emptyData.spend(now: now)
    case .priorityFlood: self.priorities.spend(now: now)
    case .tinyWindows: self.tinyWindows.spend(now: now)
    case .windowUpdateFlood: self.windowUpdates.spend(now: now)
    case .malformedRequests: self.malformed.spend(now: now)
    // Bounded for each header block, not by a rate.
    case .continuationFlood, .headerBomb: true
    }
  }

  /// A request came: what answers it makes may be acknowledged.
  mutating func earnByRequest() { self.windowUpdates.earn(10) }

  /// A DATA frame was sent.
  mutating func earnByFrame(byteCount: Int) {
    self.pings.earn(1)
    self.windowUpdates.earn(10 &+ byteCount &>> 6)
  }

  /// A frame was sent that the client's window did not make tiny.
  mutating func earnByWideFrame() { self.tinyWindows.earn(1) }
}
