internal import Configuration
internal import Net

/// One route's way to its receiver: what waits for it, and how it does.
struct WebhookLine {
  /// What the log is told: when the receiver begins to fail, and when it is well again.
  enum News: Sendable {
    case failing(String)
    case refusing(String)
    case overflowing
    case recovered(failedCount: Int, lostCount: Int)
  }

  /// One attempt.
  struct Turn: Sendable {
    let rules: WebhookRules
    /// Which rules those are: see ``WebhookLine/pause(_:after:)``.
    let revision: Int
    let timeout: Duration
    /// Whether the process ends, and waits for this attempt alone.
    let isLast: Bool
  }

  /// What holds now; `nil` where nobody is told any more.
  private(set) var rules: WebhookRules?
  private(set) var queue = WebhookQueue()
  /// Whether a task tells what waits. There is one at most.
  private(set) var isServed = false
  private var revision = 0
  /// The task's rest between two attempts.
  private var rest: Task<Void, Never>?
  /// What had failed and was lost when the receiver was well for the last time; `nil` while it is.
  private var fault: (failedCount: Int, lostCount: Int)?
  /// What the log knows.
  private var isFailing = false
  private var isRefusing = false
  private var isOverflowing = false

  private var lostCount: Int { self.queue.lost.values.reduce(0, +) }

  /// These rules hold from now on. What waits under them is tried at once.
  mutating func follow(_ rules: WebhookRules) {
    guard self.rules != rules else { return }
    self.rules = rules
    self.interrupt()
  }

  /// Nobody is told any more.
  mutating func remove() {
    self.rules = nil
    self.queue.remove()
    self.interrupt()
  }

  /// Ends the rest between two attempts, and one that is about to begin.
  mutating func interrupt() {
    self.revision += 1
    self.rest?.cancel()
    self.rest = nil
  }

  /// One more event. Whether a task has to begin, and what there is to log.
  mutating func add(_ event: WebhookEvent) -> (begins: Bool, news: News?) {
    guard let rules = self.rules else { return (false, nil) }
    let lostCount = self.lostCount
    let overflows = self.queue.add(event, countMax: rules.queueCountMax)
    if overflows { self.noteFault(lostCount) }
    defer {
      self.isServed = true
      self.isOverflowing = self.isOverflowing || overflows
    }
    return (!self.isServed, overflows && !self.isOverflowing ? .overflowing : nil)
  }

  /// What the task tells next; nothing where it has to end.
  mutating func take() -> [WebhookEvent] {
    let events = self.rules == nil ? [] : self.queue.take()
    self.isServed = !events.isEmpty
    return events
  }

  /// The task tells nothing more.
  mutating func abandon() { self.isServed = false }

  /// The next attempt for what is under way; `nil` where there is to be none.
  ///
  /// - Parameter end: when the process ends; `nil` where it goes on.
  func turn(until end: Deadline?, now: Deadline) -> Turn? {
    guard let rules = self.rules, self.queue.isUnderWay else { return nil }
    let timeLeft = end.map { $0.duration(since: now) } ?? rules.timeout
    return Turn(
      rules: rules, revision: self.revision, timeout: min(rules.timeout, timeLeft),
      isLast: end != nil)
  }

  /// An attempt has ended so.
  mutating func settle(_ answer: WebhookAnswer) -> News? {
    switch answer {
    case .taken:
      self.queue.delivered()
      return self.recover()
    case .refused(let words):
      self.noteFault(self.lostCount)
      self.queue.refused()
      defer { self.isRefusing = true }
      return self.isRefusing ? nil : .refusing(words)
    case .failed(let words, _):
      self.noteFault(self.lostCount)
      self.queue.failed()
      defer { self.isFailing = true }
      return self.isFailing ? nil : .failing(words)
    }
  }

  /// Keeps the task's rest after an attempt, so that it can be ended. Whether it is to rest at all.
  mutating func pause(_ rest: Task<Void, Never>, after turn: Turn) -> Bool {
    guard turn.revision == self.revision else { return false }
    self.rest = rest
    return true
  }

  /// - Parameter lostCount: what was lost before.
  private mutating func noteFault(_ lostCount: Int) {
    if self.fault == nil { self.fault = (self.queue.failedCount, lostCount) }
  }

  /// The receiver is well. After an overflow, once it has caught up: else each request would be news.
  private mutating func recover() -> News? {
    guard let fault = self.fault, !self.isOverflowing || self.queue.count == 0 else { return nil }
    self.fault = nil
    self.isFailing = false
    self.isRefusing = false
    self.isOverflowing = false
    return .recovered(
      failedCount: self.queue.failedCount - fault.failedCount,
      lostCount: self.lostCount - fault.lostCount)
  }
}
