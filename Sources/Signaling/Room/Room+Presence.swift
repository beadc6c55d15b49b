internal import Net

/// A change of a room that its peers are told.
enum RoomChange: Sendable, Equatable {
  case joined(PeerID)
  case left(PeerID, PeerDeparture)
  case updated(PeerID)
  case room
}

/// What peers are told of each other. Whoever is sent a message is told first what it does not know
/// yet, so that nobody hears from a peer that it has not heard of.
extension Room {
  /// Tells everybody what is new, where that is due.
  mutating func tellIfDue(_ moment: Moment, _ turn: inout RoomTurn) {
    guard !self.changes.isEmpty else { return }
    if let toldAt = self.toldAt, toldAt.advanced(by: Self.presenceInterval) > moment.now { return }
    for seat in self.members.indices { self.tell(seat, &turn) }
    self.changes = []
    self.toldAt = moment.now
  }

  /// Tells one peer what is new.
  mutating func tell(_ seat: Int, _ turn: inout RoomTurn) {
    guard let member = self.member(seat), !member.isAway, member.seenVersion < self.version
    else { return }
    let count = Int(min(self.version - member.seenVersion, UInt64(self.changes.count)))
    let news = News(self.changes.suffix(count)) { self.seats[$0] != nil }
    self.members[seat].seenVersion = self.version
    if let message = self.message(news, to: member.id) { self.send(message, to: seat, &turn) }
    if news.isRoomChanged { self.send(self.roomMessage(), to: seat, &turn) }
  }

  private func message(_ news: News, to reader: PeerID) -> [UInt8]? {
    let joined = news.joined.filter { $0 != reader }
    let count = joined.count + news.left.count + news.updated.count
    guard count > 0 else { return nil }
    var message: [UInt8] = []
    message.write("\"type\":\"")
    message.write(
      count > 1 ? "presence" : !joined.isEmpty ? "joined" : !news.left.isEmpty ? "left" : "updated")
    message.write("\",\"version\":")
    message.write(number: self.version)
    if count > 1 {
      self.write("left", news.left, into: &message) { $1.write(departure: $0) }
      self.write("joined", joined, into: &message) { self.write($0, for: reader, into: &$1) }
      self.write("updated", news.updated, into: &message) { self.write($0, for: nil, into: &$1) }
    } else {
      message.append(UInt8(ascii: ","))
      for departure in news.left { message.write(departure: departure) }
      for id in joined { self.write(id, for: reader, into: &message) }
      for id in news.updated { self.write(id, for: nil, into: &message) }
    }
    message.append(UInt8(ascii: "}"))
    return message
  }

  private func write<Element>(
    _ name: StaticString, _ list: [Element], into message: inout [UInt8],
    _ write: (Element, inout [UInt8]) -> Void
  ) {
    guard !list.isEmpty else { return }
    message.write(",\"")
    message.write(name)
    message.write("\":")
    message.write(list: list) { element, message in
      message.append(UInt8(ascii: "{"))
      write(element, &message)
      message.append(UInt8(ascii: "}"))
    }
  }

  private func write(_ id: PeerID, for reader: PeerID?, into message: inout [UInt8]) {
    guard let seat = self.seats[id], let member = self.member(seat) else { return }
    member.write(for: reader, into: &message)
  }

  private func roomMessage() -> [UInt8] {
    var message: [UInt8] = []
    message.write("\"type\":\"room\",\"version\":")
    message.write(number: self.version)
    self.writeState(into: &message)
    message.append(UInt8(ascii: "}"))
    return message
  }

  /// Appends what can change of the room itself.
  func writeState(into message: inout [UInt8]) {
    message.write(",\"locked\":")
    message.write(flag: self.isLocked)
    message.write(",\"max_peers\":")
    message.write(number: self.peerCountMax)
    guard !self.meta.isEmpty else { return }
    message.write(",\"meta\":")
    message.append(contentsOf: self.meta)
  }
}

/// What some changes come to: what was and went again is not told.
private struct News {
  private(set) var joined: [PeerID] = []
  private(set) var left: [(peer: PeerID, departure: PeerDeparture)] = []
  private(set) var updated: [PeerID] = []
  private(set) var isRoomChanged = false

  /// - Parameter isHere: whether a peer is in the room now.
  init(_ changes: ArraySlice<RoomChange>, isHere: (PeerID) -> Bool) {
    var wasHere: [PeerID: Bool] = [:]
    var (firsts, departures) = ([PeerID](), [PeerID: PeerDeparture]())
    func meet(_ id: PeerID, isNew: Bool) {
      guard wasHere[id] == nil else { return }
      wasHere[id] = !isNew
      firsts.append(id)
    }
    for change in changes {
      switch change {
      case .joined(let id): meet(id, isNew: true)
      case .updated(let id): meet(id, isNew: false)
      case .left(let id, let departure):
        meet(id, isNew: false)
        departures[id] = departure
      case .room: self.isRoomChanged = true
      }
    }
    for id in firsts {
      let (was, departure) = (wasHere[id] == true, departures[id])
      if was, let departure { self.left.append((id, departure)) }
      guard isHere(id) else { continue }
      if was, departure == nil { self.updated.append(id) } else { self.joined.append(id) }
    }
  }
}

extension [UInt8] {
  fileprivate mutating func write(departure: (peer: PeerID, departure: PeerDeparture)) {
    self.write("\"peer\":\"")
    self.append(contentsOf: departure.peer.description.utf8)
    self.write("\",\"reason\":\"")
    self.append(contentsOf: departure.departure.rawValue.utf8)
    self.append(UInt8(ascii: "\""))
  }
}
