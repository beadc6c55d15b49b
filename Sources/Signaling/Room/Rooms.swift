public import Net

/// The rooms of one route that live on one worker. A value without clock, descriptor or chance.
///
///     Newcomer, PeerEvent, Moment ──▶ Rooms ──▶ RoomAction
public struct Rooms: ~Copyable {
  /// Where a connection's peer sits.
  private struct Place {
    let room: Int
    let seat: Int
  }

  private var terms: RoomTerms
  private var rooms = Slab<Room>(slotCountMax: 1 << 20)
  private var slots: [RoomName: Int] = [:]
  private var places: [PeerSocket: Place] = [:]
  private var wheel: TimerWheel
  private var turn = RoomTurn()

  /// No rooms yet.
  ///
  /// - Parameters:
  ///   - route: the route's name.
  ///   - secret: what resume names are signed with: see ``ResumeSigner``.
  public init(
    route: String, _ rules: RoomRules, _ limits: PeerLimits, secret: [UInt8], now: Deadline
  ) {
    self.terms = RoomTerms(rules, ResumeSigner(secret: secret, route: route), limits)
    self.wheel = TimerWheel(now: now)
  }

  /// Rooms that there are, empty ones included.
  public var roomCount: Int { self.counts.roomCount }
  /// What happened so far.
  public var counts: RoomCounts { self.turn.counts }
  /// Peers that have a place.
  public var peerCount: Int { self.counts.peerCount }

  /// Exchanges what there is to do for an empty list, whose memory is used again.
  public mutating func takeActions(_ actions: inout [RoomAction]) {
    swap(&actions, &self.turn.actions)
  }

  /// When ``passDeadlines(_:)`` has something to do, at the latest; `nil` for never.
  public var nextWake: Deadline? { self.wheel.nextWake() }

  /// Other rules hold from now on. Nobody is sent away for them.
  public mutating func adopt(_ rules: RoomRules, _ limits: PeerLimits) {
    self.terms = RoomTerms(rules, self.terms.signer, limits)
    for slot in 0..<self.rooms.slotCount where self.rooms.isLive(slot) {
      self.rooms[slot].adopt(self.terms)
      self.arm(slot)
    }
  }
}

extension Rooms {
  /// The process is about to end, and who is told to go elsewhere goes: nobody's place is given up for
  /// so long, because the others would take it for gone.
  public mutating func keepPlaces(for span: Duration, now: Deadline) {
    var rules = self.terms.rules
    rules.resumeWindow = max(rules.resumeWindow, span)
    self.adopt(rules, self.terms.limits)
    for slot in 0..<self.rooms.slotCount where self.rooms.isLive(slot) {
      self.rooms[slot].keepPlaces(until: now.advanced(by: span))
    }
  }
}

// MARK: - Events

extension Rooms {
  /// Somebody wants to come into a room. Whether it has a place now: if not it is told so, and
  /// ``handle(_:from:_:)`` must not be called for it.
  @discardableResult
  public mutating func join(
    _ newcomer: Newcomer, _ name: RoomName, _ moment: Moment
  ) -> Bool {
    guard let slot = self.slots[name] ?? self.open(name, for: newcomer, moment) else {
      return false
    }
    let start = self.turn.actions.count
    let seat = self.rooms[slot].join(newcomer, moment, &self.turn)
    self.forgetClosed(from: start)
    if let seat { self.places[newcomer.socket] = Place(room: slot, seat: seat) }
    self.settle(slot, moment)
    return seat != nil
  }

  /// Something happened to a peer that has a place.
  public mutating func handle(_ event: PeerEvent, from socket: PeerSocket, _ moment: Moment) {
    guard let place = self.places[socket] else { return }
    switch event {
    case .lost, .left: self.places[socket] = nil
    default: break
    }
    let start = self.turn.actions.count
    self.rooms[place.room].handle(event, of: place.seat, moment, &self.turn)
    self.forgetClosed(from: start)
    self.settle(place.room, moment)
  }

  /// Does what is due.
  public mutating func passDeadlines(_ moment: Moment) {
    while let slot = self.wheel.expire(now: moment.now) {
      guard self.rooms.isLive(slot) else { continue }
      let start = self.turn.actions.count
      self.rooms[slot].armedAt = .never
      self.rooms[slot].deadlinePassed(moment, &self.turn)
      self.forgetClosed(from: start)
      self.settle(slot, moment)
    }
  }

  private mutating func open(
    _ name: RoomName, for newcomer: Newcomer, _ moment: Moment
  ) -> Int? {
    let room = Room(name, self.terms, openedBy: newcomer.pass, now: moment.now)
    // Who may not come in opens no room: it would be nobody's.
    let refusal =
      self.refusal(of: newcomer, toOpen: name)
      ?? room.refusal(of: newcomer, replaces: false, moment)
    if let refusal {
      self.turn.counts.refusals += 1
      self.turn.refuse(refusal, newcomer.socket)
      return nil
    }
    guard let token = self.rooms.nextToken() else {
      self.turn.counts.refusals += 1
      self.turn.refuse(.tooMany, newcomer.socket)
      return nil
    }
    self.rooms.insert(room, as: token)
    self.slots[name] = Int(token.slot)
    self.turn.counts.roomsOpened += 1
    self.turn.notice(RoomNotice(room: name, kind: .roomOpened))
    return Int(token.slot)
  }

  private func refusal(of newcomer: Newcomer, toOpen name: RoomName) -> RoomRefusal? {
    switch self.terms.rules.creation {
    case .anyone: break
    case .token where newcomer.pass.hasToken: break
    case .token:
      return RoomRefusal(.noSuchRoom, "There is no such room, and opening one takes a token.")
    case .listed where self.terms.rules.listed.contains { $0.name == name }: break
    case .listed: return RoomRefusal(.noSuchRoom, "There is no such room.")
    }
    return newcomer.mayOpenRoom ? nil : .tooMany
  }

  /// Connections that are told to end have no place any more.
  private mutating func forgetClosed(from start: Int) {
    for index in start..<self.turn.actions.count {
      if case .close(let socket, _, _, _) = self.turn.actions[index] { self.places[socket] = nil }
    }
  }

  /// Sets a room's timer, or ends the room.
  private mutating func settle(_ slot: Int, _ moment: Moment) {
    guard !self.rooms[slot].isOver(now: moment.now) else { return self.close(slot) }
    self.arm(slot)
  }

  private mutating func arm(_ slot: Int) {
    let wakeAt = self.rooms[slot].wakeAt
    guard wakeAt < self.rooms[slot].armedAt else { return }
    self.rooms[slot].armedAt = wakeAt
    self.wheel.arm(slot, at: wakeAt)
  }

  private mutating func close(_ slot: Int) {
    self.wheel.disarm(slot)
    let room = self.rooms.remove(slot)
    self.slots[room.name] = nil
    self.turn.counts.roomsClosed += 1
    self.turn.notice(RoomNotice(room: room.name, kind: .roomClosed))
  }
}

// MARK: - Operators

/// A room, as an operator sees it.
public struct RoomListing: Sendable, Equatable {
  /// Its name.
  public let name: RoomName
  /// Peers that have a place.
  public let peerCount: Int
  /// Those of them that are away.
  public let awayCount: Int
  /// Peers that it may have.
  public let peerCountMax: Int
  /// Whether a moderator locked it.
  public let isLocked: Bool
  /// How often it has changed.
  public let version: UInt64
  /// Since it was opened.
  public let age: Duration
}

/// A peer, as an operator sees it.
public struct PeerListing: Sendable, Equatable {
  /// What others know of it, and where it comes from.
  public let peer: PeerNotice
  /// Whether its connection is gone and its place is kept.
  public let isAway: Bool
  /// Since it came in.
  public let age: Duration
  /// Messages that are kept for it.
  public let keptMessageCount: Int
}

extension Rooms {
  /// All rooms.
  public func listing(now: Deadline) -> [RoomListing] {
    var listings: [RoomListing] = []
    for slot in 0..<self.rooms.slotCount where self.rooms.isLive(slot) {
      listings.append(self.rooms[slot].listing(now: now))
    }
    return listings
  }

  /// A room's peers; `nil` where there is no such room.
  public func peers(of name: RoomName, now: Deadline) -> [PeerListing]? {
    guard let slot = self.slots[name] else { return nil }
    return self.rooms[slot].peerListings(now: now)
  }

  /// Removes a peer, and keeps it out for a time where that is asked for. Whether it was there.
  public mutating func kick(
    _ peer: PeerID, from name: RoomName, reason: String, ban: Duration?, _ moment: Moment
  ) -> Bool {
    guard let slot = self.slots[name], let seat = self.rooms[slot].seats[peer] else { return false }
    let start = self.turn.actions.count
    self.rooms[slot].remove(seat, reason, ban, moment, &self.turn)
    self.rooms[slot].tellIfDue(moment, &self.turn)
    self.forgetClosed(from: start)
    self.settle(slot, moment)
    return true
  }

  /// Ends a room for all its peers; `nil` where there is no such room, else how many there were.
  public mutating func closeRoom(_ name: RoomName, words: String, _ moment: Moment) -> Int? {
    guard let slot = self.slots[name] else { return nil }
    let count = self.rooms[slot].peerCount
    let start = self.turn.actions.count
    self.rooms[slot].close(words, moment, &self.turn)
    self.forgetClosed(from: start)
    self.close(slot)
    return count
  }
}

extension Room {
  fileprivate func listing(now: Deadline) -> RoomListing {
    RoomListing(
      name: self.name, peerCount: self.peerCount,
      awayCount: self.members.lazy.filter { !$0.isVacant && $0.isAway }.count,
      peerCountMax: self.peerCountMax, isLocked: self.isLocked, version: self.version,
      age: now.duration(since: self.openedAt))
  }

  fileprivate func peerListings(now: Deadline) -> [PeerListing] {
    self.members.filter { !$0.isVacant }.map { member in
      PeerListing(
        peer: member.notice, isAway: member.isAway, age: now.duration(since: member.joinedAt),
        keptMessageCount: member.outbox.count)
    }
  }
}
