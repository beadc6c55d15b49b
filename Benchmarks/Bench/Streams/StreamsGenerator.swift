import Net
import Transport

/// The load over HTTP/2: one thread, one epoll instance, all connections.
struct StreamsGenerator: ~Copyable {
  /// WebSockets being opened at a time: a flood of them would measure the listen queue.
  private static let openingCountMax = 256
  /// The longest time that all of them may take to open.
  private static let openTimeout = Duration.seconds(30)
  /// The longest wait, so that stages change on time.
  private static let waitMax = Duration.milliseconds(50)

  private var desk: StreamsDesk
  private var connections: Slab<StreamsConnection>
  private var resumed: [Token] = []
  private var startedCount = 0
  /// Connections of which some WebSockets are still to come.
  private var openingCount = 0
  private var stageEnd: Deadline
  private let announce: (Stage) -> Void

  /// - Parameters:
  ///   - messageByteCountMax: octets of the largest message.
  ///   - announce: told when measuring begins and ends.
  init(
    _ plan: StreamsPlan, messageByteCountMax: Int, announce: @escaping (Stage) -> Void
  ) throws {
    self.desk = try StreamsDesk(plan, messageByteCountMax: messageByteCountMax)
    self.connections = Slab(slotCountMax: plan.connectionCount)
    self.stageEnd = .now().advanced(by: Self.openTimeout)
    self.announce = announce
  }

  /// Runs all of it.
  mutating func run() -> Tally {
    while self.desk.stage != .over {
      self.openMore()
      let count = self.desk.loop.wait(timeout: self.timeout())
      for index in 0..<count { self.dispatch(self.desk.loop[index]) }
      self.resumeUnfinished()
      self.desk.now = .now()
      self.changeStage()
    }
    return self.desk.tally
  }

  private func timeout() -> Duration {
    guard self.desk.unfinished.isEmpty else { return .zero }
    return min(self.stageEnd.duration(since: self.desk.now), Self.waitMax)
  }

  private mutating func dispatch(_ event: Event) {
    guard let slot = self.connections.liveSlot(for: event.token) else { return }
    self.act(slot) { connection, desk in connection.advance(event.readiness, &desk) }
  }

  private mutating func resumeUnfinished() {
    guard !self.desk.unfinished.isEmpty else { return }
    swap(&self.resumed, &self.desk.unfinished)
    for token in self.resumed { self.dispatch(Event(token: token, readiness: [])) }
    self.resumed.removeAll(keepingCapacity: true)
  }

  /// Lets a connection act, and ends it where it cannot go on.
  private mutating func act(
    _ slot: Int, _ body: (inout StreamsConnection, inout StreamsDesk) -> String?
  ) {
    self.desk.now = .now()
    self.desk.scratch.clear()
    let wasOpening = self.connections[slot].isOpening
    if let fault = body(&self.connections[slot], &self.desk) {
      self.desk.scratch.outbound.clear()
      self.connections[slot].endAll(fault, &self.desk)
      self.connections.remove(slot).close(&self.desk)
      if wasOpening { self.openingCount -= 1 }
    } else if wasOpening, !self.connections[slot].isOpening {
      self.openingCount -= 1
    }
  }
}

// MARK: - Connections

extension StreamsGenerator {
  /// Opens connections until there are all, but only so many at a time.
  private mutating func openMore() {
    let streamCount = self.desk.plan.streamCount
    while self.startedCount < self.desk.plan.connectionCount, self.desk.tally.failedCount == 0,
      self.openingCount == 0 || (self.openingCount + 1) * streamCount <= Self.openingCountMax
    {
      self.desk.now = .now()
      self.open()
    }
  }

  private mutating func open() {
    guard let token = self.connections.nextToken() else { return }
    let index = self.startedCount
    self.startedCount += 1
    do {
      try self.insert(StreamsConnection(&self.desk, as: token, index: index), as: token)
    } catch {
      return self.desk.tally.failed("\(error)")
    }
    self.openingCount += 1
  }

  private mutating func insert(
    _ connection: consuming StreamsConnection, as token: Token
  ) throws(Errno) {
    do throws(Errno) {
      try connection.register(with: self.desk.loop)
    } catch {
      connection.close(&self.desk)
      throw error
    }
    self.connections.insert(connection, as: token)
  }

  private var liveSlots: [Int] {
    (0..<self.connections.slotCount).filter { self.connections.isLive($0) }
  }
}

// MARK: - Stages

extension StreamsGenerator {
  private mutating func changeStage() {
    switch self.desk.stage {
    case .opening: self.finishOpening()
    case .warmingUp where self.desk.now >= self.stageEnd: self.measure()
    case .measuring where self.desk.now >= self.stageEnd: self.conclude()
    case .warmingUp, .measuring, .draining, .over: break
    }
  }

  /// Goes on once all WebSockets are open. Without all of them there is nothing to measure.
  private mutating func finishOpening() {
    if self.desk.now >= self.stageEnd {
      for slot in self.liveSlots where self.connections[slot].isOpening {
        self.connections[slot].endAll("not open after \(Self.openTimeout)", &self.desk)
      }
    }
    guard self.desk.tally.failedCount == 0 else { return self.close() }
    guard self.startedCount == self.desk.plan.connectionCount, self.openingCount == 0 else {
      return
    }
    self.desk.stage = .warmingUp
    self.stageEnd = self.desk.now.advanced(by: self.desk.plan.load.warmup)
    guard self.desk.plan.load.isEcho else { return }
    for slot in self.liveSlots {
      self.act(slot) { connection, desk in connection.begin(&desk) }
    }
  }

  private mutating func measure() {
    self.desk.stage = .measuring
    self.announce(.measuring)
    self.desk.now = .now()
    self.desk.measuredFrom = self.desk.now
    self.stageEnd = self.desk.now.advanced(by: self.desk.plan.load.duration)
  }

  private mutating func conclude() {
    self.desk.tally.measured(self.desk.now.duration(since: self.desk.measuredFrom))
    self.announce(.draining)
    for slot in self.liveSlots { self.connections[slot].chargeStalled(&self.desk) }
    self.close()
  }

  private mutating func close() {
    self.desk.stage = .over
    for slot in self.liveSlots {
      self.desk.scratch.clear()
      self.connections.remove(slot).close(&self.desk)
    }
  }
}
