internal import NIOCore

/// What waits to be told of one route's rooms. A value without clock, network or task.
///
///     add ──▶ waiting ──take──▶ under way ──▶ delivered, or refused
///               └─ full: the oldest is dropped
struct WebhookQueue: Sendable {
  /// Events in one request.
  static let batchCountMax = 100

  /// Why an event was never told.
  enum Loss: String, CaseIterable, Sendable {
    /// More waited than may.
    case queueFull = "queue_full"
    /// The receiver does not want it.
    case refused
    /// The route tells nobody any more.
    case removed
  }

  private var waiting = CircularBuffer<WebhookEvent>()
  /// Events of the batch that the receiver is being told, beside those that wait.
  private var underWayCount = 0
  /// Events that the receiver has taken.
  private(set) var deliveredCount = 0
  /// Requests that came to nothing and are repeated.
  private(set) var failedCount = 0
  /// Events that it was never told.
  private(set) var lost: [Loss: Int] = [:]

  /// Whether the receiver is being told something.
  var isUnderWay: Bool { self.underWayCount > 0 }

  /// Events that are still to be told.
  var count: Int { self.waiting.count + self.underWayCount }

  /// One more; at most `countMax` wait. Whether another one had to go for it.
  mutating func add(_ event: WebhookEvent, countMax: Int) -> Bool {
    self.waiting.append(event)
    // More than one where a reload has set a lower bound.
    let excess = max(0, self.waiting.count - countMax)
    self.waiting.removeFirst(excess)
    if excess > 0 { self.lose(excess, .queueFull) }
    return excess > 0
  }

  /// What is told next; nothing where nothing waits. No other call of it until this one is settled.
  mutating func take() -> [WebhookEvent] {
    assert(self.underWayCount == 0)
    let events = Array(self.waiting.prefix(Self.batchCountMax))
    self.waiting.removeFirst(events.count)
    self.underWayCount = events.count
    return events
  }

  /// The receiver has taken what is under way.
  mutating func delivered() {
    self.deliveredCount += self.underWayCount
    self.underWayCount = 0
  }

  /// The receiver does not want what is under way.
  mutating func refused() {
    self.lose(self.underWayCount, .refused)
    self.underWayCount = 0
  }

  /// What is under way has to be told once more.
  mutating func failed() { self.failedCount += 1 }

  /// Nobody is to be told: neither what waits nor what is under way.
  mutating func remove() {
    self.lose(self.count, .removed)
    self.waiting.removeAll()
    self.underWayCount = 0
  }

  private mutating func lose(_ count: Int, _ loss: Loss) { self.lost[loss, default: 0] += count }
}
