import HTTP
import Net
import Transport
import WebSocket

/// One peer of the load.
///
///     connecting ─▶ upgrading ─▶ joining ──welcome──▶ inside
struct RoomPeer: ~Copyable {
  enum Phase { case connecting, upgrading, joining, inside }

  /// The longest message that is expected: a welcome, with the roster of a room.
  private static let messageByteCountMax: UInt64 = 1 << 20

  /// Which peer of the plan it is, from 0.
  let index: Int
  private(set) var phase = Phase.connecting
  /// When it was to begin.
  private let due: Deadline
  private let request: RequestHead
  private var responses = ResponseReader(headByteCountMax: 16 * 1024)
  private var messages = MessageReader(
    from: .server, messageByteCountMax: Self.messageByteCountMax,
    skippedByteCountMax: Self.messageByteCountMax)
  private var stream: ByteStream

  /// A connection to the plan's address, of which the kernel has just been told.
  init(_ desk: inout RoomsDesk, index: Int, due: Deadline) throws(Errno) {
    self.stream = ByteStream(try Socket.connecting(to: desk.plan.address), tls: nil)
    self.index = index
    self.due = due
    self.request = upgradeRequestHead(
      target: desk.plan.target(ofPeer: index), authority: desk.plan.authority, key: desk.nextKey())
  }

  var isOpening: Bool { self.phase != .inside }

  /// Registers the socket.
  borrowing func register(
    with loop: borrowing EventLoop, as token: Token
  ) throws(Errno) {
    try self.stream.register(with: loop, as: token)
  }

  /// Does what can be done now; why it cannot go on, if it cannot.
  mutating func advance(_ readiness: Readiness, _ desk: inout RoomsDesk) -> String? {
    self.stream.note(readiness)
    if self.phase == .connecting { return self.connected(readiness, &desk) }
    if let fault = self.stream.flush(&desk.scratch) { return fault.reason }
    return self.receive(&desk) ?? self.send(&desk)
  }

  /// Sends a signal to a mate.
  mutating func signal(due: Deadline, _ desk: inout RoomsDesk) -> String? {
    desk.composeSignal(from: self.index, due: due)
    return self.send(&desk)
  }

  /// Says that it leaves, and closes the socket.
  consuming func leave(_ desk: inout RoomsDesk) {
    if self.phase == .inside {
      let code = CloseCode.normalClosure.rawValue
      desk.compose(.close, [UInt8(code >> 8), UInt8(truncatingIfNeeded: code)])
      _ = self.send(&desk)
    }
    self.close(&desk)
  }

  /// Closes the socket.
  consuming func close(_ desk: inout RoomsDesk) { self.stream.close(&desk.scratch) }

  private mutating func send(_ desk: inout RoomsDesk) -> String? {
    self.stream.sendOutbound(&desk.scratch)?.reason
  }
}

// MARK: - Coming in

extension RoomPeer {
  private mutating func connected(_ readiness: Readiness, _ desk: inout RoomsDesk) -> String? {
    guard !readiness.isDisjoint(with: [.writable, .failed]) else { return nil }
    if let fault = self.stream.connectFault() { return "connect: \(fault)" }
    self.phase = .upgrading
    return self.stream.send(self.request.serialized(), &desk.scratch)?.reason
  }

  private mutating func takeHead(_ desk: inout RoomsDesk) -> String? {
    do {
      let outcome = try self.responses.receive(desk.scratch.inbound.octets)
      guard case .head(let head, let consumed) = outcome else { return nil }
      guard head.status == 101 else { return "answered \(head.status) \(head.reason)" }
      let asked = try UpgradeRequest.parse(self.request)
      _ = try UpgradeResponse.verify(head, answering: asked)
      desk.scratch.inbound.consume(consumed)
    } catch {
      return "upgrade: \(error)"
    }
    self.phase = .joining
    return nil
  }

  private mutating func welcomed(as name: [UInt8], _ desk: inout RoomsDesk) -> String? {
    guard self.phase == .joining else { return "a second welcome" }
    self.phase = .inside
    desk.names[self.index] = name
    desk.tally.connections.opened()
    if desk.plan.work == .join { desk.completed(due: self.due) }
    return nil
  }
}

// MARK: - Messages

extension RoomPeer {
  private mutating func receive(_ desk: inout RoomsDesk) -> String? {
    while self.stream.isReadable {
      desk.scratch.inbound.clear()
      let received = self.stream.receive(&desk.scratch)
      desk.now = .now()
      if case .failed(let fault) = received { return fault.reason }
      if self.phase == .upgrading, let fault = self.takeHead(&desk) { return fault }
      if self.phase != .upgrading, let fault = self.takeMessages(&desk) { return fault }
      if received == .ended { return "the server has closed the connection" }
    }
    return nil
  }

  private mutating func takeMessages(_ desk: inout RoomsDesk) -> String? {
    var place = 0
    while let event = self.messages.next(desk.scratch.inbound.octets, from: &place) {
      if let fault = self.take(event, &desk) { return fault }
    }
    return nil
  }

  private mutating func take(
    _ event: MessageReader.Event, _ desk: inout RoomsDesk
  ) -> String? {
    switch event {
    case .text(let text): return self.take(desk.words.read(text.span), &desk)
    case .ping(let payload): desk.compose(.pong, payload)
    case .pong: break
    case .close(let payload): return "closed with \(payload.code.map { "\($0)" } ?? "no code")"
    case .violation(let violation): return violation.reason
    case .binary, .tooLarge, .endless: return "a message that makes no sense"
    }
    return nil
  }

  private mutating func take(_ answer: RoomsWords.Answer, _ desk: inout RoomsDesk) -> String? {
    switch answer {
    case .welcome(let name): return self.welcomed(as: name, &desk)
    case .signal(let stamp): return self.arrived(stamp, &desk)
    case .ack: desk.tally.acknowledged()
    case .changed:
      desk.tally.connections.mismatched("a signal to peer \(self.index)")
      return "a signal came changed"
    case .error(let words): return "told: \(words)"
    case .other: break
    }
    return nil
  }

  private mutating func arrived(
    _ stamp: RoomsWords.Stamp, _ desk: inout RoomsDesk
  ) -> String? {
    guard stamp.receiver == UInt32(self.index) else {
      desk.tally.connections.mismatched("peer \(self.index) got what \(stamp.receiver) was to get")
      return "a signal of somebody else"
    }
    desk.completed(due: Deadline(nanoseconds: stamp.due))
    guard desk.plan.work == .throughput, desk.stage < .draining else { return nil }
    desk.composeSignal(from: self.index, due: desk.now)
    // A turn brings no more than the socket's buffer holds, and what it leads to is no larger; but
    // the answers to pings share the buffer.
    return desk.scratch.outbound.freeCount < 16 * 1024 ? self.send(&desk) : nil
  }
}
