internal import Admission
internal import Logging
internal import Net
internal import Transport
internal import Tunnel
internal import Upstream

/// What other threads tell a worker, and how it ends connections that it has been told to end.
extension Worker {
  mutating func receive(_ message: Message) {
    switch message {
    case .judged(let token, let judgement):
      guard let slot = self.connections.liveSlot(for: token) else { return }
      self.connections[slot].judged(judgement, &self.bench)
      self.reap(slot)
    case .adopt(let snapshot, let listeners): self.adopt(snapshot, listeners)
    case .list(let filter, let order, let limit, let reply):
      reply.give(self.list(filter, order, limit: limit))
    case .closeOne(let token, let cause, let reply):
      reply.give(self.closeOne(token, cause))
    case .closeAll(let filter, let cause, let reply):
      reply.give(self.closeAll(filter, cause))
    case .rooms(let mail): for one in mail { self.bench.receive(one) }
    case .listRooms(let route, let reply): reply.give(self.listRooms(of: route))
    case .listPeers(let address, let reply):
      if let peers = self.listPeers(of: address) { reply.give(peers) }
    case .kick(let peer, let address, let reason, let ban, let reply):
      reply.give(self.kick(peer, from: address, reason: reason, ban: ban))
    case .closeRoom(let address, let words, let reply):
      if let count = self.closeRoom(address, words: words) { reply.give(count) }
    case .serverDied(let endpoint): self.closeTunnels(to: endpoint)
    case .drain(let grace):
      guard self.depart({ .stopping(until: $0) }, within: grace) else { return }
      // Who is in the kernel's queue already is taken, to be told 503.
      self.replaceListeners([])
    case .giveWay(let grace):
      guard self.depart({ .givingWay(until: $0) }, within: grace) else { return }
      self.abandonListeners()
    }
  }

  /// Another configuration holds. Tunnels that it has no place for are closed one after the other.
  private mutating func adopt(_ snapshot: Snapshot, _ listeners: [Listener]) {
    guard self.bench.departure.closesUntil == nil else { return }
    self.bench.adopt(snapshot)
    // Their group, its TLS or their server may be another one now.
    self.bench.noteClosedServers(self.bench.servers.closeIdle(&self.bench.scratch))
    self.replaceListeners(listeners)
    var leaving: [(slot: Int, cause: Cause)] = []
    for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
      if let cause = self.connections[slot].adopt(&self.bench) { leaving.append((slot, cause)) }
    }
    self.close(leaving, over: snapshot.drainOver)
  }

  private mutating func closeTunnels(to endpoint: Endpoint) {
    self.bench.noteClosedServers(
      self.bench.servers.closeIdle(to: endpoint, &self.bench.scratch))
    let slots = (0..<self.connections.slotCount).filter {
      self.connections.isLive($0) && self.connections[$0].endpoint === endpoint
    }
    self.close(slots.map { ($0, .serverDead) }, over: Limits.deadServerSpan)
  }

  /// Closes tunnels one after the other, evenly spread but for chance: clients that come back all at
  /// once would hurt whoever takes them.
  private mutating func close(_ tunnels: [(slot: Int, cause: Cause)], over span: Duration) {
    let share = span / max(1, tunnels.count)
    for (turn, tunnel) in tunnels.enumerated() {
      let jitter = Double.random(in: 0..<1, using: &self.bench.chance)
      let at = self.bench.now.advanced(by: share * turn + share * jitter)
      self.connections[tunnel.slot].close(at: at, because: tunnel.cause, &self.bench)
    }
  }

  /// Begins to end, once: within `grace`, of which a part is kept for the last close frames to be
  /// answered.
  private mutating func depart(
    _ departure: (Deadline) -> Departure, within grace: Duration
  ) -> Bool {
    guard self.bench.departure.closesUntil == nil else { return false }
    self.cutAt = self.bench.now.advanced(by: grace)
    self.bench.rooms.keepPlaces(for: grace, now: self.bench.now)
    let span = grace - min(Limits.closeTimeout, grace / Limits.graceTailDivisor)
    self.bench.departure = departure(self.bench.now.advanced(by: span))
    var tunnels: [(slot: Int, cause: Cause)] = []
    for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
      if self.connections[slot].isLasting {
        tunnels.append((slot, .shutdown))
      } else {
        self.connections[slot].drain(&self.bench)
        self.reap(slot)
        // It may have been the begin of an HTTP/2 connection, whose streams take what came from where
        // the next one's is read to.
        self.settleStreams()
      }
    }
    self.close(tunnels, over: span)
    return true
  }

  mutating func cutAll() {
    self.cutAt = nil
    // Streams first: their last frames go out with the connections that carry them.
    for carries in [false, true] {
      for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
        guard self.connections[slot].isCarrier == carries else { continue }
        self.connections[slot].cut(&self.bench)
        self.reap(slot)
      }
    }
  }

  /// Gives back memory that waits for slow peers: of any where it is too much, and where it is so much that
  /// newcomers are refused, of those that have taken nothing for some time.
  mutating func makeRoom() {
    if self.bench.isOverBudget {
      self.shed(after: .zero)
    } else if self.bench.now >= self.makesRoomAt {
      self.makesRoomAt = self.bench.now.advanced(by: Limits.makesRoomInterval)
      self.shed(after: Limits.sparedTimeout)
    }
    // Streams are told of by the connections that carry them.
    self.flushCarriers()
  }

  /// Sheds those first that have taken nothing for the longest time, at least for `timeout`.
  private mutating func shed(after timeout: Duration) {
    var waiting: [(slot: Int, since: Deadline)] = []
    for slot in 0..<self.connections.slotCount where self.connections.isLive(slot) {
      guard let since = self.connections[slot].stalledSince(self.bench),
        since.advanced(by: timeout) <= self.bench.now
      else { continue }
      waiting.append((slot, since))
    }
    for (slot, _) in waiting.sorted(by: { $0.since < $1.since }) {
      guard !self.bench.hasShedEnough else { return }
      // A connection takes its streams along.
      guard self.connections.isLive(slot) else { continue }
      self.connections[slot].shed(&self.bench)
      self.reap(slot)
    }
  }
}
