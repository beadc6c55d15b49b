import Net
import Transport

/// The load: one thread, one epoll instance, all connections.
struct Generator: ~Copyable {
  /// Connections being opened at a time: a flood of handshakes would measure the listen queue.
  private static let openingCountMax = 256
  /// Failures after which a run is given up.
  private static let failureCountMax = 1000
  /// The longest time that a connection may take to open, or one of churn to do all it has to.
  private static let openTimeout = Duration.seconds(10)
  /// How long answers that are owed at the end are awaited.
  private static let drainTimeout = Duration.seconds(5)
  /// The longest wait, so that stages change on time.
  private static let waitMax = Duration.milliseconds(50)

  private var desk: Desk
  private var clients: Slab<Client>
  private var resumed: [Token] = []
  /// Slots by the connections' numbers, for an open loop.
  private var slots: [Int?]
  private var startedCount = 0
  private var openingCount = 0
  /// Messages of the open loop that connections were told to send.
  private var issuedCount: UInt64 = 0
  private var stageEnd = Deadline.never
  private let announce: (Stage) -> Void

  /// - Parameter announce: told when measuring begins and ends.
  init(_ plan: Plan, announce: @escaping (Stage) -> Void) throws {
    self.desk = try Desk(plan)
    self.clients = Slab(slotCountMax: plan.connectionCount)
    self.slots = Array(repeating: nil, count: plan.connectionCount)
    self.announce = announce
  }

  /// Runs all of it.
  mutating func run() -> Tally {
    while self.desk.stage != .over {
      self.openMore()
      let count = self.desk.loop.wait(timeout: self.timeout())
      for index in 0..<count {
        let event = self.desk.loop[index]
        self.desk.now = .now()
        self.dispatch(event)
      }
      self.desk.now = .now()
      self.resumeUnfinished()
      self.passDeadlines()
      self.issue()
      self.changeStage()
    }
    return self.desk.tally
  }

  /// How long the loop may sleep. An open loop with messages due within a millisecond or two does
  /// not: epoll_wait(2) counts in whole ones. It lets the others of its processor run instead.
  private func timeout() -> Duration {
    if !self.desk.unfinished.isEmpty { return .zero }
    var until = self.stageEnd
    if let schedule = self.desk.schedule, self.desk.stage < .draining {
      until = min(until, schedule.intended(self.issuedCount))
      let left = until.duration(since: self.desk.now)
      guard left > .milliseconds(2) else {
        ProcessorShare.yield()
        return .zero
      }
      return min(left - .milliseconds(1), Self.waitMax)
    }
    return min(until.duration(since: self.desk.now), Self.waitMax)
  }

  private mutating func dispatch(_ event: Event) {
    guard let slot = self.clients.liveSlot(for: event.token) else { return }
    self.desk.scratch.clear()
    let before = self.clients[slot].isOpening
    let ending = self.clients[slot].advance(event.readiness, &self.desk)
    if before, !self.clients[slot].isOpening || ending != nil { self.opened(slot) }
    if let ending { self.end(slot, ending) }
  }

  private mutating func resumeUnfinished() {
    guard !self.desk.unfinished.isEmpty else { return }
    swap(&self.resumed, &self.desk.unfinished)
    for token in self.resumed { self.dispatch(Event(token: token, readiness: [])) }
    self.resumed.removeAll(keepingCapacity: true)
  }

  private mutating func passDeadlines() {
    while let slot = self.desk.wheel.expire(now: self.desk.now) {
      guard self.clients.isLive(slot) else { continue }
      if self.clients[slot].isOpening { self.opened(slot) }
      self.end(slot, .broken("no answer for \(Self.openTimeout)"))
    }
  }
}

// MARK: - Connections

extension Generator {
  /// Opens connections until there are all, but only so many at a time.
  private mutating func openMore() {
    let isChurn = self.desk.plan.work == .churn
    guard self.desk.stage < .draining else { return }
    while self.openingCount < Self.openingCountMax,
      (isChurn ? self.clients.count : self.startedCount) < self.desk.plan.connectionCount
    {
      guard self.desk.tally.failedCount < Self.failureCountMax else {
        self.desk.stage = .over
        return
      }
      self.desk.now = .now()
      self.open()
    }
  }

  private mutating func open() {
    guard let token = self.clients.nextToken() else { return }
    let index = self.startedCount % self.desk.plan.connectionCount
    self.startedCount += 1
    do {
      try self.insert(Client(&self.desk, as: token, index: index), as: token)
    } catch {
      return self.desk.tally.failed("\(error)")
    }
    self.slots[index] = Int(token.slot)
    self.openingCount += 1
    let deadline = self.desk.now.advanced(by: Self.openTimeout)
    self.desk.wheel.arm(Int(token.slot), at: deadline)
  }

  private mutating func insert(_ client: consuming Client, as token: Token) throws(Errno) {
    do throws(Errno) {
      try client.register(with: self.desk.loop)
    } catch {
      client.close(&self.desk)
      throw error
    }
    self.clients.insert(client, as: token)
  }

  /// A connection is open, or was given up on the way.
  private mutating func opened(_ slot: Int) {
    self.openingCount -= 1
    if self.desk.plan.work != .churn { self.desk.wheel.disarm(slot) }
  }

  private mutating func end(_ slot: Int, _ ending: Client.Ending) {
    self.desk.wheel.disarm(slot)
    let client = self.clients.remove(slot)
    self.slots[client.index] = nil
    switch ending {
    case .finished: self.finished(client.startedAt)
    case .broken(let reason) where client.isOpening: self.desk.tally.failed(reason)
    case .broken(let reason): self.desk.tally.dropped(reason)
    }
    client.close(&self.desk)
  }

  private mutating func finished(_ startedAt: Deadline) {
    guard self.desk.plan.work == .churn else { return }
    self.desk.echoed(byteCount: 0, since: startedAt)
  }
}

// MARK: - Stages

extension Generator {
  /// Tells connections of an open loop to send what is due.
  private mutating func issue() {
    guard let schedule = self.desk.schedule, self.desk.stage < .draining else { return }
    let dueCount = schedule.dueCount(at: min(self.desk.now, self.desk.window.end))
    while self.issuedCount < dueCount {
      let index = Int(self.issuedCount % schedule.connectionCount)
      self.issuedCount += 1
      guard let slot = self.slots[index] else { continue }
      self.clients[slot].owedCount += 1
      self.dispatch(Event(token: self.clients.token(of: slot), readiness: .writable))
    }
  }

  private mutating func changeStage() {
    switch self.desk.stage {
    case .opening: if self.isReady { self.warmUp() }
    case .warmingUp where self.desk.now >= self.stageEnd: self.measure()
    case .measuring where self.desk.now >= self.stageEnd: self.drain()
    case .draining where self.desk.now >= self.stageEnd || self.isDrained: self.conclude()
    default: break
    }
  }

  private var isReady: Bool {
    self.desk.plan.work == .churn
      || self.startedCount == self.desk.plan.connectionCount && self.openingCount == 0
  }

  private mutating func warmUp() {
    self.desk.stage = self.desk.tally.openedCount > 0 || self.openingCount > 0 ? .warmingUp : .over
    self.stageEnd = self.desk.now.advanced(by: self.desk.plan.warmup)
    guard let rate = self.desk.plan.rate else { return self.begin() }
    self.desk.schedule = Schedule(
      start: self.desk.now, rate: rate, connectionCount: self.desk.plan.connectionCount)
    self.desk.window.end = self.stageEnd.advanced(by: self.desk.plan.duration)
  }

  /// Lets each connection of a closed loop, or of a stream to the server, send its first message.
  private mutating func begin() {
    guard self.desk.plan.isUpload || self.desk.plan.isEcho, self.desk.plan.work != .churn else {
      return
    }
    for slot in self.slots.compactMap({ $0 }) {
      self.clients[slot].owedCount = 1
      self.dispatch(Event(token: self.clients.token(of: slot), readiness: .writable))
    }
  }

  private mutating func measure() {
    self.desk.stage = .measuring
    self.announce(.measuring)
    self.desk.now = .now()
    // An open loop's window lies where the schedule has it, however late this is noticed.
    self.desk.window.start = self.desk.schedule == nil ? self.desk.now : self.stageEnd
    self.desk.window.end = self.desk.window.start.advanced(by: self.desk.plan.duration)
    self.stageEnd = self.desk.window.end
  }

  private mutating func drain() {
    self.desk.window.end = min(self.desk.window.end, self.desk.now)
    self.desk.tally.measured(self.desk.now.duration(since: self.desk.window.start))
    self.announce(.draining)
    self.desk.stage = .draining
    self.stageEnd = self.desk.now.advanced(by: Self.drainTimeout)
    guard self.desk.plan.isUpload else { return }
    for slot in self.slots.compactMap({ $0 }) {
      self.dispatch(Event(token: self.clients.token(of: slot), readiness: .writable))
    }
  }

  /// Whether nothing is owed any more: echoes of an open loop, counts of sinks.
  private var isDrained: Bool {
    if self.desk.plan.isUpload { return self.clients.count == 0 }
    guard self.desk.schedule != nil else { return true }
    return self.slots.allSatisfy { slot in
      slot.map { self.clients[$0].unansweredCount == 0 } ?? true
    }
  }

  private mutating func conclude() {
    self.desk.stage = .over
    for index in self.slots.indices {
      guard let slot = self.slots[index] else { continue }
      self.chargeUnanswered(slot)
      self.clients.remove(slot).close(&self.desk)
    }
  }

  /// Messages without an answer have waited until now, at least. In a closed loop one that was sent
  /// before the window has stalled its connection for all of it.
  private mutating func chargeUnanswered(_ slot: Int) {
    if self.desk.plan.isUpload { self.desk.tally.mismatched("the sink did not answer") }
    guard let schedule = self.desk.schedule else {
      if self.hasStalled(slot) { self.desk.tally.dropped("no answer in all the time") }
      return
    }
    let index = self.clients[slot].index
    let first = self.clients[slot].expecting.count
    for number in first..<first + self.clients[slot].unansweredCount {
      self.desk.echoed(byteCount: 0, since: schedule.intended(number, ofConnection: index))
    }
  }
  private func hasStalled(_ slot: Int) -> Bool {
    self.desk.plan.isEcho && self.clients[slot].unansweredCount > 0
      && self.clients[slot].sentAt < self.desk.window.start
  }
}
