internal import Net

/// What is known of one peer's life.
struct Watch: ~Copyable, Sendable {
  /// Whether nothing can be sent to it any more.
  var isGone = false
  /// When octets last came from it.
  var heardAt: Deadline
  /// When it was sent the ping that it has not answered; `nil` where it owes no answer.
  private(set) var askedAt: Deadline?
  /// Whether that ping was put behind what already waited, and cannot have been seen yet.
  private var isPingQueued = false
  /// When it last took some of what waited for it, and whether it ever did.
  private(set) var tookAt: Deadline
  private(set) var hasTaken = false
  /// Since when it has taken nothing of what waits for it; `nil` where nothing waits.
  private(set) var stalledSince: Deadline?
  /// What waited for it, the kernel's part included, when that was last looked at.
  private var untakenByteCount = Int.max
  private var queuedByteCount = 0

  init(begunAt now: Deadline) {
    self.heardAt = now
    self.tookAt = now
  }

  /// It took some of what waited for it.
  mutating func took(now: Deadline) {
    self.tookAt = now
    self.hasTaken = true
  }

  /// A ping goes to it, behind what waits.
  mutating func asked(now: Deadline) {
    self.askedAt = now
    self.isPingQueued = self.queuedByteCount > 0
  }

  /// The time for the answer begins when the ping can be seen.
  private mutating func pingLeft(now: Deadline) {
    self.isPingQueued = false
    if let asked = self.askedAt, asked > self.heardAt { self.askedAt = now }
  }

  /// So many octets wait for it in the edge now.
  mutating func queued(_ count: Int, now: Deadline) {
    if count == 0 {
      if self.isPingQueued { self.pingLeft(now: now) }
      self.stalledSince = nil
      self.untakenByteCount = .max
    } else if self.stalledSince == nil || count < self.queuedByteCount {
      self.stalledSince = now
    }
    self.queuedByteCount = count
  }

  /// Whether something waits for it in the edge, and nobody has looked at how much that is in all.
  var isUnmeasured: Bool { self.queuedByteCount > 0 && self.untakenByteCount == .max }

  /// So many wait for it in all. Whether it has taken some since the last time.
  mutating func untaken(_ count: Int, now: Deadline) -> Bool {
    let hasTaken = count < self.untakenByteCount && self.untakenByteCount != .max
    self.untakenByteCount = count
    if hasTaken, self.stalledSince != nil { self.stalledSince = now }
    return hasTaken
  }
}
