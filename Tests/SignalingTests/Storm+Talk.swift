import Net

@testable import Signaling

/// Something that a peer says.
enum StormStatement {
  case signal(to: String, SignalKind)
  case broadcast
  case update(name: String??, meta: JSON??)
  case ping
  case nonsense
  case leave
  case kick(String, ban: Int?)
  case lock(Bool)
  case room(meta: Int?, count: Int?)
  case role(String, Role)
}

/// What a statement is answered with.
enum StormAnswer {
  case done(Bool)
  case error(String)
  case none
}

extension Storm {
  // MARK: What is said

  func statement(_ number: Int) -> StormStatement {
    guard let (_, page) = self.page(of: number) else { return .ping }
    switch Int.random(in: 0..<24, using: &self.chance) {
    case 0..<8:
      return .signal(to: self.anybody(page), self.chance.one(of: SignalKind.allCases) ?? .offer)
    case 8..<12: return .broadcast
    case 12..<15:
      let names: [String??] = [.none, .some(.none), .some("name \(self.numberCount)")]
      let metas: [JSON??] = [.none, .some(.none), .some(["m": .number(Double(self.numberCount))])]
      return .update(
        name: self.chance.one(of: names) ?? .none, meta: self.chance.one(of: metas) ?? .none)
    case 15: return .ping
    case 16: return .nonsense
    case 17: return self.chance.once(in: 3) ? .leave : .ping
    case 18:
      return .kick(self.anybody(page), ban: self.chance.one(of: [nil, nil, 0, 1, 30]) ?? nil)
    case 19, 20: return .lock(self.chance.once(in: 3))
    case 21:
      return .room(
        meta: self.chance.one(of: [nil, self.numberCount]) ?? nil,
        count: self.chance.one(of: [nil, 2, 3, 1000]) ?? nil)
    default: return .role(self.anybody(page), self.chance.one(of: Role.allCases) ?? .guest)
    }
  }

  func say(_ number: Int, _ statement: StormStatement) {
    guard let (socket, page) = self.page(of: number) else { return }
    let id = self.takeNumber()
    let room = self.clients[number].room
    guard let place = self.model.rooms[room]?.places[page.id] else { return self.fail("no place") }
    let isAsked = !self.chance.once(in: 4) || self.text(statement, id).contains("ping")
    let text = "{\(self.text(statement, id))\(isAsked ? ",\"id\":\(id)" : "")}"
    self.note("\(number), \(page.id), says \(text)")
    switch self.effect(of: statement, id, place, room) {
    case .done(let isDelivered):
      if isAsked { _ = self.model.deliver("ack \(id) \(isDelivered)", to: page.id, in: room) }
    case .error(let code):
      self.model.counts.faults += 1
      if isAsked { _ = self.model.deliver("error \(id) \(code)", to: page.id, in: room) }
    case .none: break
    }
    self.stage.say(socket, text)
    self.check()
  }

  private func text(_ statement: StormStatement, _ number: Int) -> String {
    switch statement {
    case .signal(let to, let kind):
      let data = kind == .custom ? "\(number)" : "\"\(number)\""
      return #""type":"signal","to":"\#(to)","kind":"\#(kind.rawValue)","data":\#(data)"#
    case .broadcast: return #""type":"broadcast","data":\#(number)"#
    case .update(let name, let meta):
      let nameText = name.map { ",\"name\":\($0.map { "\"\($0)\"" } ?? "null")" } ?? ""
      let metaText = meta.map {
        ",\"meta\":\($0.map { "{\"m\":\($0["m"]?.integer ?? 0)}" } ?? "null")"
      }
      return #""type":"update""# + nameText + (metaText ?? "")
    case .ping: return #""type":"ping""#
    case .nonsense: return #""type":"nonsense""#
    case .leave: return #""type":"leave""#
    case .kick(let peer, let ban):
      return #""type":"kick","peer":"\#(peer)""# + (ban.map { ",\"ban_for\":\($0)" } ?? "")
    case .lock(let isLocked): return #""type":"lock","locked":\#(isLocked)"#
    case .room(let meta, let count):
      return #""type":"room""# + (meta.map { ",\"meta\":{\"m\":\($0)}" } ?? "")
        + (count.map { ",\"max_peers\":\($0)" } ?? "")
    case .role(let peer, let role):
      return #""type":"role","peer":"\#(peer)","role":"\#(role.rawValue)""#
    }
  }

  private func effect(
    of statement: StormStatement, _ number: Int, _ place: ModelPlace, _ room: String
  ) -> StormAnswer {
    switch statement {
    case .signal(let to, let kind): return self.signal(to, kind, number, place, room)
    case .broadcast: return self.broadcast(number, place, room)
    case .update(let name, let meta):
      guard place.may(.update), name == nil || place.pass.name == nil else {
        return .error("forbidden")
      }
      if let name { self.model.rooms[room]?.places[place.id]?.facts.name = name }
      if let meta { self.model.rooms[room]?.places[place.id]?.facts.meta = meta }
      return .done(true)
    case .ping: return .done(true)
    case .nonsense: return .error("bad_message")
    case .leave:
      self.model.dismiss(room, place.id, .closed, 1000)
      return .none
    default:
      return place.may(.moderate) ? self.moderate(statement, place, room) : .error("forbidden")
    }
  }

  private func signal(
    _ to: String, _ kind: SignalKind, _ number: Int, _ place: ModelPlace, _ room: String
  ) -> StormAnswer {
    guard place.may(.signal) else { return .error("forbidden") }
    guard to != place.id, self.model.rooms[room]?.places[to] != nil else {
      self.model.counts.undelivered += 1
      return .error("no_such_peer")
    }
    self.model.counts.signals[SignalKind.allCases.firstIndex(of: kind) ?? 0] += 1
    let text = "signal \(place.id) \(kind.rawValue) \(number)"
    let isDelivered = self.model.deliver(text, to: to, in: room)
    self.model.countDelivery(isDelivered)
    return .done(isDelivered)
  }

  private func broadcast(_ number: Int, _ place: ModelPlace, _ room: String) -> StormAnswer {
    guard place.may(.broadcast) else { return .error("forbidden") }
    self.model.counts.broadcasts += 1
    var isComplete = true
    for id in self.model.rooms[room]?.places.keys.sorted() ?? [] where id != place.id {
      let text = "broadcast \(place.id)  \(number)"
      let isDelivered = self.model.deliver(text, to: id, in: room)
      self.model.countDelivery(isDelivered)
      isComplete = isComplete && isDelivered
    }
    return .done(isComplete)
  }

  private func moderate(_ statement: StormStatement, _ place: ModelPlace, _ room: String)
    -> StormAnswer
  {
    switch statement {
    case .kick(let peer, let ban):
      guard self.model.rooms[room]?.places[peer] != nil else { return .error("no_such_peer") }
      guard peer != place.id else { return .error("bad_message") }
      self.model.remove(room, peer, ban: ban.flatMap { $0 > 0 ? .seconds($0) : nil })
    case .lock(let isLocked): self.model.rooms[room]?.isLocked = isLocked
    case .room(let meta, let count):
      if let meta { self.model.rooms[room]?.meta = ["m": .number(Double(meta))] }
      if let count { self.model.rooms[room]?.chosenPeerCountMax = count }
    case .role(let peer, let role):
      guard self.model.rooms[room]?.places[peer] != nil else { return .error("no_such_peer") }
      self.model.rooms[room]?.places[peer]?.facts.role = role.rawValue
      self.model.rooms[room]?.places[peer]?.isPromoted = true
    default: break
    }
    return .done(true)
  }
}
