import Net

@testable import Signaling

/// Somebody in front of a page, and what the page remembers when its connection is gone.
struct StormClient {
  var pass: Pass
  var room = "hall"
  var socket: Int?
  var resume: String?
  /// Messages up to this number are known to have arrived; up to the other one they were sent.
  var arrived = 0
  var sent = 0
  /// Messages that got lost on their way, and come again when the place is taken again.
  var unheard: [StormStatement] = []
}

/// Rooms to which anything happens, what is expected of them, and the pages that look at them.
final class Storm {
  let rules: RoomRules
  let stage: Stage
  var model: RoomModel
  var chance: SplitMix
  var clients: [StormClient] = []
  var pages: [Int: Page] = [:]
  var owners: [Int: Int] = [:]
  var socketCount = 0
  private(set) var numberCount = 0
  /// Whether there is time for many messages at once.
  private let isLong: Bool
  /// What should not have happened; `nil` where all is well.
  private(set) var fault: String?
  private var history: [String] = []

  /// What a failure tells of how it came to it.
  func note(_ words: String) { self.history.append(words) }

  static let durations: [Duration] = [8, 16, 48, 56, 80, 200, 800, 1000, 5000, 30_000].map {
    .milliseconds($0)
  }

  init(seed: UInt64, isLong: Bool) {
    var chance = SplitMix(seed: seed)
    let windows: [Duration] = [.zero, .milliseconds(80), .seconds(1), .seconds(30), .seconds(30)]
    let turn = TURNRules(urls: ["turn:x"], secrets: ["s"], ttl: .milliseconds(1600))
    self.rules = RoomRules(
      peerCountMax: chance.one(of: [2, 3, 64, 64]) ?? 64,
      resumeWindow: chance.one(of: windows) ?? .zero,
      emptyRoomTTL: chance.one(of: windows) ?? .zero, password: chance.once(in: 4) ? "p" : nil,
      turn: chance.once(in: 4) ? turn : nil)
    self.stage = Stage(self.rules)
    self.model = RoomModel(self.rules)
    self.isLong = isLong
    self.chance = chance
    for number in 0..<Int.random(in: 2...6, using: &self.chance) {
      self.clients.append(StormClient(pass: self.pass(number)))
    }
  }

  private func pass(_ number: Int) -> Pass {
    var pass = Pass(client: "192.0.2.\(number)")
    if self.chance.once(in: 3) { pass.rights.insert(.moderate) }
    if self.chance.once(in: 8) {
      pass.rights.remove(self.chance.one(of: [.signal, .broadcast]) ?? [])
    }
    if self.chance.once(in: 3) { pass.subject = "s\(self.chance.once(in: 2) ? 0 : number)" }
    if self.chance.once(in: 5) { pass.name = "token \(number)" }
    if self.chance.once(in: 5) { pass.peer = PeerID("fixed\(number % 2)") }
    if self.chance.once(in: 6) { pass.peerCountMax = Int.random(in: 0...4, using: &self.chance) }
    pass.role = self.chance.one(of: Role.allCases) ?? .member
    return pass
  }

  func fail(_ words: String) {
    guard self.fault == nil else { return }
    self.fault = "\(words)\n" + self.history.suffix(25).joined(separator: "\n")
  }

  func expect(_ isTrue: Bool, _ words: @autoclosure () -> String) {
    if !isTrue { self.fail(words()) }
  }

  // MARK: A run

  func run(_ stepCount: Int) {
    for _ in 0..<stepCount where self.fault == nil { self.step() }
    self.settle()
    // All go, in one way or the other, and nothing of them stays.
    for number in self.clients.indices {
      if self.chance.once(in: 2) { self.lose(number) } else { self.leave(number) }
    }
    for _ in 0..<3 { self.pass(.seconds(30), isAwake: true) }
    self.expect(self.stage.roomCount == 0, "rooms stay for ever")
    self.expect(self.stage.peerCount == 0, "peers stay for ever")
    self.expect(self.stage.nextWake == nil, "woken for nothing")
  }

  private func step() {
    let number = Int.random(in: 0..<self.clients.count, using: &self.chance)
    switch Int.random(in: 0..<32, using: &self.chance) {
    case 0..<6: self.connect(number)
    case 6, 7: self.lose(number)
    case 8: self.leave(number)
    case 9: self.confirm(number)
    case 10: self.renew(number)
    case 11: self.haunt()
    case 12: self.operate()
    case 13: self.loseOnTheWay(number)
    case 14: self.burst(number)
    case 15: self.settle()
    case 16..<20:
      let duration = self.chance.one(of: Self.durations) ?? .zero
      self.pass(duration, isAwake: !self.chance.once(in: 4))
    default: self.say(number, self.statement(number))
    }
  }

  // MARK: Coming and going

  private func connect(_ number: Int) {
    // An expired token does not come as far as this.
    if self.clients[number].pass.expiresAt <= self.stage.now {
      self.clients[number].pass.expiresAt = .never
    }
    let client = self.clients[number]
    let socket = self.socketCount
    self.socketCount += 1
    var greeting = Greeting(password: self.chance.once(in: 12) ? "wrong" : self.rules.password)
    if self.chance.once(in: 2) { greeting.name = "name \(socket)" }
    if self.chance.once(in: 3) { greeting.meta = Array(#"{"socket": \#(socket)}"#.utf8) }
    if let resume = client.resume, !self.chance.once(in: 8) {
      greeting.resume = self.chance.once(in: 10) ? resume + "x" : resume
      let sent = client.socket.flatMap { self.pages[$0]?.seen } ?? client.sent
      switch Int.random(in: 0..<8, using: &self.chance) {
      case 0: break
      case 1: greeting.sequence = UInt64.random(in: 0...UInt64(sent + 3), using: &self.chance)
      default:
        let arrived = min(client.arrived, sent)
        greeting.sequence = UInt64(Int.random(in: arrived...sent, using: &self.chance))
      }
    }
    if greeting.resume != client.resume || client.resume == nil { self.lose(number) }
    if self.clients[number].socket == nil, self.chance.once(in: 6) {
      self.clients[number].room = self.chance.one(of: ["hall", "attic"]) ?? "hall"
    }
    self.enter(number, socket, greeting)
  }

  private func enter(_ number: Int, _ socket: Int, _ greeting: Greeting) {
    let (pass, room) = (self.clients[number].pass, self.clients[number].room)
    let verdict = self.model.verdict(room, pass, greeting)
    let sequence = greeting.sequence.map { "\($0)" } ?? "-"
    self.note("\(number) comes on \(socket) to \(room), \(greeting.resume ?? "-"), \(sequence)")
    let welcome = self.stage.enter(
      socket, in: room, pass, name: greeting.name,
      meta: String(decoding: greeting.meta, as: UTF8.self), password: greeting.password,
      resume: greeting.resume, seq: greeting.sequence)
    let seen = Int(clamping: greeting.sequence ?? 0)
    switch verdict {
    case .refused(let code):
      self.model.refuse(socket, code)
      self.expect(welcome == nil, "let in")
      return self.check()
    case .resumed(let id): self.model.resume(room, id, socket, pass, seen)
    case .admitted(let id):
      let given = self.stage.admitted[socket] ?? ""
      self.expect(id == nil || id == given, "another id: \(given)")
      self.expect(id != nil || self.model.rooms[room]?.places[given] == nil, "a taken id")
      self.model.admit(room, given, socket, pass, greeting)
    }
    guard let welcome, let id = self.stage.admitted[socket],
      let place = self.model.rooms[room]?.places[id]
    else { return self.fail("not let in") }
    let page = Page(welcome, seen: seen, own: place.facts)
    self.expect(page.isResumed == (verdict == .resumed(id)), "resumed, or not, against \(verdict)")
    self.expect(page.replayedTo == place.log.count, "seq \(page.replayedTo)")
    self.expect(self.sees(page, room), "a welcome that is not the truth")
    self.model.note(name: page.resume, of: id, in: room)
    self.pages[socket] = page
    self.owners[socket] = number
    self.clients[number].socket = socket
    self.clients[number].resume = page.resume
    self.clients[number].arrived = page.isResumed ? seen : 0
    self.check()
    self.expect(self.pages[socket]?.seen == page.replayedTo, "not all that was missed came")
    let unheard = self.clients[number].unheard
    self.clients[number].unheard = []
    if page.isResumed { for statement in unheard { self.say(number, statement) } }
  }

  private func lose(_ number: Int) {
    guard let (socket, page) = self.forget(number) else { return }
    self.note("\(number) is lost")
    self.model.lose(self.clients[number].room, page.id)
    self.stage.lose(socket)
    self.check()
  }

  private func leave(_ number: Int) {
    guard let (socket, page) = self.forget(number) else { return }
    self.note("\(number) leaves")
    self.model.depart(self.clients[number].room, page.id, .closed)
    self.stage.leave(socket)
    self.check()
  }

  /// The client has no connection any more.
  func forget(_ number: Int) -> (Int, Page)? {
    guard let socket = self.clients[number].socket,
      let page = self.pages.removeValue(forKey: socket)
    else { return nil }
    self.owners[socket] = nil
    self.clients[number].socket = nil
    self.clients[number].sent = page.seen
    return (socket, page)
  }

  // MARK: Everything else that happens

  private func confirm(_ number: Int) {
    guard let (socket, page) = self.page(of: number) else { return }
    let arrived = Int.random(in: self.clients[number].arrived...page.seen, using: &self.chance)
    self.note("\(number) has \(arrived)")
    self.clients[number].arrived = arrived
    self.model.rooms[self.clients[number].room]?.places[page.id]?.confirmed = arrived
    self.stage.feed(.confirmed(UInt64(arrived)), from: socket)
    self.check()
  }

  private func renew(_ number: Int) {
    guard let (socket, page) = self.page(of: number) else { return }
    let room = self.clients[number].room
    var pass = self.clients[number].pass
    if self.chance.once(in: 10) {
      self.note("\(number) has a token that is refused")
      self.model.dismiss(room, page.id, .expired, 4001)
      let other = Pass(subject: "somebody else", client: pass.client)
      let event: PeerEvent =
        self.chance.once(in: 2) ? .tokenRefused(words: "no") : .renewed(other, id: [])
      self.stage.feed(event, from: socket)
      return self.check()
    }
    if self.chance.once(in: 2) { pass.role = self.chance.one(of: Role.allCases) ?? .member }
    if self.chance.once(in: 3) { pass.name = "renewed \(number)" }
    if self.chance.once(in: 2) {
      pass.expiresAt = self.stage.now.advanced(by: self.chance.one(of: Self.durations) ?? .zero)
    }
    self.clients[number].pass = pass
    let id = self.takeNumber()
    self.note("\(number) renews its token with \(id)")
    self.model.renew(room, page.id, pass)
    _ = self.model.deliver("ack \(id) true", to: page.id, in: room)
    self.stage.feed(.renewed(pass, id: Array("\(id)".utf8)), from: socket)
    self.check()
  }

  /// Connections that have ended still have events on their way.
  private func haunt() {
    let socket = Int.random(in: 0...self.socketCount, using: &self.chance)
    guard self.pages[socket] == nil else { return }
    self.note("a ghost on \(socket)")
    self.stage.feed(self.chance.one(of: [.lost, .left, .confirmed(9)]) ?? .lost, from: socket)
    self.stage.say(socket, #"{"type":"broadcast","data":-7,"id":1}"#)
    self.check()
  }

  private func operate() {
    guard self.chance.once(in: 3), let room = self.model.rooms.keys.sorted().first else { return }
    if self.chance.once(in: 4) {
      self.note("an operator closes \(room)")
      let count = self.model.rooms[room]?.places.count
      self.model.close(room)
      let closed = self.stage.close(room)
      self.expect(closed == count, "\(closed ?? -1) peers")
    } else if let id = self.model.rooms[room]?.places.keys.sorted().first {
      self.note("an operator kicks \(id)")
      self.model.remove(room, id, ban: nil)
      self.expect(self.stage.kick(id, room), "nobody kicked")
    }
    self.check()
  }

  private func burst(_ number: Int) {
    guard let (_, page) = self.page(of: number), self.chance.once(in: self.isLong ? 2 : 20) else {
      return
    }
    let to = self.anybody(page)
    let count = Int.random(in: 1...(self.isLong ? 280 : 20), using: &self.chance)
    for _ in 0..<count { self.say(number, .signal(to: to, .custom)) }
  }

  private func loseOnTheWay(_ number: Int) {
    guard let (_, page) = self.page(of: number) else { return }
    self.clients[number].unheard.append(.signal(to: self.anybody(page), .offer))
    self.lose(number)
  }

  func page(of number: Int) -> (Int, Page)? {
    guard let socket = self.clients[number].socket, let page = self.pages[socket] else {
      return nil
    }
    return (socket, page)
  }

  func takeNumber() -> Int {
    self.numberCount += 1
    return self.numberCount
  }

  /// Mostly somebody who is there.
  func anybody(_ page: Page) -> String {
    if self.chance.once(in: 8) { return self.chance.one(of: [page.id, "nobody"]) ?? "" }
    return self.chance.one(of: page.roster.keys.sorted()) ?? "nobody"
  }

  // MARK: Time

  private func pass(_ duration: Duration, isAwake: Bool) {
    let end = self.stage.now.advanced(by: duration)
    self.note("\(duration) go by\(isAwake ? "" : " in sleep")")
    while isAwake, let wake = self.stage.nextWake, wake < end, self.fault == nil {
      let before = wake
      self.jump(to: max(wake, self.stage.now))
      if let next = self.stage.nextWake, next <= before { self.fail("nothing is done") }
    }
    self.jump(to: end)
  }

  private func jump(to deadline: Deadline) {
    self.model.passDeadlines(deadline)
    self.stage.jump(to: deadline)
    self.check()
  }

  /// All are told everything: nothing happens for a while.
  private func settle() {
    var departures: UInt64
    repeat {
      departures = self.stage.counts.departures
      self.pass(.milliseconds(64), isAwake: true)
    } while departures != self.stage.counts.departures && self.fault == nil
    for page in self.pages {
      let room = self.clients[self.owners[page.key] ?? 0].room
      self.expect(self.sees(page.value, room), "\(page.value.id) does not see the truth")
    }
  }
}
