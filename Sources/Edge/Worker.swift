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

  private var connections = Slab<Connection>(slotCountMax: 1 << 20)
  private var bench: Workbench
  private var listeners: [Listener]
  /// When accepting goes on after descriptors ran out; `nil` while it is not paused.
  private var acceptsAgainAt: Deadline?
  /// When what is left of a draining worker is cut.
  private var cutAt: Deadline?
  /// Tokens that go on in this turn; kept for its memory.
  private var resumed: [Token] = []

  init(_ bench: consuming Workbench, _ listeners: [Listener]) throws(Errno) {
    self.listeners = listeners
    try bench.loop.add(bench.mailbox, as: Self.mailboxToken)
    for (index, listener) in listeners.enumerated() {
      try bench.loop.add(listener.socket, as: Token(slot: UInt32(index), generation: 0))
    }
    self.bench = bench
  }

  /// Serves until it was told to drain and its last connection has ended.
  mutating func run() {
    while !self.isDone {
      let count = self.bench.loop.wait(until: self.nextWake(), now: .now())
      self.bench.now = .now()
      for index in 0..<count { self.dispatch(self.bench.loop[index]) }
      self.resumeUnfinished()
      self.passDeadlines()
      if self.bench.isOverBudget { self.shed() }
    }
  }

  private var isDone: Bool { self.bench.isDraining && self.connections.count == 0 }

  /// Until when the loop may sleep.
  private func nextWake() -> Deadline {
    if !self.bench.unfinished.isEmpty { return Deadline(nanoseconds: 0) }
    var next = self.bench.wheel.nextWake() ?? .never
    if let resume = self.acceptsAgainAt { next = min(next, resume) }
    if let cut = self.cutAt { next = min(next, cut) }
    return next
  }

  private mutating func dispatch(_ event: Event) {
    if let slot = self.connections.liveSlot(for: event.token) {
      self.connections[slot].handle(event, &self.bench)
      self.reap(slot)
    } else if event.token == Self.mailboxToken {
      for message in self.bench.mailbox.take() { self.receive(message) }
    } else if event.token.generation == 0, Int(event.token.slot) < self.listeners.count {
      self.accept(from: self.listeners[Int(event.token.slot)])
    }
  }

  private mutating func reap(_ slot: Int) {
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
      self.connections[slot].handle(Event(token: token, readiness: []), &self.bench)
      self.reap(slot)
    }
    self.resumed.removeAll(keepingCapacity: true)
  }

  private mutating func passDeadlines() {
    while let slot = self.bench.wheel.expire(now: self.bench.now) {
      guard self.connections.isLive(slot) else { continue }
      self.connections[slot].deadlinePassed(&self.bench)
      self.reap(slot)
    }
    if let resume = self.acceptsAgainAt, resume <= self.bench.now { self.resumeAccepting() }
    if let cut = self.cutAt, cut <= self.bench.now { self.cutAll() }
  }
}

// MARK: - Accepting

extension Worker {
  /// Takes who waits, but not beyond a turn's share; whether there may be more.
  @discardableResult
  private mutating func accept(from listener: Listener) -> Bool {
    for _ in 0..<Limits.acceptsPerTurnMax {
      guard self.bench.commons.occupancy.mayAccept else {
        self.pauseAccepting("no descriptors or connections are left")
        return false
      }
      switch listener.socket.accept() {
      case .connection(let socket, let peer): self.begin(socket, peer, listener)
      case .wouldBlock: return false
      case .aborted: continue
      case .exhausted(let fault):
        self.pauseAccepting(fault.description)
        return false
      }
    }
    return true
  }

  private mutating func begin(
    _ socket: consuming Socket, _ peer: SocketAddress?, _ listener: Listener
  ) {
    guard let token = self.connections.nextToken() else { return socket.close() }
    let arrival = Arrival(
      token: token, listener: listener, peer: peer, acceptedAt: self.bench.now)
    self.bench.commons.occupancy.connectionBegan()
    guard let connection = self.firstPhase(socket, arrival) else {
      self.bench.commons.occupancy.connectionEnded()
      return
    }
    self.connections.insert(connection, as: token)
    let timeout =
      self.bench.isDraining
      ? Limits.lastRequestTimeout : self.bench.snapshot.limits.handshakeTimeout
    self.bench.arm(token, after: timeout)
  }

  private mutating func firstPhase(
    _ socket: consuming Socket, _ arrival: Arrival
  ) -> Connection? {
    var tls: TLSConnection?
    if let context = arrival.listener.tls {
      do throws(TLSFault) {
        tls = try TLSConnection(accepting: context, over: self.bench.scratch.wire)
      } catch {
        self.bench.commons.log.error("no TLS connection", metadata: ["reason": "\(error.reason)"])
        socket.close()
        return nil
      }
    }
    let downstream = ByteStream(socket, tls: tls)
    do throws(Errno) {
      try downstream.register(with: self.bench.loop, as: arrival.token)
    } catch {
      self.bench.commons.log.error("epoll refuses a socket", metadata: ["reason": "\(error)"])
      downstream.close(&self.bench.scratch)
      return nil
    }
    return arrival.listener.tls == nil
      ? .readingHead(Owned(ReadingHead(downstream, arrival, &self.bench)))
      : .handshaking(Owned(Handshaking(downstream, arrival)))
  }

  /// Who waits stays in the kernel's queue. Without the pause a level-triggered listener would
  /// report without end what cannot be accepted.
  private mutating func pauseAccepting(_ reason: String) {
    guard self.acceptsAgainAt == nil else { return }
    self.bench.commons.log.warning("accepting pauses", metadata: ["reason": "\(reason)"])
    for listener in self.listeners { self.bench.loop.remove(listener.socket) }
    self.acceptsAgainAt = self.bench.now.advanced(by: Limits.acceptPause)
  }

  private mutating func resumeAccepting() {
    guard self.bench.commons.occupancy.mayAccept else {
      self.acceptsAgainAt = self.bench.now.advanced(by: Limits.acceptPause)
      return
    }
    self.acceptsAgainAt = nil
    for (index, listener) in self.listeners.enumerated() {
      do throws(Errno) {
        try self.bench.loop.add(listener.socket, as: Token(slot: UInt32(index), generation: 0))
      } catch {
        self.bench.commons.log.error("epoll refuses a listener", metadata: ["reason": "\(error)"])
      }
    }
  }
}

// MARK: - Messages

extension Worker {
  private mutating func receive(_ message: Message) {
    switch message {
    case .verdict(let token, let verdict):
      guard let slot = self.connections.liveSlot(for: token) else { return }
      self.connections[slot].judged(verdict, &self.bench)
      self.reap(slot)
    case .drain(let grace):
      self.drain(grace)
    }
  }

  /// Stops accepting at once. Who is in the kernel's queue already is taken, to be told 503.
  private mutating func drain(_ grace: Duration) {
    guard !self.bench.isDraining else { return }
    self.bench.isDraining = true
    self.cutAt = self.bench.now.advanced(by: grace)
    let tail = min(Limits.closeTimeout, grace / Limits.graceTailDivisor)
    let span = grace - tail
    self.bench.drainsUntil = self.bench.now.advanced(by: span)
    let slots = (0..<self.connections.slotCount).filter { self.connections.isLive($0) }
    let tunnelCount = slots.count { self.connections[$0].isTunneling }
    var turn = 0
    for slot in slots {
      // Evenly spread: clients that come back all at once would hurt whoever takes over.
      let turnAt = self.bench.now.advanced(by: span * (2 * turn + 1) / max(1, 2 * tunnelCount))
      if self.connections[slot].isTunneling { turn += 1 }
      self.connections[slot].drain(tunnelAt: turnAt, &self.bench)
      self.reap(slot)
    }
    for listener in self.listeners {
      if self.acceptsAgainAt == nil { while self.accept(from: listener) {} }
      self.bench.loop.remove(listener.socket)
      listener.socket.close()
    }
    self.acceptsAgainAt = nil
    self.listeners = []
  }

  private mutating func cutAll() {
    self.cutAt = nil
    for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
      self.connections[slot].cut(&self.bench)
      self.reap(slot)
    }
  }

  /// Gives back memory that waits for slow peers, those first that have taken nothing for the longest
  /// time.
  private mutating func shed() {
    let slots = 0..<self.connections.slotCount
    let waiting = slots.compactMap { slot -> (slot: Int, since: Deadline)? in
      guard self.connections.isLive(slot), let since = self.connections[slot].stalledSince else {
        return nil
      }
      return (slot, since)
    }
    for (slot, _) in waiting.sorted(by: { $0.since < $1.since }) {
      guard !self.bench.hasShedEnough else { return }
      self.connections[slot].shed(&self.bench)
      self.reap(slot)
    }
  }
}
