internal import Net
internal import Signaling
internal import Telemetry
internal import WebSocket

/// What a room has for one connection.
enum Delivery: Sendable {
  /// It has a place, and this id.
  case admitted(Token, PeerID)
  /// A message, and when that came which it follows from.
  case send(Token, Outgoing, receivedAt: Deadline)
  /// The connection's end.
  case close(Token, CloseCode, words: String, error: Outgoing?)

  var token: Token {
    switch self {
    case .admitted(let token, _), .send(let token, _, _), .close(let token, _, _, _): token
    }
  }
}

/// What workers tell each other about rooms and their peers.
enum RoomMail: Sendable {
  /// Somebody wants to come into a room that the receiver has.
  case join(Newcomer, RoomAddress, Route)
  /// Something happened to a peer of a room that the receiver has.
  case event(PeerEvent, PeerSocket, route: String)
  /// A room has something for a connection that the receiver has.
  case deliver(Delivery)
}

/// What rooms have for connections within a turn, and connections for rooms. A connection whose turn it
/// is cannot be handed anything: all of it waits for the turn's end.
struct RoomTraffic: ~Copyable {
  /// For connections of this worker.
  fileprivate(set) var deliveries: [Delivery] = []
  /// For other workers, by their number.
  fileprivate var outposts: [[RoomMail]]
  /// Connections that have something to send.
  fileprivate(set) var unflushed: [Token] = []
  /// What rooms want done; empty between two looks.
  fileprivate var actions: [RoomAction] = []
  /// When that came in which went out in this turn.
  fileprivate var relayed: [Deadline] = []

  /// Whether something waits for other workers.
  fileprivate var hasMail = false

  fileprivate mutating func post(_ mail: RoomMail, to worker: Int) {
    self.outposts[worker].append(mail)
    self.hasMail = true
  }

  /// Whether something waits for connections here.
  var isWaiting: Bool { !self.deliveries.isEmpty || !self.unflushed.isEmpty }

  init(workerCount: Int) {
    self.outposts = Array(repeating: [], count: workerCount)
  }
}

extension Workbench {
  /// The present moment by both clocks.
  var moment: Moment { Moment(now: self.now) }

  /// A connection of this worker, as rooms know it.
  func socket(_ token: Token) -> PeerSocket { PeerSocket(worker: self.index, token: token) }

  /// Brings a newcomer to its room.
  mutating func join(_ newcomer: Newcomer, _ address: RoomAddress, _ route: Route) {
    let home = address.worker(of: self.workerCount)
    guard home == self.index else {
      return self.traffic.post(.join(newcomer, address, route), to: home)
    }
    self.receive(newcomer, address, route)
  }

  /// Tells a peer's room what happened.
  mutating func tell(_ event: PeerEvent, of token: Token, in address: RoomAddress) {
    let home = address.worker(of: self.workerCount)
    let socket = self.socket(token)
    guard home == self.index else {
      return self.traffic.post(.event(event, socket, route: address.route), to: home)
    }
    self.rooms.handle(event, from: socket, of: address.route, self.moment)
  }

  /// What another worker has about rooms.
  mutating func receive(_ mail: RoomMail) {
    switch mail {
    case .join(let newcomer, let address, let route): self.receive(newcomer, address, route)
    case .event(let event, let socket, let route):
      self.rooms.handle(event, from: socket, of: route, self.moment)
    case .deliver(let delivery): self.traffic.deliveries.append(delivery)
    }
  }

  private mutating func receive(_ newcomer: Newcomer, _ address: RoomAddress, _ route: Route) {
    // The newest rules, where the route is still there.
    let present = self.snapshot.place(ofPeerOn: route) ?? route
    guard let hall = present.hall else { return }
    var newcomer = newcomer
    let clients = self.commons.clientRooms
    let countMax = hall.rules.limits.roomsPerClientMax
    newcomer.mayAddPeer = clients.enter(newcomer.pass.client, address, countMax: countMax)
    let isMore = self.rooms.join(
      newcomer, address, present, hall, worker: self.index, self.moment)
    if newcomer.mayAddPeer, !isMore { clients.leave(newcomer.pass.client, address) }
  }

  /// A connection has something to send at the turn's end.
  mutating func flushLater(_ token: Token) { self.traffic.unflushed.append(token) }

  /// A message of another peer goes out.
  mutating func noteRelay(of receivedAt: Deadline) { self.traffic.relayed.append(receivedAt) }
}

// MARK: - The end of a turn

extension Workbench {
  /// Whether rooms or their peers have anything to do.
  var hasRoomWork: Bool {
    if self.rooms.hasNews { return true }
    return self.traffic.hasMail ? true : self.traffic.isWaiting
  }

  /// Sorts what rooms want done.
  mutating func collectRoomActions() {
    while let route = self.rooms.takeActions(&self.traffic.actions) {
      // By index: an iterator would hold a reference to the array.
      for index in self.traffic.actions.indices {
        self.sort(self.traffic.actions[index], of: route)
      }
      self.traffic.actions.removeAll(keepingCapacity: true)
    }
  }

  private mutating func sort(_ action: RoomAction, of route: String) {
    switch action {
    case .admitted(let socket, let peer):
      self.deliver(.admitted(socket.token, peer), to: socket.worker)
    case .send(let socket, let message):
      self.deliver(.send(socket.token, message, receivedAt: self.now), to: socket.worker)
    case .close(let socket, let code, let words, let error):
      self.deliver(.close(socket.token, code, words: words, error: error), to: socket.worker)
    case .notice(let notice):
      if case .peerLeft(let peer, _) = notice.kind {
        self.commons.clientRooms.leave(
          peer.client, RoomAddress(route: route, room: notice.room))
      }
      self.commons.observeRooms(route, notice)
    }
  }

  private mutating func deliver(_ delivery: Delivery, to worker: Int) {
    if worker == self.index {
      self.traffic.deliveries.append(delivery)
    } else {
      self.traffic.post(.deliver(delivery), to: worker)
    }
  }

  /// Exchanges what waits for connections here, and which of them have something to send, for empty
  /// lists, whose memory is used again.
  mutating func takeTraffic(_ deliveries: inout [Delivery], _ unflushed: inout [Token]) {
    deliveries.removeAll(keepingCapacity: true)
    unflushed.removeAll(keepingCapacity: true)
    swap(&deliveries, &self.traffic.deliveries)
    swap(&unflushed, &self.traffic.unflushed)
  }

  /// Notes how long the messages of this turn were on their way.
  mutating func noteRelays() {
    guard !self.traffic.relayed.isEmpty else { return }
    self.meter.relayLatency.record(self.traffic.relayed, at: .now())
    self.traffic.relayed.removeAll(keepingCapacity: true)
  }

  /// Sends off what is for other workers.
  mutating func postOutposts() {
    guard self.traffic.hasMail else { return }
    self.traffic.hasMail = false
    for worker in self.traffic.outposts.indices where !self.traffic.outposts[worker].isEmpty {
      self.commons.mailboxes[worker].post(.rooms(self.traffic.outposts[worker]))
      self.traffic.outposts[worker].removeAll(keepingCapacity: true)
    }
  }
}
