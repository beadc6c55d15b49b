internal import Net
internal import WebSocket

/// What peers say.
extension Room {
  /// A peer said or did something.
  mutating func handle(
    _ event: PeerEvent, of seat: Int, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    switch event {
    case .message(let incoming):
      do throws(MessageFault) {
        let delivered = try self.carryOut(incoming.message, of: seat, moment, &turn)
        self.acknowledge(incoming.id, to: seat, delivered: delivered, &turn)
      } catch {
        self.reply(error.answering(incoming.id), to: seat, &turn)
      }
    case .fault(let fault): self.reply(fault, to: seat, &turn)
    case .confirmed(let sequence): self.members[seat].outbox.confirm(sequence)
    case .renewed(let pass, let id): self.renewed(pass, id, seat, moment, &turn)
    case .tokenRefused(let words): self.dismiss(seat, .expired, .tokenRefused, words, moment, &turn)
    case .left: self.unseat(seat, because: .closed, moment, &turn)
    case .lost: self.lost(seat, moment, &turn)
    }
    self.tellIfDue(moment, &turn)
  }

  /// Whether all that it is meant for are there.
  private mutating func carryOut(
    _ message: ClientMessage, of seat: Int, _ moment: Moment, _ turn: inout RoomTurn
  ) throws(MessageFault) -> Bool {
    switch message {
    case .signal(let to, let kind, let payload):
      return try self.relay(kind, payload, from: seat, to: to, &turn)
    case .broadcast(let payload): return try self.relayToAll(payload, from: seat, &turn)
    case .update(let name, let meta): try self.update(seat, name, meta, moment)
    case .ping: break
    case .leave:
      self.leave(seat, moment, &turn)
    case .kick(let peer, let reason, let ban):
      try self.kick(peer, reason, ban, by: seat, moment, &turn)
    case .lock(let isLocked):
      try self.require(.moderate, of: seat)
      if self.isLocked != isLocked { self.note(.room, moment) }
      self.isLocked = isLocked
    case .room(let meta, let count): try self.change(meta, count, by: seat, moment)
    case .role(let peer, let role): try self.promote(peer, role, by: seat, moment)
    case .join: throw MessageFault(.notInRoom, "This connection has joined already.")
    case .token: throw MessageFault(.forbidden, "No tokens are taken here.")
    }
    return true
  }

  private mutating func relay(
    _ kind: SignalKind, _ payload: [UInt8], from seat: Int, to peer: PeerID, _ turn: inout RoomTurn
  ) throws(MessageFault) -> Bool {
    try self.require(.signal, of: seat)
    guard let target = self.seats[peer], target != seat else {
      turn.counts.undelivered += 1
      throw .noSuchPeer(peer)
    }
    turn.counts.signals[kind.index] += 1
    return self.deliver(self.members[seat].signalHead, payload, to: target, &turn)
  }

  private mutating func relayToAll(
    _ payload: [UInt8], from seat: Int, _ turn: inout RoomTurn
  ) throws(MessageFault) -> Bool {
    try self.require(.broadcast, of: seat)
    let head = self.members[seat].broadcastHead
    turn.counts.broadcasts += 1
    var isComplete = true
    for target in self.members.indices where target != seat && !self.members[target].isVacant {
      if !self.deliver(head, payload, to: target, &turn) { isComplete = false }
    }
    return isComplete
  }

  /// Sends a numbered message, behind what the peer has not been told yet; kept for one who is away.
  private mutating func deliver(
    _ head: [UInt8], _ tail: [UInt8], to seat: Int, _ turn: inout RoomTurn
  ) -> Bool {
    if !self.changes.isEmpty { self.tell(seat, &turn) }
    let sequence = self.members[seat].outbox.append(head: head, tail: tail)
    guard let socket = self.members[seat].socket else {
      turn.counts.held += 1
      return false
    }
    turn.counts.deliveries += 1
    turn.actions.append(
      .send(socket, Outgoing(sequence: sequence, head: head, tail: tail)))
    return true
  }

  /// Sends a message without a number.
  func send(_ message: [UInt8], to seat: Int, _ turn: inout RoomTurn) {
    guard let socket = self.members[seat].socket else { return }
    turn.actions.append(.send(socket, Outgoing(head: message)))
  }

  private mutating func acknowledge(
    _ id: [UInt8], to seat: Int, delivered: Bool, expiry: Int64? = nil, _ turn: inout RoomTurn
  ) {
    guard !id.isEmpty, let socket = self.members[seat].socket else { return }
    var message: [UInt8] = []
    message.reserveCapacity(id.count + 48)
    message.write("\"type\":\"ack\",\"id\":")
    message.append(contentsOf: id)
    message.write(",\"delivered\":")
    message.write(flag: delivered)
    if let expiry {
      message.write(",\"expires_at\":")
      message.write(number: expiry)
    }
    message.append(UInt8(ascii: "}"))
    self.answer(message, to: seat, socket, &turn)
  }

  private mutating func reply(_ fault: MessageFault, to seat: Int, _ turn: inout RoomTurn) {
    guard let socket = self.members[seat].socket else { return }
    turn.counts.faults += 1
    let error = Outgoing.fault(fault)
    guard !fault.id.isEmpty else { return turn.actions.append(.send(socket, error)) }
    self.answer(error.head, to: seat, socket, &turn)
  }

  /// An answer that is replayed: who has asked learns what became of it.
  private mutating func answer(
    _ message: [UInt8], to seat: Int, _ socket: PeerSocket, _ turn: inout RoomTurn
  ) {
    let sequence = self.members[seat].outbox.append(head: message, tail: [])
    turn.actions.append(.send(socket, Outgoing(sequence: sequence, head: message)))
  }

  func require(_ right: Rights, of seat: Int) throws(MessageFault) {
    guard self.members[seat].rights.isSuperset(of: right) else {
      let word = Rights.words.first { $0.right == right }?.word ?? ""
      throw MessageFault(.forbidden, "This peer may not \(word) here.")
    }
  }

  private mutating func update(
    _ seat: Int, _ name: ClientMessage.Change<String>, _ meta: ClientMessage.Change<[UInt8]>,
    _ moment: Moment
  ) throws(MessageFault) {
    try self.require(.update, of: seat)
    guard let member = self.member(seat) else { return }
    // A name that a token gives is not the peer's to choose.
    guard name == .keep || member.pass.name == nil else {
      throw MessageFault(.forbidden, "The token says what this peer is called.")
    }
    self.members[seat].name = name.applied(to: member.name)
    self.members[seat].meta = meta.applied(to: member.meta) ?? []
    self.note(.updated(member.id), moment)
  }
}

// MARK: - Going

extension Room {
  private mutating func lost(_ seat: Int, _ moment: Moment, _ turn: inout RoomTurn) {
    let window = self.terms.rules.resumeWindow
    guard window > .zero else { return self.unseat(seat, because: .timeout, moment, &turn) }
    self.members[seat].socket = nil
    self.members[seat].awayUntil = moment.now.advanced(by: window)
    self.wake(at: moment.now.advanced(by: window))
  }

  private mutating func leave(_ seat: Int, _ moment: Moment, _ turn: inout RoomTurn) {
    if let socket = self.members[seat].socket { turn.close(socket, .normalClosure, "") }
    self.unseat(seat, because: .closed, moment, &turn)
  }

  private mutating func renewed(
    _ pass: Pass, _ id: [UInt8], _ seat: Int, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    guard let member = self.member(seat) else { return }
    guard pass.peer == nil || pass.peer == member.id, pass.subject == member.pass.subject else {
      return self.dismiss(
        seat, .expired, .tokenRefused, "The token is for somebody else.", moment, &turn)
    }
    self.renew(seat, pass, moment)
    self.acknowledge(id, to: seat, delivered: true, expiry: pass.expiry, &turn)
  }

  /// Takes a peer's place away and ends its connection.
  mutating func dismiss(
    _ seat: Int, _ departure: PeerDeparture, _ code: ErrorCode, _ words: String,
    retryAfter: Duration? = nil, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    if let socket = self.members[seat].socket {
      turn.refuse(RoomRefusal(code, words, retryAfter: retryAfter), socket)
    }
    self.unseat(seat, because: departure, moment, &turn)
  }
}

extension ClientMessage.Change {
  func applied(to value: Value?) -> Value? {
    switch self {
    case .keep: value
    case .clear: nil
    case .set(let value): value
    }
  }
}

extension SignalKind {
  /// Its place among all kinds.
  var index: Int {
    switch self {
    case .offer: 0
    case .answer: 1
    case .candidates: 2
    case .description: 3
    case .custom: 4
    }
  }
}

extension Outgoing {
  /// An `error` about a message.
  public static func fault(_ fault: MessageFault) -> Outgoing {
    self.error(fault.code, fault.words, id: fault.id, to: fault.peer)
  }

  /// An `error` that says for how long nothing more is read.
  public static func rateLimited(for wait: Duration) -> Outgoing {
    self.error(
      .rateLimited, "Messages come too fast: they are read more slowly.", retryAfter: wait)
  }

  /// A `goaway`.
  public static func goAway(after wait: Duration, reason: String) -> Outgoing {
    var message: [UInt8] = []
    message.write("\"type\":\"goaway\",\"after_ms\":")
    message.write(number: wait.wholeMilliseconds)
    message.write(",\"reason\":")
    message.write(string: reason)
    message.append(UInt8(ascii: "}"))
    return Outgoing(head: message)
  }

  /// An `error`.
  static func error(
    _ code: ErrorCode, _ words: String, id: [UInt8] = [], to peer: PeerID? = nil,
    retryAfter: Duration? = nil
  ) -> Outgoing {
    var message: [UInt8] = []
    message.write("\"type\":\"error\",\"code\":\"")
    message.append(contentsOf: code.rawValue.utf8)
    message.write("\",\"message\":")
    message.write(string: words)
    if !id.isEmpty {
      message.write(",\"id\":")
      message.append(contentsOf: id)
    }
    if let peer {
      message.write(",\"to\":\"")
      message.append(contentsOf: peer.description.utf8)
      message.append(UInt8(ascii: "\""))
    }
    if let retryAfter {
      message.write(",\"retry_after\":")
      message.write(number: retryAfter.wholeMilliseconds)
    }
    message.append(UInt8(ascii: "}"))
    return Outgoing(head: message)
  }
}
