internal import Configuration
internal import Net
internal import Signaling

extension Moment {
  /// The present moment: the turn's, and what the wall clock reads.
  init(now: Deadline) { self.init(now: now, unixSeconds: WallClock.now().seconds) }
}

/// The rooms of all routes that live on one worker.
struct RoomTable: ~Copyable {
  /// Those of one route. Not private: of a generic type's argument that is, this compiler (6.3.1) makes
  /// a broken module in a debug build.
  struct Entry: ~Copyable {
    var rooms: Rooms
    let route: String
    var meter: RoomMeter
    /// What all workers together have of the route's rooms and peers, and how much of it is this one's.
    let occupancy: RoomOccupancy
    var share = RoomOccupancy.Share()
    /// Whether something has happened since the meter was set.
    var isUnread = false
  }

  private var entries = Slab<Entry>(slotCountMax: 1 << 16)
  private var slots: [String: Int] = [:]
  private let secret: [UInt8]
  /// Entries in which something has happened.
  private var touched: [Int] = []

  init(secret: [UInt8]) { self.secret = secret }

  /// Whether something has happened that was not looked at yet.
  var hasNews: Bool { !self.touched.isEmpty }

  /// When ``passDeadlines(_:)`` has something to do.
  var nextWake: Deadline {
    var next = Deadline.never
    for slot in 0..<self.entries.slotCount where self.entries.isLive(slot) {
      if let wake = self.entries[slot].rooms.nextWake { next = min(next, wake) }
    }
    return next
  }

  /// Somebody wants to come into a room. Whether there is a peer more for it: not for one that came back.
  mutating func join(
    _ newcomer: Newcomer, _ address: RoomAddress, _ route: Route, _ hall: Hall, worker: Int,
    _ moment: Moment
  ) -> Bool {
    let slot = self.slots[address.route] ?? self.open(route, hall, worker, moment.now)
    guard let slot else { return false }
    var newcomer = newcomer
    let occupancy = self.entries[slot].occupancy
    let (room, peer) = occupancy.reserve(hall.rules.limits)
    newcomer.mayOpenRoom = room
    newcomer.mayAddPeer = newcomer.mayAddPeer && peer
    let joins = self.entries[slot].rooms.counts.joins
    self.entries[slot].rooms.join(newcomer, address.room, moment)
    occupancy.unreserve()
    self.touch(slot)
    return self.entries[slot].rooms.counts.joins > joins
  }

  /// Something happened to a peer.
  mutating func handle(
    _ event: PeerEvent, from socket: PeerSocket, of route: String, _ moment: Moment
  ) {
    guard let slot = self.slots[route] else { return }
    self.entries[slot].rooms.handle(event, from: socket, moment)
    self.touch(slot)
  }

  /// Does what is due.
  mutating func passDeadlines(_ now: Deadline) {
    for slot in 0..<self.entries.slotCount where self.entries.isLive(slot) {
      guard let wake = self.entries[slot].rooms.nextWake, wake <= now else { continue }
      self.entries[slot].rooms.passDeadlines(Moment(now: now))
      self.touch(slot)
    }
  }

  /// Another configuration holds.
  mutating func adopt(_ snapshot: Snapshot, worker: Int) {
    for (name, slot) in self.slots {
      guard let route = snapshot.route(named: name), let hall = route.hall else { continue }
      self.entries[slot].rooms.adopt(hall.rules, hall.limits)
      self.entries[slot].meter = route.roomMeters[worker]
      self.touch(slot)
    }
  }

  /// The process is about to end: see ``Rooms/keepPlaces(for:now:)``.
  mutating func keepPlaces(for span: Duration, now: Deadline) {
    for slot in 0..<self.entries.slotCount where self.entries.isLive(slot) {
      self.entries[slot].rooms.keepPlaces(for: span, now: now)
      self.touch(slot)
    }
  }

  /// What an operator asks of a route's rooms; `nil` where it has none here.
  mutating func ask<Answer>(_ route: String, _ question: (inout Rooms) -> Answer) -> Answer? {
    guard let slot = self.slots[route] else { return nil }
    defer { self.touch(slot) }
    return question(&self.entries[slot].rooms)
  }

  /// The routes that have rooms here.
  var routes: [String] { Array(self.slots.keys) }

  /// Puts what is to be done into an empty list; the route that it is of, `nil` where there is nothing
  /// more.
  mutating func takeActions(_ actions: inout [RoomAction]) -> String? {
    guard let slot = self.touched.popLast() else { return nil }
    self.entries[slot].isUnread = false
    self.entries[slot].rooms.takeActions(&actions)
    self.entries[slot].meter.publish(self.entries[slot].rooms.counts)
    return self.entries[slot].route
  }

  private mutating func touch(_ slot: Int) {
    self.entries[slot].occupancy.account(
      roomCount: self.entries[slot].rooms.roomCount, peerCount: self.entries[slot].rooms.peerCount,
      &self.entries[slot].share)
    guard !self.entries[slot].isUnread else { return }
    self.entries[slot].isUnread = true
    self.touched.append(slot)
  }

  private mutating func open(
    _ route: Route, _ hall: Hall, _ worker: Int, _ now: Deadline
  ) -> Int? {
    guard let token = self.entries.nextToken() else { return nil }
    let rooms = Rooms(
      route: route.rules.name, hall.rules, hall.limits, secret: self.secret, now: now)
    self.entries.insert(
      Entry(
        rooms: rooms, route: route.rules.name, meter: route.roomMeters[worker],
        occupancy: route.roomOccupancy),
      as: token)
    self.slots[route.rules.name] = Int(token.slot)
    return Int(token.slot)
  }
}
