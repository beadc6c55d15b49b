internal import Net
internal import Signaling

/// The part of rooms in a worker's turn.
extension Worker {
  /// Carries everything between rooms and connections that this turn has brought, and sends it.
  mutating func settleRooms() {
    // Nearly every turn is one of tunnels alone, and has nothing to pay for rooms.
    guard self.bench.hasRoomWork else { return }
    self.bench.collectRoomActions()
    while self.bench.traffic.isWaiting {
      self.bench.takeTraffic(&self.deliveries, &self.unflushed)
      for index in self.deliveries.indices { self.deliver(self.deliveries[index]) }
      for index in self.unflushed.indices { self.flush(self.unflushed[index]) }
      // A connection that has ended meanwhile is news for its room.
      self.bench.collectRoomActions()
    }
    self.bench.noteRelays()
    self.bench.postOutposts()
  }

  private mutating func deliver(_ delivery: Delivery) {
    guard let slot = self.connections.liveSlot(for: delivery.token) else { return }
    self.connections[slot].deliver(delivery, &self.bench)
  }

  private mutating func flush(_ token: Token) {
    guard let slot = self.connections.liveSlot(for: token) else { return }
    self.connections[slot].flush(&self.bench)
    self.reap(slot)
  }
}
