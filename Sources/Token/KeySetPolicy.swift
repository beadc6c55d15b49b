/// When a key set that lies behind a URL is fetched, and what becomes of those who ask for its keys
/// meanwhile. Pure: it has no keys, no clock and no network.
///
///               due, or asked                 fetched
///     empty ──────────────────▶ fetching ──────────────────▶ holding
///       ▲                        │    ▲                        │
///       └── failed, no keys yet ─┘    └── due, or asked for ───┘
///           (again after 1 s, 2 s …)      a key that is unknown
///
/// A failure in `holding` changes nothing but the time of the next attempt: the last good keys stay.
struct KeySetPolicy {
  typealias Instant = ContinuousClock.Instant

  /// How often an unknown key may have the set fetched: names of keys are a client's to invent.
  static let unknownKeyInterval = Duration.seconds(10)
  /// The first delay behind a failure; each further one is twice as long.
  static let retryDelayMin = Duration.seconds(1)
  static let retryDelayMax = Duration.seconds(60)

  /// What somebody asks for: a key that may be among those held, or one that is not.
  enum Wanted: Equatable { case known, unknown }

  enum OnAsked: Equatable {
    /// The keys at hand decide.
    case useKeys
    /// Begin to fetch and wait for it; ``settled(_:)`` tells what then counts.
    case fetch
    /// The same with the fetch that is under way.
    case wait
    /// There is no telling.
    case unavailable
  }

  private let refresh: Duration
  private(set) var isFetching = false
  private var hasKeys = false
  /// Since the last success.
  private var failureCount = 0
  /// When an unknown key last had the set fetched.
  private var lastUnknownAt: Instant?
  /// When the set is fetched next by itself; `nil` for at once.
  private(set) var nextFetchAt: Instant?

  /// - Parameter refresh: the time from a success to the next fetch, ten per cent more or less.
  init(refresh: Duration) { self.refresh = refresh }

  /// Somebody needs a key. `unknown` where none that is held can be the one.
  mutating func asked(for wanted: Wanted, now: Instant) -> OnAsked {
    if self.hasKeys, wanted == .known { return .useKeys }
    if self.isFetching { return .wait }
    guard self.hasKeys else { return self.begin(now: now) ? .fetch : .unavailable }
    if let last = self.lastUnknownAt, now - last < Self.unknownKeyInterval {
      return self.settled(wanted)
    }
    self.lastUnknownAt = now
    self.isFetching = true
    return .fetch
  }

  /// Which of ``OnAsked/useKeys`` and ``OnAsked/unavailable`` holds for who has waited, or need not.
  /// An unknown key counts as wrong only if the set could be looked at.
  func settled(_ wanted: Wanted) -> OnAsked {
    self.hasKeys && (wanted == .known || self.failureCount == 0) ? .useKeys : .unavailable
  }

  /// Begins a fetch if it is time for one; whether it is.
  mutating func begin(now: Instant) -> Bool {
    guard !self.isFetching, self.nextFetchAt.map({ $0 <= now }) ?? true else { return false }
    self.isFetching = true
    return true
  }

  /// The fetch has brought keys.
  ///
  /// - Parameter chance: 0 to 1, so that many edges do not ask all at once.
  mutating func fetched(now: Instant, chance: Double) {
    self.isFetching = false
    self.hasKeys = true
    self.failureCount = 0
    self.nextFetchAt = now.advanced(by: self.refresh * (0.9 + 0.2 * chance))
  }

  /// The fetch has brought none; the delay until the next.
  @discardableResult
  mutating func failed(now: Instant) -> Duration {
    self.isFetching = false
    // 2^6 s is beyond the longest delay.
    let delay = min(Self.retryDelayMin * (1 << min(self.failureCount, 6)), Self.retryDelayMax)
    self.failureCount += 1
    self.nextFetchAt = now.advanced(by: delay)
    return delay
  }
}
