import Net
import WebSocket

/// One WebSocket of the load, on a stream of an HTTP/2 connection.
///
///     opening ──200──▶ open ──end, reset, wrong echo──▶ over
struct StreamsTunnel {
  enum Phase { case opening, open, over }

  /// Which WebSocket of the plan it is, from 0.
  let number: Int
  private(set) var phase = Phase.opening
  /// Whether the next message may be sent.
  private(set) var hasTurn = false
  private var cutter = FrameCutter()
  private var inFrame = FrameHeader(opcode: .binary, payloadByteCount: 0)
  /// Messages to send and, the same once more, to expect.
  private var sending: MessageSequence
  private var expecting: MessageSequence
  private var sentAt = Deadline.never
  /// The message that comes in.
  private var incoming: Client.Incoming?

  init(number: Int, sizes: MessageSizes) {
    self.number = number
    self.sending = MessageSequence(sizes, connection: number)
    self.expecting = self.sending
  }

  /// The server took it.
  mutating func open() { self.phase = .open }

  /// Nothing more is sent or expected.
  mutating func end() {
    self.phase = .over
    self.hasTurn = false
  }

  /// Lets the first message go.
  mutating func begin() { self.hasTurn = self.phase == .open }

  /// The next message, which is taken to be sent now.
  mutating func nextMessage(_ now: Deadline) -> Message {
    self.hasTurn = false
    self.sentAt = now
    return self.sending.next()
  }

  /// Whether a message has not come back that was sent before `start`.
  func hasStalled(since start: Deadline) -> Bool {
    self.phase == .open && self.sending.count > self.expecting.count && self.sentAt < start
  }
}

// MARK: - Receiving

extension StreamsTunnel {
  /// Takes the frames in the desk's content; why it cannot go on, if it cannot.
  mutating func take(_ desk: inout StreamsDesk) -> String? {
    do throws(FrameViolation) {
      while true {
        switch try self.cutter.next(in: &desk.content) {
        case .needMore: return nil
        case .header(let header):
          try header.check(from: .server)
          if let fault = self.begin(header) { return fault }
        case .payload(let count, let endsFrame):
          self.takePayload(count, &desk)
          if endsFrame, let fault = self.endFrame(&desk) { return fault }
        }
      }
    } catch {
      return error.reason
    }
  }

  private mutating func begin(_ header: FrameHeader) -> String? {
    self.inFrame = header
    switch header.opcode {
    case .binary: self.incoming = Client.Incoming(message: self.expecting.next())
    case .text: return "an unexpected text message"
    case .close: return "the server closed the WebSocket"
    case .continuation, .ping, .pong: break
    }
    return nil
  }

  private mutating func takePayload(_ count: Int, _ desk: inout StreamsDesk) {
    defer { desk.content.consume(count) }
    guard !self.inFrame.opcode.isControl, var incoming = self.incoming else { return }
    let octets = desk.content.octets.extracting(0..<count)
    incoming.isSame =
      incoming.isSame
      && desk.composer.pattern.matches(octets, incoming.message, from: incoming.byteCount)
    incoming.byteCount += count
    self.incoming = incoming
  }

  private mutating func endFrame(_ desk: inout StreamsDesk) -> String? {
    guard self.inFrame.isFinal, !self.inFrame.opcode.isControl,
      let incoming = self.incoming.take()
    else { return nil }
    guard incoming.isSame, incoming.byteCount == incoming.message.byteCount,
      self.expecting.count <= self.sending.count
    else {
      desk.tally.mismatched("message \(self.expecting.count) of WebSocket \(self.number)")
      return "a message came back changed"
    }
    desk.echoed(byteCount: incoming.byteCount, since: self.sentAt)
    self.hasTurn = true
    return nil
  }
}
