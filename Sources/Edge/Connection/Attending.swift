internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Signaling
internal import Telemetry
internal import Transport
internal import Tunnel
internal import WebSocket

/// A client is a peer of a room, or about to become one. What it says goes to the room, wherever that
/// lives; what the room has for it comes by ``deliver(_:_:)`` and goes out at the turn's end.
///
///     event ─▶ receive ─▶ frames ─▶ messages ─▶ room
///                          client ◀─ flush ◀─ deliver ◀─┘
struct Attending: ~Copyable {
  var stream: ByteStream
  var session: PeerSession
  var reader: MessageReader
  /// Octets that wait until more may be read.
  var held: [UInt8] = []
  /// Frames that go out at the turn's end.
  var outgoing: [UInt8] = []
  private var isUnflushed = false
  let exchange: Exchange
  private(set) var route: Route
  let address: RoomAddress
  let meter: TrafficMeter
  let token: Token
  /// What it was admitted for; `nil` where that is not this room.
  private let pass: Pass?
  /// Its id, once it has one.
  private var peer: PeerID?
  private var hasJoined = false
  /// The id of the message whose token is being looked at.
  private var pendingToken: [UInt8]?
  let pingTag: UInt64
  var counts = AttendingCounts()
  private var armedAt = Deadline.never
  private var closer = AccessRecord.Closer.edge

  init(
    _ downstream: consuming ByteStream, _ admission: PendingAdmission, _ hall: Hall,
    _ room: RoomName, _ pass: Pass?, greets: Bool, pingTag: UInt64, _ bench: borrowing Workbench
  ) {
    self.stream = downstream
    self.session = PeerSession(hall.terms, greets: greets, now: bench.now)
    self.reader = MessageReader(
      from: .client, messageByteCountMax: hall.terms.messageByteCountMax,
      skippedByteCountMax: PeerSession.skippedByteCountMax)
    self.exchange = admission.exchange
    self.route = admission.route
    self.address = RoomAddress(route: admission.route.rules.name, room: room)
    self.meter = bench.meter(of: admission.route)
    self.token = admission.exchange.arrival.token
    self.pass = pass
    self.pingTag = pingTag
  }

  /// - Parameters:
  ///   - answer: the 101.
  ///   - greeting: what the query said, or what is wrong with it; `nil` where a message is to say it.
  ///   - pipelined: what the client sent behind its request.
  static func begin(
    _ attending: consuming Attending, _ answer: ResponseHead,
    _ greeting: Result<Greeting, MessageFault>?,
    _ pipelined: [UInt8], _ bench: inout Workbench
  ) -> Connection {
    var phase = Owned(attending)
    let goesOn = phase.value.begin(answer, greeting, pipelined, &bench)
    return goesOn ? .attending(phase) : phase.take().close(&bench)
  }

  private mutating func begin(
    _ answer: ResponseHead, _ greeting: Result<Greeting, MessageFault>?, _ pipelined: [UInt8],
    _ bench: inout Workbench
  ) -> Bool {
    bench.wheel.disarm(Int(self.token.slot))
    self.meter.begun.raise()
    bench.noteUpgrade(self.exchange)
    guard self.stream.answer(answer, &bench.scratch) == nil else { return false }
    switch greeting {
    case .success(let greeting): self.join(greeting, &bench)
    case .failure(let fault):
      self.send(.fault(fault), &bench)
      self.join(Greeting(), &bench)
    case nil: if self.pass == nil { self.refuse(&bench) }
    }
    self.catchUp(&bench)
    self.held = pipelined
    return self.goOnReading(&bench) && self.settle(&bench)
  }

  /// What was decided while the client was being admitted holds for it, too.
  private mutating func catchUp(_ bench: inout Workbench) {
    if let until = bench.departure.closesUntil {
      self.close(at: until, because: .shutdown, &bench)
    } else if !bench.snapshot.has(self.route), let cause = self.adopt(&bench) {
      self.close(at: bench.now.advanced(by: bench.snapshot.drainOver), because: cause, &bench)
    }
  }

  // MARK: Events

  /// The socket is ready. Whether it goes on; if not, ``close(_:)`` must follow.
  mutating func handle(_ event: Event, _ bench: inout Workbench) -> Bool {
    guard event.token.registration == 0 else { return true }
    self.stream.note(event.readiness)
    if event.readiness.contains(.writable), self.stream.queuedByteCount > 0 {
      guard self.stream.flush(&bench.scratch) == nil else { return self.lose() }
      self.noteQueue(&bench)
    }
    guard self.goOnReading(&bench) else { return false }
    // A client that is not read for a while may be gone meanwhile.
    if !self.session.isRead {
      if event.readiness.contains(.failed) { return self.lose() }
      if event.readiness.contains(.peerEnded) { self.session.ended(now: bench.now) }
    }
    return self.settle(&bench)
  }

  /// The timer has fired. Whether it goes on.
  mutating func deadlinePassed(_ bench: inout Workbench) -> Bool {
    self.armedAt = .never
    while true {
      switch self.session.deadlinePassed(now: bench.now) {
      case .nothing: return self.settle(&bench)
      case .ping: self.sendPing(&bench)
      case .resume: guard self.goOnReading(&bench) else { return false }
      case .close(let ending): self.end(ending, &bench)
      case .cut: return false
      }
    }
  }

  /// Its token was looked at.
  mutating func judged(_ judgement: Judgement, _ bench: inout Workbench) -> Bool {
    guard let id = self.pendingToken, case .token(let verdict) = judgement,
      let rule = self.route.rules.admission.credentials?.jwt
    else { return true }
    self.pendingToken = nil
    switch Admission.judge(verdict, rule: rule) {
    case .admit(let admitted):
      let pass = Pass.permitted(
        by: admitted, into: self.address.room, client: self.exchange.clientText,
        expiresAt: bench.deadline(ofExpiry: admitted.expiry))
      self.tell(
        pass.map { .renewed($0, id: id) } ?? .tokenRefused(words: Self.notPermitted), &bench)
    case .refuse(let refusal) where refusal.status == 503:
      self.tell(.fault(MessageFault(.overloaded, refusal.reason, id: id)), &bench)
    case .refuse(let refusal): self.tell(.tokenRefused(words: refusal.reason), &bench)
    case .verify, .ask: break
    }
    return self.settle(&bench)
  }

  // MARK: What the room has for it

  /// A room has something for it, which goes out at the turn's end.
  mutating func deliver(_ delivery: Delivery, _ bench: inout Workbench) {
    guard self.session.phase != .closing else { return }
    switch delivery {
    case .admitted(_, let peer): self.peer = peer
    case .send(_, let message, let receivedAt):
      self.send(message, &bench)
      if message.isRelayed { bench.noteRelay(of: receivedAt) }
    case .close(_, let code, let words, let error):
      if let error { self.send(error, &bench) }
      self.hasJoined = false
      self.end(.room(code, words: words), &bench)
    }
  }

  /// The turn is over. Whether it goes on.
  mutating func flush(_ bench: inout Workbench) -> Bool {
    self.isUnflushed = false
    if self.session.takePing(now: bench.now) { self.writePing() }
    let outgoing = self.outgoing
    self.outgoing = []
    guard self.stream.send(outgoing, &bench.scratch) == nil else { return self.lose() }
    self.noteQueue(&bench)
    return self.settle(&bench)
  }

  private mutating func noteQueue(_ bench: inout Workbench) {
    guard self.session.queued(self.stream.queuedByteCount, now: bench.now),
      self.session.phase != .closing
    else { return }
    self.end(.outbox, &bench)
  }

  // MARK: Ends

  /// It is this peer's turn to be closed at `deadline`.
  mutating func close(at deadline: Deadline, because cause: Cause, _ bench: inout Workbench) {
    if case .operatorClose(let code, let words) = cause {
      self.end(.operatorClose(code, words: words), &bench)
    } else {
      self.session.drains(at: deadline, because: cause.reason)
      let wait = deadline.duration(since: bench.now)
      self.send(.goAway(after: wait, reason: cause.reason), &bench)
    }
    self.arm(&bench)
  }

  /// Another configuration holds. Why the peer has to go, where there is no place for it any more.
  mutating func adopt(_ bench: inout Workbench) -> Cause? {
    guard let route = bench.snapshot.place(ofPeerOn: self.route), let hall = route.hall else {
      return .routeRemoved
    }
    self.route = route
    self.session.drains(at: .never)
    self.session.adopt(hall.terms, now: bench.now)
    self.reader.setLimit(hall.terms.messageByteCountMax)
    self.arm(&bench)
    return nil
  }

  /// Since when it has taken nothing of what waits for it.
  mutating func stalledSince() -> Deadline? { self.session.waitsSince }

  /// The grace is over. ``close(_:)`` must follow.
  mutating func cut(_ bench: inout Workbench) {
    self.end(.draining(reason: Cause.shutdown.reason), &bench)
    _ = self.stream.send(self.outgoing, &bench.scratch)
  }

  /// Gives back what waits for it. ``close(_:)`` must follow.
  mutating func shed(_ bench: inout Workbench) {
    self.session.close(.outbox, now: bench.now)
    self.stream.discardQueue(&bench.scratch)
    self.stream.resetOnClose()
  }

  /// Ends it from this side: the client is told, and its answer awaited.
  mutating func end(_ ending: SessionEnding, _ bench: inout Workbench) {
    guard self.session.phase != .closing else { return }
    let isMeant = ending == .closed(.normalClosure) || ending == .flooding
    if self.hasJoined { self.tell(isMeant ? .left : .lost, &bench) }
    self.hasJoined = false
    self.session.close(ending, now: bench.now)
    if case .closed = ending { self.closer = .downstream }
    ending.payload.writeFrame(into: &self.outgoing)
    self.count(sent: \.close, octetCount: 2)
    self.held = []
    self.flushLater(&bench)
  }

  /// The connection broke. Always `false`: it does not go on.
  mutating func lose() -> Bool {
    if self.session.phase != .closing { self.closer = .downstream }
    return false
  }

  /// Writes the record and lets the socket go, or waits for the client's end where it knows of it.
  consuming func close(_ bench: inout Workbench) -> Connection {
    if self.hasJoined { bench.tell(.lost, of: self.token, in: self.address) }
    self.record(bench)
    guard self.session.isAnswered else {
      return bench.close(self.stream)
    }
    return Closing(self.stream, self.token).begin(&bench)
  }

  private borrowing func record(_ bench: borrowing Workbench) {
    let code = self.session.ending?.payload.code ?? .abnormalClosure
    let reason = self.session.ending?.reason ?? "lost"
    self.meter.ended(.init(reason: reason, closer: self.closer, closeCode: code.rawValue))
    let frames = AccessRecord.Frames(
      inboundMessageCount: self.counts.inboundMessages,
      outboundMessageCount: self.counts.outboundMessages, closeCode: code.rawValue,
      detail: self.session.ending?.detail)
    self.exchange.finish(
      .init(
        kind: .peer, status: 101, closer: self.closer, reason: reason, tls: self.stream.tlsVersion,
        inboundByteCount: self.counts.inboundOctets,
        outboundByteCount: self.counts.outboundOctets, frames: frames,
        room: self.address.room.description, peer: self.peer?.description), bench)
  }

  // MARK: Small steps

  mutating func flushLater(_ bench: inout Workbench) {
    guard !self.isUnflushed else { return }
    self.isUnflushed = true
    bench.flushLater(self.token)
  }

  mutating func tell(_ event: PeerEvent, _ bench: inout Workbench) {
    bench.tell(event, of: self.token, in: self.address)
  }

  /// Sets the timer. Whether it goes on: not once both sides have said that it is over.
  private mutating func settle(_ bench: inout Workbench) -> Bool {
    self.arm(&bench)
    // What is on its way out comes first.
    return !(self.session.isAnswered && self.outgoing.isEmpty)
  }

  private mutating func arm(_ bench: inout Workbench) {
    let next = self.session.nextDeadline
    guard next < self.armedAt else { return }
    self.armedAt = next
    bench.wheel.arm(Int(self.token.slot), at: next)
  }
}

// MARK: - Coming in

extension Attending {
  /// Asks the room to take it in.
  mutating func join(_ greeting: Greeting, _ bench: inout Workbench) {
    self.session.greeted()
    guard let pass = self.pass else { return self.refuse(&bench) }
    self.hasJoined = true
    let newcomer = Newcomer(
      socket: bench.socket(self.token), greeting: greeting, pass: pass,
      chance: bench.chance.next())
    bench.join(newcomer, self.address, self.route)
  }

  private static let notPermitted = "The token does not permit this room."

  private mutating func refuse(_ bench: inout Workbench) {
    self.send(.fault(MessageFault(.tokenRefused, Self.notPermitted)), &bench)
    self.end(.room(.tokenRefused, words: Self.notPermitted), &bench)
  }

  /// Has a fresh token looked at, on another thread.
  mutating func look(at text: String, id: [UInt8], _ bench: inout Workbench) {
    guard let rule = self.route.rules.admission.credentials?.jwt else {
      return self.tell(
        .fault(MessageFault(.forbidden, "No tokens are taken here.", id: id)), &bench)
    }
    guard self.pendingToken == nil else {
      return self.tell(
        .fault(MessageFault(.badMessage, "Another token is being looked at.", id: id)), &bench)
    }
    self.pendingToken = id
    let (token, mailbox) = (self.token, bench.mailbox)
    Task.detached { mailbox.post(.judged(token, .token(await rule.verifier.verify(text)))) }
  }

  /// What an operator sees of it; see ``TunnelListing``.
  func listing(_ bench: borrowing Workbench) -> TunnelListing {
    TunnelListing(
      id: TunnelID(worker: bench.index, self.token), route: self.address.route,
      subject: self.exchange.subject, client: self.exchange.clientText,
      upstream: "room \(self.address.room)", requestID: self.exchange.requestID,
      tls: self.stream.tlsVersion,
      age: bench.now.duration(since: self.exchange.arrival.acceptedAt),
      inboundByteCount: self.counts.inboundOctets, outboundByteCount: self.counts.outboundOctets,
      inboundMessageCount: self.counts.inboundMessages,
      outboundMessageCount: self.counts.outboundMessages)
  }
}

/// What passed over one peer's connection.
struct AttendingCounts {
  var inboundMessages: UInt64 = 0
  var outboundMessages: UInt64 = 0
  var inboundOctets: UInt64 = 0
  var outboundOctets: UInt64 = 0
}
