import Net
import WebSocket

@testable import Signaling

/// A peer's place, by the rules of the document, which are written down here once more.
struct ModelPlace {
  let id: String
  /// Tells places apart that had the same id one after the other.
  let life: Int
  var pass: Pass
  var facts: PeerFacts
  var isPromoted = false
  var socket: Int?
  var awayUntil = Deadline.never
  var iceAt = Deadline.never
  /// What it is sent with a number, from the first one on.
  var log: [String] = []
  var confirmed = 0

  /// Messages up to this number are not kept any more.
  var forgotten: Int { max(self.confirmed, self.log.count - 256) }

  var mayModerate: Bool { self.pass.rights.contains(.moderate) || self.isHostByWord }
  private var isHostByWord: Bool { self.isPromoted && self.facts.role == "host" }

  func may(_ right: Rights) -> Bool {
    right == .moderate ? self.mayModerate : self.pass.rights.contains(right)
  }

  /// How a notice tells of it.
  func key(_ room: String, _ event: String) -> String {
    "\(room) \(event) \(self.id) \(self.facts.name ?? "-") \(self.facts.role) \(self.pass.client)"
  }
}

/// A room, by the same rules.
struct ModelRoom {
  var places: [String: ModelPlace] = [:]
  var isLocked = false
  var chosenPeerCountMax: Int?
  var meta: JSON?
  var bans: [String: Deadline] = [:]
  var emptySince: Deadline?

  func facts(_ rules: RoomRules) -> RoomFacts {
    RoomFacts(
      isLocked: self.isLocked,
      peerCountMax: min(rules.peerCountMax, self.chosenPeerCountMax ?? rules.peerCountMax),
      meta: self.meta)
  }
}

/// What is expected of the rooms of a route.
struct RoomModel {
  let rules: RoomRules
  var now = Deadline.at(.zero)
  var rooms: [String: ModelRoom] = [:]
  /// Places by what they are named by.
  private(set) var names: [String: (room: String, id: String, life: Int)] = [:]
  var counts = RoomCounts()
  /// Connections that are told to end, with their codes.
  private(set) var ends: [Int: Int] = [:]
  private(set) var notices: [String] = []
  private var lives = 0

  init(_ rules: RoomRules) { self.rules = rules }

  /// What an event should have led to.
  mutating func takeExpectations() -> (ends: [Int: Int], notices: [String]) {
    defer { (self.ends, self.notices) = ([:], []) }
    return (self.ends, self.notices)
  }

  // MARK: Coming

  /// What becomes of somebody who wants to come in.
  enum Verdict: Equatable {
    case refused(Int)
    case resumed(String)
    /// Under this id, or a fresh one.
    case admitted(String?)
  }

  func verdict(_ room: String, _ pass: Pass, _ greeting: Greeting) -> Verdict {
    let hall = self.rooms[room]
    var claim = greeting.resume.flatMap { self.names[$0] }
    if let found = claim, found.room != room { claim = nil }
    if let found = claim, let fixed = pass.peer, fixed.description != found.id { claim = nil }
    if let found = claim, let place = hall?.places[found.id], place.pass.subject != pass.subject {
      claim = nil
    }
    if let claim, let sequence = greeting.sequence, let place = hall?.places[claim.id],
      place.life == claim.life
    {
      let isKept = (place.forgotten...place.log.count).contains(Int(clamping: sequence))
      return isKept ? .resumed(claim.id) : .refused(4200)
    }
    let id = pass.peer?.description ?? claim?.id
    if let password = self.rules.password, greeting.password != password { return .refused(4002) }
    if let until = hall?.bans[pass.banKey], until > self.now { return .refused(4004) }
    if let id, hall?.places[id] != nil { return .admitted(id) }
    if hall?.isLocked == true { return .refused(4101) }
    let most =
      hall?.facts(self.rules).peerCountMax
      ?? min(self.rules.peerCountMax, pass.peerCountMax ?? .max)
    return hall?.places.count ?? 0 >= most ? .refused(4100) : .admitted(id)
  }

  mutating func refuse(_ socket: Int, _ code: Int) {
    self.ends[socket] = code
    if code == 4200 { self.counts.resumesAfresh += 1 } else { self.counts.refusals += 1 }
  }

  mutating func admit(
    _ room: String, _ id: String, _ socket: Int, _ pass: Pass, _ greeting: Greeting
  ) {
    if self.rooms[room] == nil {
      self.rooms[room] = ModelRoom(chosenPeerCountMax: pass.peerCountMax)
      self.counts.roomsOpened += 1
      self.notices.append("\(room) opened")
    }
    if let ghost = self.rooms[room]?.places[id] {
      if let old = ghost.socket { self.ends[old] = 4000 }
      self.depart(room, id, .moved, isReplaced: true)
    }
    self.lives += 1
    let meta = try? JSON(parsing: greeting.meta)
    let facts = PeerFacts(
      name: pass.name ?? greeting.name, role: pass.role.rawValue, meta: meta)
    let place = ModelPlace(
      id: id, life: self.lives, pass: pass, facts: facts, socket: socket, iceAt: self.halfLife)
    self.rooms[room]?.places[id] = place
    self.rooms[room]?.emptySince = nil
    self.counts.joins += 1
    self.notices.append(place.key(room, "joined"))
  }

  mutating func resume(_ room: String, _ id: String, _ socket: Int, _ pass: Pass, _ seen: Int) {
    guard let place = self.rooms[room]?.places[id] else { return }
    if let old = place.socket { self.ends[old] = 4000 }
    self.counts.resumesWon += 1
    let halfLife = self.halfLife
    self.rooms[room]?.places[id]?.socket = socket
    self.rooms[room]?.places[id]?.awayUntil = .never
    self.rooms[room]?.places[id]?.iceAt = halfLife
    self.rooms[room]?.places[id]?.confirmed = max(seen, place.confirmed)
    self.renew(room, id, pass)
  }

  mutating func renew(_ room: String, _ id: String, _ pass: Pass) {
    guard var place = self.rooms[room]?.places[id] else { return }
    if let name = pass.name { place.facts.name = name }
    if pass.role != place.pass.role {
      place.facts.role = pass.role.rawValue
      place.isPromoted = false
    }
    place.pass = pass
    self.rooms[room]?.places[id] = place
  }

  private var halfLife: Deadline {
    self.rules.turn.map { self.now.advanced(by: $0.ttl / 2) } ?? .never
  }

  /// A peer was told what its place is named by.
  mutating func note(name: String, of id: String, in room: String) {
    guard let place = self.rooms[room]?.places[id] else { return }
    self.names[name] = (room, id, place.life)
  }

  /// A peer was told new credentials.
  mutating func noteICE(_ id: String, in room: String) {
    let halfLife = self.halfLife
    self.rooms[room]?.places[id]?.iceAt = halfLife
  }

  // MARK: Going

  mutating func depart(
    _ room: String, _ id: String, _ departure: PeerDeparture, isReplaced: Bool = false
  ) {
    guard let place = self.rooms[room]?.places.removeValue(forKey: id) else { return }
    self.counts.departures += 1
    self.notices.append(place.key(room, departure.rawValue))
    guard !isReplaced, self.rooms[room]?.places.isEmpty == true else { return }
    self.rooms[room]?.emptySince = self.now
    self.closeIfOver(room)
  }

  /// A peer is told to go, and goes.
  mutating func dismiss(_ room: String, _ id: String, _ departure: PeerDeparture, _ code: Int) {
    if let socket = self.rooms[room]?.places[id]?.socket { self.ends[socket] = code }
    self.depart(room, id, departure)
  }

  mutating func lose(_ room: String, _ id: String) {
    guard self.rules.resumeWindow > .zero else { return self.depart(room, id, .timeout) }
    let awayUntil = self.now.advanced(by: self.rules.resumeWindow)
    self.rooms[room]?.places[id]?.socket = nil
    self.rooms[room]?.places[id]?.awayUntil = awayUntil
  }

  mutating func remove(_ room: String, _ id: String, ban: Duration?, code: Int? = nil) {
    guard let place = self.rooms[room]?.places[id] else { return }
    if let ban { self.rooms[room]?.bans[place.pass.banKey] = self.now.advanced(by: ban) }
    if let socket = place.socket { self.ends[socket] = code ?? (ban == nil ? 4003 : 4004) }
    self.depart(room, id, .kicked)
  }

  mutating func close(_ room: String) {
    for id in self.rooms[room]?.places.keys.sorted() ?? [] {
      self.remove(room, id, ban: nil, code: 4006)
    }
    self.end(room)
  }

  private mutating func closeIfOver(_ room: String) {
    guard let since = self.rooms[room]?.emptySince,
      since.advanced(by: self.rules.emptyRoomTTL) <= self.now
    else { return }
    self.end(room)
  }

  private mutating func end(_ room: String) {
    guard self.rooms.removeValue(forKey: room) != nil else { return }
    self.counts.roomsClosed += 1
    self.notices.append("\(room) closed")
  }

  /// Everything that is due now is done.
  mutating func passDeadlines(_ now: Deadline) {
    self.now = now
    for (room, hall) in self.rooms {
      for (id, place) in hall.places {
        if place.awayUntil <= now {
          self.counts.resumesLapsed += 1
          self.depart(room, id, .timeout)
        } else if place.pass.expiresAt <= now {
          if let socket = place.socket { self.ends[socket] = 4001 }
          self.depart(room, id, .expired)
        }
      }
      self.closeIfOver(room)
    }
  }

  /// When something is due next.
  var nextDue: Deadline {
    var next = Deadline.never
    for hall in self.rooms.values {
      if let since = hall.emptySince {
        next = min(next, since.advanced(by: self.rules.emptyRoomTTL))
      }
      for place in hall.places.values {
        next = min(next, place.awayUntil, place.pass.expiresAt)
        if place.socket != nil { next = min(next, place.iceAt) }
      }
    }
    return next
  }

  // MARK: What is said

  /// A message with a number goes to a peer; whether it is there.
  mutating func deliver(_ text: String, to id: String, in room: String) -> Bool {
    self.rooms[room]?.places[id]?.log.append(text)
    return self.rooms[room]?.places[id]?.socket != nil
  }

  mutating func countDelivery(_ isDelivered: Bool) {
    if isDelivered { self.counts.deliveries += 1 } else { self.counts.held += 1 }
  }
}

extension RoomNotice {
  /// How the model tells of the same.
  var key: String {
    func peer(_ peer: PeerNotice, _ event: String) -> String {
      "\(self.room) \(event) \(peer.id) \(peer.name ?? "-") \(peer.role.rawValue) \(peer.client)"
    }
    return switch self.kind {
    case .roomOpened: "\(self.room) opened"
    case .roomClosed: "\(self.room) closed"
    case .peerJoined(let notice): peer(notice, "joined")
    case .peerLeft(let notice, let departure): peer(notice, departure.rawValue)
    }
  }
}
