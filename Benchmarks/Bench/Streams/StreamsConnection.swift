import HTTP2
import Net
import TLS
import Transport
import WebSocket

/// One HTTP/2 connection of the load, with the WebSockets on it.
///
///     connecting ─▶ securing ─▶ settling ──the server's settings──▶ carrying
///                    (TLS)
struct StreamsConnection: ~Copyable {
  enum Phase { case connecting, securing, settling, carrying }

  let token: Token
  private var phase = Phase.connecting
  private var stream: ByteStream
  private var session: ClientSession
  private var tunnels: [StreamsTunnel]
  /// WebSockets that are neither open nor given up.
  private var openingCount: Int

  /// A connection to the plan's address, of which the kernel has just been told.
  ///
  /// - Parameter index: which of the plan's connections it is, from 0.
  init(_ desk: inout StreamsDesk, as token: Token, index: Int) throws {
    let plan = desk.plan
    let session = try ClientSession(plan.request)
    var tls: TLSConnection?
    if let context = plan.load.tls {
      tls = try TLSConnection(connecting: context, host: plan.load.host, over: desk.scratch.wire)
    }
    let stream = ByteStream(try Socket.connecting(to: plan.load.address), tls: tls)
    let first = index * plan.streamCount
    self.token = token
    self.stream = stream
    self.session = session
    self.tunnels = (first..<first + plan.streamCount).map {
      StreamsTunnel(number: $0, sizes: plan.load.sizes)
    }
    self.openingCount = plan.streamCount
  }

  /// Whether some of its WebSockets are still to come.
  var isOpening: Bool { self.openingCount > 0 }

  /// Registers the socket.
  borrowing func register(with loop: borrowing EventLoop) throws(Errno) {
    try self.stream.register(with: loop, as: self.token)
  }

  /// Does what can be done now; why it cannot go on, if it cannot.
  mutating func advance(_ readiness: Readiness, _ desk: inout StreamsDesk) -> String? {
    self.stream.note(readiness)
    switch self.phase {
    case .connecting: return self.connected(readiness, &desk)
    case .securing: return self.secure(&desk)
    case .settling, .carrying: return self.carry(&desk)
    }
  }

  /// Lets each WebSocket send its first message.
  mutating func begin(_ desk: inout StreamsDesk) -> String? {
    for index in self.tunnels.indices {
      self.tunnels[index].begin()
      self.sendNext(on: index, &desk)
    }
    return self.transmit(&desk)
  }

  /// Notes the WebSockets on which nothing came back in all the time that was measured.
  mutating func chargeStalled(_ desk: inout StreamsDesk) {
    for index in self.tunnels.indices
    where self.tunnels[index].hasStalled(since: desk.measuredFrom) {
      self.end(index, "no answer in all the time", &desk)
    }
  }

  /// Notes that no WebSocket of it goes on.
  mutating func endAll(_ reason: String, _ desk: inout StreamsDesk) {
    for index in self.tunnels.indices { self.end(index, reason, &desk) }
  }

  /// Closes the socket.
  consuming func close(_ desk: inout StreamsDesk) { self.stream.close(&desk.scratch) }
}

// MARK: - Opening

extension StreamsConnection {
  private mutating func connected(_ readiness: Readiness, _ desk: inout StreamsDesk) -> String? {
    guard !readiness.isDisjoint(with: [.writable, .failed]) else { return nil }
    if let fault = self.stream.connectFault() { return "connect: \(fault)" }
    guard desk.plan.load.tls == nil else {
      self.phase = .securing
      return self.secure(&desk)
    }
    self.phase = .settling
    return self.transmit(&desk)
  }

  private mutating func secure(_ desk: inout StreamsDesk) -> String? {
    if let fault = self.stream.flush(&desk.scratch) { return fault.reason }
    switch self.stream.handshake(&desk.scratch) {
    case .pending: return nil
    case .done: break
    case .ended: return "closed during the handshake"
    case .failed(let fault): return "handshake: \(fault.reason)"
    }
    guard self.stream.applicationProtocol == .http2 else { return "the server does not take h2" }
    self.phase = .settling
    // The server speaks first, too.
    return self.take(&desk)
  }

  /// Asks for all WebSockets, once the server has said that it takes them (RFC 8441 §3).
  private mutating func settle() -> String? {
    guard self.phase == .settling else { return nil }
    guard self.session.takesWebSockets else { return "the server takes no WebSockets over HTTP/2" }
    guard self.session.streamCountMax >= self.tunnels.count else {
      return "the server allows \(self.session.streamCountMax) streams"
    }
    self.phase = .carrying
    for _ in self.tunnels.indices {
      if let fault = self.session.open() { return fault }
    }
    return nil
  }
}

// MARK: - Carrying

extension StreamsConnection {
  private mutating func carry(_ desk: inout StreamsDesk) -> String? {
    if let fault = self.stream.flush(&desk.scratch) { return fault.reason }
    for _ in 0..<Client.callsPerTurnMax where self.stream.isReadable {
      desk.scratch.inbound.clear()
      let received = self.stream.receive(&desk.scratch)
      desk.now = .now()
      if case .failed(let fault) = received { return fault.reason }
      if let fault = self.take(&desk) { return fault }
      if received == .ended { return "the server closed the connection" }
    }
    if self.stream.isReadable, !self.stream.waitsForTurn {
      self.stream.waitsForTurn = true
      desk.unfinished.append(self.token)
    }
    return nil
  }

  /// Takes what stands in the inbound buffer, and sends what follows from it, all with one call.
  private mutating func take(_ desk: inout StreamsDesk) -> String? {
    if let fault = self.session.receive(desk.scratch.inbound.octets) { return fault }
    while let event = self.session.nextEvent() {
      if let fault = self.take(event, &desk) { return fault }
    }
    return self.transmit(&desk)
  }

  private mutating func take(
    _ event: ClientSession.Event, _ desk: inout StreamsDesk
  ) -> String? {
    switch event {
    case .settings: return self.settle()
    case .answered(let index, let status): self.answered(index, status, &desk)
    case .content(let index, let range): self.takeContent(index, range, &desk)
    case .ended(let index): self.end(index, "the server ended the stream", &desk)
    case .closed(let index, let code): self.end(index, "the stream was closed (\(code))", &desk)
    case .goingAway(let code):
      return code == .noError ? nil : "the server ended the connection (\(code))"
    }
    return nil
  }

  private mutating func answered(_ index: Int, _ status: Int, _ desk: inout StreamsDesk) {
    guard self.tunnels[index].phase == .opening else { return }
    // RFC 8441 §5: what 101 is to HTTP/1.1.
    guard status == 200 else { return self.end(index, "answered \(status)", &desk) }
    self.tunnels[index].open()
    self.openingCount -= 1
    desk.tally.opened()
  }

  private mutating func takeContent(
    _ index: Int, _ range: Range<Int>, _ desk: inout StreamsDesk
  ) {
    guard self.tunnels[index].phase == .open else { return }
    desk.content.clear()
    desk.content.append(range, of: desk.scratch.inbound)
    if let fault = self.tunnels[index].take(&desk) { return self.end(index, fault, &desk) }
    self.sendNext(on: index, &desk)
  }

  private mutating func sendNext(on index: Int, _ desk: inout StreamsDesk) {
    guard self.tunnels[index].hasTurn, desk.stage < .draining else { return }
    desk.message.clear()
    desk.compose(self.tunnels[index].nextMessage(desk.now))
    self.session.send(desk.message.octets, on: index)
  }

  private mutating func transmit(_ desk: inout StreamsDesk) -> String? {
    while true {
      let outcome = self.session.collect(into: &desk.scratch.outbound)
      if let fault = self.stream.sendOutbound(&desk.scratch) { return fault.reason }
      switch outcome {
      case .all: return self.session.isOver ? "HTTP/2 ended: a rule of it was broken" : nil
      case .full: continue
      case .failed(let reason): return reason
      }
    }
  }

  /// A WebSocket does not go on.
  private mutating func end(_ index: Int, _ reason: String, _ desk: inout StreamsDesk) {
    switch self.tunnels[index].phase {
    case .over: return
    case .opening:
      self.openingCount -= 1
      desk.tally.failed(reason)
    case .open: desk.tally.dropped(reason)
    }
    self.tunnels[index].end()
  }
}

extension Buffer {
  /// Copies octets of another buffer behind the end; there must be room for them.
  fileprivate mutating func append(_ range: Range<Int>, of other: borrowing Buffer) {
    self.append(other.octets.extracting(range))
  }
}
