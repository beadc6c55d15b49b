internal import Admission
internal import Configuration
internal import Logging
internal import Net
internal import TLS
internal import Transport

/// One thread's share of the edge: its listeners, its connections, and the loop that serves them.
struct Worker: ~Copyable {
  /// Tokens of connections have odd generations; those of the loop's other descriptors have 0.
  private static let mailboxToken = Token(slot: 0, generation: 0, registration: 1)

  var connections = Slab<Connection>(slotCountMax: 1 << 20)
  var bench: Workbench
  var listeners: [Listener]
  /// When accepting goes on after descriptors ran out; `nil` while it is not paused.
  var acceptsAgainAt: Deadline?
  /// When memory is looked for next, while there is little left.
  var makesRoomAt = Deadline(nanoseconds: 0)
  /// When what is left of a draining worker is cut.
  var cutAt: Deadline?
  /// Tokens that go on in this turn; kept for its memory.
  private var resumed: [Token] = []
  /// HTTP/2 connections that send in this turn; kept for its memory.
  var flushed: [Token] = []
  /// What rooms have for connections in this turn, and which of these are to send it; kept for their
  /// memory.
  var deliveries: [Delivery] = []
  var unflushed: [Token] = []

  init(_ bench: consuming Workbench, _ listeners: [Listener]) throws(Errno) {
    self.listeners = listeners
    try bench.loop.add(bench.mailbox, as: Self.mailboxToken)
    for (index, listener) in listeners.enumerated() {
      try bench.loop.add(listener.socket, as: Self.token(ofListener: index))
    }
    self.bench = bench
  }

  static func token(ofListener index: Int) -> Token { Token(slot: UInt32(index), generation: 0) }

  /// Serves until it was told to drain and its last connection has ended.
  mutating func run() {
    while !self.isDone {
      let end = Deadline.now()
      self.bench.noteTurn(until: end)
      let count = self.bench.loop.wait(until: self.nextWake(), now: end)
      self.bench.now = .now()
      if self.bench.servers.hasIdle { self.noteIdleServers(count) }
      for index in 0..<count { self.dispatch(self.bench.loop[index]) }
      self.resumeUnfinished()
      self.passDeadlines()
      self.settleRooms()
      self.flushCarriers()
      if self.bench.isNearBudget { self.makeRoom() }
    }
    _ = self.bench.servers.closeIdle(&self.bench.scratch)
    self.bench.mailbox.close()
  }

  private var isDone: Bool { self.isIdleAtLast && !self.isAwaited }

  /// Whether it is about to end, and has no connection any more.
  private var isIdleAtLast: Bool {
    self.bench.departure.closesUntil != nil && self.connections.count == 0
  }

  /// Whether peers on other workers may need rooms that live here.
  private var isAwaited: Bool {
    self.bench.snapshot.hasRooms && self.bench.commons.occupancy.connectionCount > 0
  }

  /// Until when the loop may sleep.
  private func nextWake() -> Deadline {
    if !self.bench.unfinished.isEmpty { return Deadline(nanoseconds: 0) }
    var next = self.bench.wheel.nextWake() ?? .never
    if let resume = self.acceptsAgainAt { next = min(next, resume) }
    if let cut = self.cutAt { next = min(next, cut) }
    next = min(next, self.bench.rooms.nextWake)
    next = min(next, self.bench.servers.nextWake)
    if self.isIdleAtLast { next = min(next, self.bench.now.advanced(by: Limits.awaitedInterval)) }
    return next
  }

  private mutating func dispatch(_ event: Event) {
    if event.token.registration == ServerPool.registration {
      self.dispatchServers(event)
    } else if let slot = self.connections.liveSlot(for: event.token) {
      self.serve(slot, event)
    } else if event.token == Self.mailboxToken {
      for message in self.bench.mailbox.take() { self.receive(message) }
    } else if event.token.generation == 0, Int(event.token.slot) < self.listeners.count {
      self.accept(from: self.listeners[Int(event.token.slot)])
    }
  }

  /// Gives a connection its turn.
  private mutating func serve(_ slot: Int, _ event: Event) {
    self.connections[slot].handle(event, &self.bench)
    self.reap(slot)
    if !self.bench.readCarriers.isEmpty { self.settleStreams() }
  }

  /// What came on idle connections to servers is looked at before any of them is used again: nobody
  /// has asked for it, and it must not be taken for the next answer.
  private mutating func noteIdleServers(_ count: Int) {
    for index in 0..<count {
      let event = self.bench.loop[index]
      guard event.token.registration == ServerPool.registration else { continue }
      self.bench.noteClosedServers(self.bench.servers.noteIdle(event, &self.bench.scratch))
    }
  }

  /// An event of a connection to a server that is not one client's alone.
  private mutating func dispatchServers(_ event: Event) {
    guard let borrower = self.bench.servers.borrower(of: event.token),
      let slot = self.connections.liveSlot(for: borrower)
    else { return }
    self.serve(slot, Event(token: borrower, readiness: event.readiness))
  }

  mutating func reap(_ slot: Int) {
    guard self.connections[slot].isClosed else { return }
    self.bench.wheel.disarm(slot)
    _ = self.connections.remove(slot)
  }

  private mutating func resumeUnfinished() {
    guard !self.bench.unfinished.isEmpty else { return }
    swap(&self.resumed, &self.bench.unfinished)
    // By index: an iterator would hold a reference to the array.
    for index in self.resumed.indices {
      let token = self.resumed[index]
      guard let slot = self.connections.liveSlot(for: token) else { continue }
      self.serve(slot, Event(token: token, readiness: []))
    }
    self.resumed.removeAll(keepingCapacity: true)
  }

  private mutating func passDeadlines() {
    while let slot = self.bench.wheel.expire(now: self.bench.now) {
      guard self.connections.isLive(slot) else { continue }
      self.connections[slot].deadlinePassed(&self.bench)
      self.reap(slot)
    }
    self.bench.rooms.passDeadlines(self.bench.now)
    self.bench.noteClosedServers(
      self.bench.servers.passDeadlines(self.bench.now, &self.bench.scratch))
    if let resume = self.acceptsAgainAt, resume <= self.bench.now { self.resumeAccepting() }
    if let cut = self.cutAt, cut <= self.bench.now { self.cutAll() }
  }
}
