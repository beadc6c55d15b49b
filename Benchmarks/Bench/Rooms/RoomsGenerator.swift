import Net
import Transport

/// The load of rooms: one thread, one epoll instance, all peers.
struct RoomsGenerator: ~Copyable {
  /// Peers on their way in at a time: a flood of them would measure the listen queue.
  private static let openingCountMax = 256
  /// Failures after which a run is given up.
  private static let failureCountMax = 1000
  /// The longest time that a peer may take to come in.
  private static let openTimeout = Duration.seconds(10)
  /// How long signals that are under way at the end are awaited.
  private static let drainTimeout = Duration.seconds(5)
  /// The longest wait, so that stages change on time.
  private static let waitMax = Duration.milliseconds(50)

  private var desk: RoomsDesk
  private var peers: Slab<RoomPeer>
  /// Slots by the peers' numbers.
  private var slots: [Int?] = []
  private var openingCount = 0
  /// Signals or joins of the open loop that were begun.
  private var issuedCount: UInt64 = 0
  private var stageEnd = Deadline.never
  private let announce: (Stage) -> Void

  /// - Parameter announce: told when measuring begins and ends.
  init(_ plan: RoomsPlan, announce: @escaping (Stage) -> Void) throws {
    self.desk = try RoomsDesk(plan)
    self.peers = Slab(slotCountMax: plan.peerCount)
    self.announce = announce
  }

  /// Runs all of it.
  mutating func run() -> RoomsTally {
    while self.desk.stage != .over {
      if self.desk.plan.work != .join { self.openMore() }
      let count = self.desk.loop.wait(timeout: self.timeout())
      for index in 0..<count {
        let event = self.desk.loop[index]
        guard let slot = self.peers.liveSlot(for: event.token) else { continue }
        self.act(slot) { peer, desk in peer.advance(event.readiness, &desk) }
      }
      self.desk.now = .now()
      self.passDeadlines()
      self.issue()
      self.changeStage()
    }
    return self.desk.tally
  }

  /// How long the loop may sleep. An open loop of which something is due within a millisecond or two
  /// does not: epoll_wait(2) counts in whole ones. It lets the others of its processor run instead.
  private func timeout() -> Duration {
    let untilStage = self.stageEnd.duration(since: self.desk.now)
    guard let schedule = self.desk.schedule, self.desk.stage < .draining else {
      return min(untilStage, Self.waitMax)
    }
    let left = min(
      untilStage, schedule.intended(self.issuedCount).duration(since: self.desk.now))
    guard left > .milliseconds(2) else {
      ProcessorShare.yield()
      return .zero
    }
    return min(left - .milliseconds(1), Self.waitMax)
  }

  /// Lets a peer act, and ends it where it cannot go on.
  private mutating func act(
    _ slot: Int, _ body: (inout RoomPeer, inout RoomsDesk) -> String?
  ) {
    self.desk.now = .now()
    self.desk.scratch.clear()
    let wasOpening = self.peers[slot].isOpening
    let fault = body(&self.peers[slot], &self.desk)
    if wasOpening, fault == nil, !self.peers[slot].isOpening { self.opened(slot) }
    guard let fault else { return }
    self.desk.scratch.outbound.clear()
    self.end(slot, fault)
  }

  private mutating func passDeadlines() {
    while let slot = self.desk.wheel.expire(now: self.desk.now) {
      guard self.peers.isLive(slot) else { continue }
      self.end(slot, "no welcome for \(Self.openTimeout)")
    }
  }
}

// MARK: - Peers

extension RoomsGenerator {
  /// Opens connections until there are all, but only so many at a time.
  private mutating func openMore() {
    while self.openingCount < Self.openingCountMax,
      self.slots.count < self.desk.plan.peerCount, self.desk.stage == .opening
    {
      self.desk.now = .now()
      self.open(due: self.desk.now)
    }
  }

  private mutating func open(due: Deadline) {
    let index = self.slots.count
    self.slots.append(nil)
    guard let token = self.peers.nextToken() else { return }
    do throws(Errno) {
      let peer = try RoomPeer(&self.desk, index: index, due: due)
      try self.insert(peer, as: token)
    } catch {
      return self.desk.tally.connections.failed("\(error)")
    }
    self.slots[index] = Int(token.slot)
    self.openingCount += 1
    self.desk.wheel.arm(Int(token.slot), at: self.desk.now.advanced(by: Self.openTimeout))
  }

  private mutating func insert(_ peer: consuming RoomPeer, as token: Token) throws(Errno) {
    do throws(Errno) {
      try peer.register(with: self.desk.loop, as: token)
    } catch {
      peer.close(&self.desk)
      throw error
    }
    self.peers.insert(peer, as: token)
  }

  /// A peer is in, or was given up on the way.
  private mutating func opened(_ slot: Int) {
    self.openingCount -= 1
    self.desk.wheel.disarm(slot)
  }

  private mutating func end(_ slot: Int, _ reason: String) {
    let peer = self.peers.remove(slot)
    self.slots[peer.index] = nil
    if peer.isOpening {
      self.opened(slot)
      self.desk.tally.connections.failed(reason)
    } else {
      self.desk.tally.connections.dropped(reason)
    }
    peer.close(&self.desk)
    if self.desk.tally.connections.failedCount > Self.failureCountMax { self.desk.stage = .over }
  }
}

// MARK: - Stages

extension RoomsGenerator {
  /// Begins what is due of an open loop.
  private mutating func issue() {
    guard let schedule = self.desk.schedule, self.desk.stage < .draining else { return }
    let dueCount = schedule.dueCount(at: min(self.desk.now, self.desk.window.end))
    while self.issuedCount < dueCount {
      let due = schedule.intended(self.issuedCount)
      self.issuedCount += 1
      if self.desk.plan.work == .join {
        self.beginJoin(due)
      } else {
        self.beginSignal(due)
      }
    }
  }

  private mutating func beginJoin(_ due: Deadline) {
    guard self.slots.count < self.desk.plan.peerCount else { return }
    self.desk.now = .now()
    self.desk.begun(due: due)
    self.open(due: due)
  }

  /// A peer that is drawn sends to a mate that is drawn.
  private mutating func beginSignal(_ due: Deadline) {
    let index = Int.random(in: 0..<self.slots.count, using: &self.desk.chance)
    guard let slot = self.slots[index] else { return }
    self.signal(slot, due: due)
  }

  private mutating func signal(_ slot: Int, due: Deadline? = nil) {
    self.act(slot) { peer, desk in peer.signal(due: due ?? desk.now, &desk) }
  }

  private mutating func changeStage() {
    switch self.desk.stage {
    case .opening where self.isReady: self.warmUp()
    case .warmingUp where self.desk.now >= self.stageEnd: self.measure()
    case .measuring where self.desk.now >= self.stageEnd: self.drain()
    case .draining where self.desk.now >= self.stageEnd || self.desk.tally.isSettled:
      self.conclude()
    case .opening, .warmingUp, .measuring, .draining, .over: break
    }
  }

  private var isReady: Bool {
    self.desk.plan.work == .join
      || self.slots.count == self.desk.plan.peerCount && self.openingCount == 0
  }

  private mutating func warmUp() {
    // Signals need a name for everybody: without all peers there is nothing to measure.
    guard self.desk.tally.connections.failedCount == 0 else { return self.conclude() }
    self.desk.stage = .warmingUp
    self.stageEnd = self.desk.now.advanced(by: self.desk.plan.warmup)
    self.desk.window.end = self.stageEnd.advanced(by: self.desk.plan.duration)
    if self.desk.plan.isPaced {
      // It lies where the schedule has it, however late the stage is found to be over.
      self.desk.window.start = self.stageEnd
      self.desk.schedule = Schedule(
        start: self.desk.now, rate: self.desk.plan.rate, connectionCount: self.desk.plan.peerCount)
    } else if self.desk.plan.work == .throughput {
      self.begin()
    }
  }

  /// Lets each peer send the signals that are to be under way.
  private mutating func begin() {
    for slot in self.slots.compactMap(\.self) {
      for _ in 0..<self.desk.plan.underWay where self.peers.isLive(slot) { self.signal(slot) }
    }
  }

  private mutating func measure() {
    self.desk.stage = .measuring
    self.announce(.measuring)
    self.desk.now = .now()
    if !self.desk.plan.isPaced { self.desk.window.start = self.desk.now }
    self.desk.window.end = self.desk.window.start.advanced(by: self.desk.plan.duration)
    self.stageEnd = self.desk.window.end
  }

  private mutating func drain() {
    self.desk.window.end = min(self.desk.window.end, self.desk.now)
    self.desk.tally.measured(self.desk.now.duration(since: self.desk.window.start))
    self.announce(.draining)
    self.desk.stage = .draining
    self.stageEnd = self.desk.now.advanced(by: Self.drainTimeout)
  }

  private mutating func conclude() {
    self.desk.stage = .over
    for slot in self.slots.compactMap(\.self) {
      self.desk.scratch.clear()
      self.peers.remove(slot).leave(&self.desk)
    }
  }
}
