import HTTP
import Net
import Transport
import WebSocket

/// One connection of the backend.
struct BackendSession: ~Copyable {
  /// What is left to do after a turn.
  enum OnTurn { case waits, hasMore, isOver }

  /// Receives, and batches sent, in one turn.
  private static let callsPerTurnMax = 4

  private var stream: ByteStream
  private var reader = RequestReader(headByteCountMax: 16 * 1024, targetByteCountMax: 4096)
  /// `nil` until the upgrade.
  private var service: Service?
  private var cutter = FrameCutter()
  private var frame = FrameHeader(opcode: .binary, payloadByteCount: 0)
  /// The payload of a control frame, or of a text message to the sink.
  private var small: [UInt8] = []
  private var readCount: UInt64 = 0
  private var messages = MessageSequence(.fixed(0), connection: 0)
  private var draft: Composer.Draft?
  /// The closing handshake is done, or the peer has broken the protocol.
  private var isEnding = false

  init(_ stream: consuming ByteStream) { self.stream = stream }

  consuming func close(_ scratch: inout Scratch) { self.stream.close(&scratch) }

  mutating func advance(
    _ readiness: Readiness, _ scratch: inout Scratch, _ composer: inout Composer
  ) -> OnTurn {
    self.stream.note(readiness)
    guard self.stream.flush(&scratch) == nil, self.receive(&scratch, &composer),
      self.stream(&scratch, &composer)
    else { return .isOver }
    return self.wantsTurn() ? .hasMore : .waits
  }

  /// Whether the next turn need not wait for an event.
  private mutating func wantsTurn() -> Bool {
    let canReceive = self.stream.isReadable && !self.isHeldBack
    let canSend = self.isSource && self.stream.queuedByteCount == 0
    guard canReceive || canSend, !self.stream.waitsForTurn else { return false }
    self.stream.waitsForTurn = true
    return true
  }

  /// An echo that is not taken is not read on for: the queue would grow without end.
  private var isHeldBack: Bool { self.stream.queuedByteCount > 0 }

  /// Whether a source has something to send.
  private var isSource: Bool {
    guard case .source(_, let left)? = self.service, !self.isEnding else { return false }
    return left != 0 || self.draft != nil
  }

  /// Receives for one turn; whether the connection goes on.
  private mutating func receive(_ scratch: inout Scratch, _ composer: inout Composer) -> Bool {
    for _ in 0..<Self.callsPerTurnMax where self.stream.isReadable && !self.isHeldBack {
      scratch.inbound.clear()
      switch self.stream.receive(&scratch) {
      case .nothing: continue
      case .ended, .failed: return false
      case .octets: break
      }
      guard self.take(&scratch, &composer), self.stream.sendOutbound(&scratch) == nil else {
        return false
      }
      if self.isEnding, self.stream.end(&scratch) != nil { return false }
    }
    return true
  }

  private mutating func take(_ scratch: inout Scratch, _ composer: inout Composer) -> Bool {
    guard !self.isEnding else { return true }
    if self.service == nil, !self.takeHead(&scratch) { return false }
    guard self.service != nil else { return true }
    do throws(FrameViolation) {
      try self.takeFrames(&scratch, &composer)
      return true
    } catch {
      return false
    }
  }

  private mutating func takeHead(_ scratch: inout Scratch) -> Bool {
    do {
      let outcome = try self.reader.receive(scratch.inbound.octets)
      guard case .head(let head, let consumed) = outcome else { return true }
      let request = try UpgradeRequest.parse(head)
      guard let service = Service(head) else { return false }
      scratch.inbound.consume(consumed)
      self.begin(service)
      return self.stream.send(responseHead101(answering: request).serialized(), &scratch) == nil
    } catch {
      return false
    }
  }

  private mutating func begin(_ service: Service) {
    self.service = service
    if case .source(let byteCount, _) = service {
      self.messages = MessageSequence(.fixed(byteCount), connection: 0)
    }
  }
}

// MARK: - Frames

extension BackendSession {
  /// The longest text message that the sink looks at.
  private static let questionByteCountMax = 16

  private mutating func takeFrames(
    _ scratch: inout Scratch, _ composer: inout Composer
  ) throws(FrameViolation) {
    while !self.isEnding {
      switch try self.cutter.next(in: &scratch.inbound) {
      case .needMore: return
      case .header(let header):
        try header.check(from: .client)
        self.begin(header, &scratch, &composer)
      case .payload(let count, let endsFrame):
        self.takePayload(count, &scratch)
        if endsFrame { self.endFrame(&scratch, &composer) }
      }
    }
  }

  private var isEchoed: Bool { self.service == .echo && !self.frame.opcode.isControl }

  private mutating func begin(
    _ header: FrameHeader, _ scratch: inout Scratch, _ composer: inout Composer
  ) {
    self.frame = header
    self.small.removeAll(keepingCapacity: true)
    guard self.isEchoed else { return }
    self.makeRoom(FrameHeader.byteCountMax, &scratch)
    composer.writeHeader(
      header.opcode, Int(header.payloadByteCount), nil, isFinal: header.isFinal,
      into: &scratch.outbound)
  }

  private mutating func takePayload(_ count: Int, _ scratch: inout Scratch) {
    defer { scratch.inbound.consume(count) }
    let mask = Mask(key: self.frame.maskKey ?? 0)
    let offset = Int(self.frame.payloadByteCount) - self.cutter.left - count
    guard !self.isEchoed else {
      self.makeRoom(count, &scratch)
      return scratch.outbound.append(first: count, of: scratch.inbound, under: mask, at: offset)
    }
    guard self.frame.opcode != .binary, self.small.count + count <= 125 else { return }
    var octets: [UInt8] = []
    for index in 0..<count { octets.append(scratch.inbound.octets[index]) }
    var span = octets.mutableSpan
    mask.apply(to: &span, at: offset)
    self.small += octets
  }

  private mutating func endFrame(_ scratch: inout Scratch, _ composer: inout Composer) {
    switch self.frame.opcode {
    case .close:
      self.isEnding = true
      self.answer(.close, Array(self.small.prefix(2)), &scratch, &composer)
    case .ping: self.answer(.pong, self.small, &scratch, &composer)
    case .pong: break
    case .text where self.service == .sink && self.small == Client.question:
      self.answer(.text, Array("\(self.readCount)".utf8), &scratch, &composer)
    case .text, .binary, .continuation: if self.frame.isFinal { self.readCount += 1 }
    }
  }

  private mutating func answer(
    _ opcode: Opcode, _ payload: [UInt8], _ scratch: inout Scratch, _ composer: inout Composer
  ) {
    self.makeRoom(payload.count + FrameHeader.byteCountMax, &scratch)
    composer.write(opcode, payload, mask: nil, into: &scratch.outbound)
  }

  /// Sends what was composed where the buffer has no room for so much more. A fault shows again
  /// with the next receive.
  private mutating func makeRoom(_ byteCount: Int, _ scratch: inout Scratch) {
    guard scratch.outbound.freeCount < byteCount else { return }
    _ = self.stream.sendOutbound(&scratch)
  }
}

// MARK: - Source

extension BackendSession {
  /// Sends a source's messages for one turn; whether the connection goes on.
  private mutating func stream(_ scratch: inout Scratch, _ composer: inout Composer) -> Bool {
    for _ in 0..<Self.callsPerTurnMax where self.isSource && self.stream.queuedByteCount == 0 {
      while scratch.outbound.freeCount >= FrameHeader.byteCountMax, self.takeDraft() {
        guard var draft = self.draft.take() else { break }
        composer.write(&draft, into: &scratch.outbound)
        if !draft.isDone { self.draft = draft }
      }
      if self.stream.sendOutbound(&scratch) != nil { return false }
    }
    return true
  }

  private mutating func takeDraft() -> Bool {
    guard self.draft == nil else { return true }
    guard case .source(let byteCount, let left)? = self.service, left != 0 else { return false }
    self.draft = Composer.Draft(self.messages.next(), mask: nil)
    self.service = .source(byteCount: byteCount, left: left.map { $0 - 1 })
    return true
  }
}
