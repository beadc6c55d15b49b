import Net
import Transport
import WebSocket

extension Client {
  /// The longest text message that is expected: two numbers.
  private static let textByteCountMax = 64

  /// Takes the frames that stand in the inbound buffer.
  mutating func takeFrames(_ desk: inout Desk) -> Ending? {
    do throws(FrameViolation) {
      while true {
        switch try self.cutter.next(in: &desk.scratch.inbound) {
        case .needMore: return nil
        case .header(let header):
          try header.check(from: .server)
          self.begin(header)
        case .payload(let count, let endsFrame):
          self.takePayload(count, &desk)
          if endsFrame, let ending = self.endFrame(&desk) { return ending }
        }
      }
    } catch {
      return .broken(error.reason)
    }
  }

  private mutating func begin(_ header: FrameHeader) {
    self.inFrame = header
    switch header.opcode {
    case .binary: self.incoming = Incoming(message: self.expecting.next())
    case .text: self.text = []
    case .close: self.hasReceivedClose = true
    case .continuation, .ping, .pong: break
    }
  }

  private mutating func takePayload(_ count: Int, _ desk: inout Desk) {
    defer { desk.scratch.inbound.consume(count) }
    guard !self.inFrame.opcode.isControl else { return }
    if var incoming = self.incoming {
      let octets = desk.scratch.inbound.octets.extracting(0..<count)
      incoming.isSame =
        incoming.isSame
        && desk.composer.pattern.matches(octets, incoming.message, from: incoming.byteCount)
      incoming.byteCount += count
      self.incoming = incoming
    } else if self.text.count + count <= Self.textByteCountMax {
      for index in 0..<count { self.text.append(desk.scratch.inbound.octets[index]) }
    }
  }

  private mutating func endFrame(_ desk: inout Desk) -> Ending? {
    guard self.inFrame.isFinal, !self.inFrame.opcode.isControl else { return nil }
    guard let incoming = self.incoming.take() else { return self.checkCount(&desk) }
    guard incoming.isSame, incoming.byteCount == incoming.message.byteCount else {
      desk.tally.mismatched("message \(self.expecting.count) of connection \(self.index)")
      return .broken("a message came back changed")
    }
    return self.completed(incoming.message, &desk)
  }

  /// A message is back, or a source's has come.
  private mutating func completed(_ message: Message, _ desk: inout Desk) -> Ending? {
    if desk.plan.work == .churn { return self.beginClosing(&desk) }
    guard desk.plan.isEcho else {
      if desk.stage == .measuring { desk.tally.completed(byteCount: message.byteCount) }
      return nil
    }
    let start = desk.schedule?.intended(self.expecting.count - 1, ofConnection: self.index)
    desk.echoed(byteCount: message.byteCount, since: start ?? self.sentAt)
    if desk.schedule == nil { self.owedCount += 1 }
    return nil
  }

  /// The sink's answer: how many messages and octets it has read. It must be all.
  private func checkCount(_ desk: inout Desk) -> Ending? {
    guard desk.plan.isUpload, self.hasAsked else { return .broken("an unexpected text message") }
    let answer = String(decoding: self.text, as: UTF8.self)
    if answer != "\(self.sending.count)" {
      desk.tally.mismatched("the sink read \(answer) of \(self.sending.count) messages")
    }
    return .finished
  }
}
