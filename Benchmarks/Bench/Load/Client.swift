import HTTP
import Net
import TLS
import Transport
import WebSocket

/// One connection of the load.
///
///     connecting ─▶ securing ─▶ upgrading ─▶ open ─▶ closing ─▶ over
///                    (TLS)                          (churn)
struct Client: ~Copyable {
  enum Phase { case connecting, securing, upgrading, open, closing }

  /// How a connection ended.
  enum Ending: Equatable {
    /// All that was to be done was done.
    case finished
    case broken(String)
  }

  /// Receives, and batches sent, in one turn; who has more waits for the next.
  static let callsPerTurnMax = 4

  let token: Token
  /// Which connection of the plan it is, from 0.
  let index: Int
  let startedAt: Deadline
  private(set) var phase = Phase.connecting
  private let request: RequestHead
  private var reader = ResponseReader(headByteCountMax: 16 * 1024)
  var stream: ByteStream

  var cutter = FrameCutter()
  var inFrame = FrameHeader(opcode: .binary, payloadByteCount: 0)
  /// Messages to send and, the same once more, to expect.
  var sending: MessageSequence
  var expecting: MessageSequence
  /// Messages that may be sent now.
  var owedCount: UInt64 = 0
  var draft: Composer.Draft?
  var sentAt = Deadline.never
  /// The message that comes in: its octets so far, and whether they are the expected ones.
  var incoming: Incoming?
  /// A text message that comes in: the sink's count.
  var text: [UInt8] = []
  /// The sink was asked for its count.
  var hasAsked = false
  var hasReceivedClose = false

  /// A message on its way in.
  struct Incoming {
    let message: Message
    var byteCount = 0
    var isSame = true
  }

  /// A connection to the plan's address, of which the kernel has just been told.
  init(_ desk: inout Desk, as token: Token, index: Int) throws {
    let plan = desk.plan
    var tls: TLSConnection?
    if let context = plan.tls {
      tls = try TLSConnection(connecting: context, host: plan.host, over: desk.scratch.wire)
    }
    let stream = ByteStream(try Socket.connecting(to: plan.address), tls: tls)
    self.token = token
    self.startedAt = desk.now
    self.request = upgradeRequestHead(
      target: plan.target, authority: plan.authority, key: desk.nextKey())
    // The source does not know the connection's number: all of its streams are those of the first.
    let connection = plan.work == .stream ? 0 : index
    self.sending = MessageSequence(plan.sizes, connection: connection)
    self.expecting = self.sending
    self.index = index
    self.stream = stream
  }

  /// Whether the upgrade is still to come.
  var isOpening: Bool { self.phase != .open && self.phase != .closing }

  /// Messages that were sent, or are to be, and have not come back.
  var unansweredCount: UInt64 { self.sending.count + self.owedCount - self.expecting.count }

  /// Registers the socket.
  borrowing func register(with loop: borrowing EventLoop) throws(Errno) {
    try self.stream.register(with: loop, as: self.token)
  }

  /// Does what can be done now; how the connection ended, if it did.
  mutating func advance(_ readiness: Readiness, _ desk: inout Desk) -> Ending? {
    self.stream.note(readiness)
    switch self.phase {
    case .connecting: return self.connected(readiness, &desk)
    case .securing: return self.secure(&desk)
    case .upgrading, .open, .closing: return self.carry(&desk)
    }
  }

  /// Closes the socket.
  consuming func close(_ desk: inout Desk) { self.stream.close(&desk.scratch) }
}

// MARK: - Opening

extension Client {
  private mutating func connected(_ readiness: Readiness, _ desk: inout Desk) -> Ending? {
    guard !readiness.isDisjoint(with: [.writable, .failed]) else { return nil }
    if let fault = self.stream.connectFault() { return .broken("connect: \(fault)") }
    guard desk.plan.tls == nil else {
      self.phase = .securing
      return self.secure(&desk)
    }
    return self.upgrade(&desk)
  }

  private mutating func secure(_ desk: inout Desk) -> Ending? {
    if let fault = self.stream.flush(&desk.scratch) { return .broken(fault.reason) }
    switch self.stream.handshake(&desk.scratch) {
    case .pending: return nil
    case .done: return self.upgrade(&desk)
    case .ended: return .broken("closed during the handshake")
    case .failed(let fault): return .broken("handshake: \(fault.reason)")
    }
  }

  private mutating func upgrade(_ desk: inout Desk) -> Ending? {
    self.phase = .upgrading
    let fault = self.stream.send(self.request.serialized(), &desk.scratch)
    return fault.map { .broken($0.reason) }
  }

  /// Flushes, receives and sends for one turn.
  private mutating func carry(_ desk: inout Desk) -> Ending? {
    if let fault = self.stream.flush(&desk.scratch) { return .broken(fault.reason) }
    if let ending = self.receive(&desk) { return ending }
    return self.phase == .open ? self.send(&desk) : nil
  }

  private mutating func receive(_ desk: inout Desk) -> Ending? {
    for _ in 0..<Self.callsPerTurnMax where self.stream.isReadable {
      desk.scratch.inbound.clear()
      let received = self.stream.receive(&desk.scratch)
      if case .failed(let fault) = received { return .broken(fault.reason) }
      if let ending = self.take(&desk) { return ending }
      if received == .ended {
        let isFinished = self.phase == .closing && self.hasReceivedClose
        return isFinished ? .finished : .broken("the peer closed")
      }
    }
    if self.stream.isReadable { self.waitForTurn(&desk) }
    return nil
  }

  /// Takes what stands in the inbound buffer.
  private mutating func take(_ desk: inout Desk) -> Ending? {
    if self.phase == .upgrading, let ending = self.takeHead(&desk) { return ending }
    return self.phase == .upgrading ? nil : self.takeFrames(&desk)
  }

  private mutating func takeHead(_ desk: inout Desk) -> Ending? {
    do {
      let outcome = try self.reader.receive(desk.scratch.inbound.octets)
      guard case .head(let head, let consumed) = outcome else { return nil }
      guard head.status == 101 else { return .broken("answered \(head.status) \(head.reason)") }
      let asked = try UpgradeRequest.parse(self.request)
      _ = try UpgradeResponse.verify(head, answering: asked)
      desk.scratch.inbound.consume(consumed)
    } catch {
      return .broken("upgrade: \(error)")
    }
    self.phase = .open
    desk.tally.opened()
    // The others begin together, once all are open: what is under load accepts late.
    if desk.plan.work == .churn { self.owedCount = 1 }
    return nil
  }

  mutating func waitForTurn(_ desk: inout Desk) {
    guard !self.stream.waitsForTurn else { return }
    self.stream.waitsForTurn = true
    desk.unfinished.append(self.token)
  }

  /// Begins the closing handshake (RFC 6455 §7.1.2).
  mutating func beginClosing(_ desk: inout Desk) -> Ending? {
    self.phase = .closing
    let code = CloseCode.normalClosure.rawValue
    let payload = [UInt8(code >> 8), UInt8(truncatingIfNeeded: code)]
    let mask = desk.nextMask()
    desk.composer.write(.close, payload, mask: mask, into: &desk.scratch.outbound)
    return self.stream.sendOutbound(&desk.scratch).map { .broken($0.reason) }
  }
}
