import Net
import Transport
import WebSocket

extension Client {
  /// What asks the sink for its count.
  static let question = Array("end".utf8)

  /// Sends for as long as the kernel takes it and there is something to send, but not beyond a
  /// turn's share.
  mutating func send(_ desk: inout Desk) -> Ending? {
    for _ in 0..<Self.callsPerTurnMax {
      guard self.stream.queuedByteCount == 0 else { return nil }
      self.compose(&desk)
      guard !desk.scratch.outbound.isEmpty else { return nil }
      if let fault = self.stream.sendOutbound(&desk.scratch) { return .broken(fault.reason) }
    }
    if self.stream.queuedByteCount == 0 { self.waitForTurn(&desk) }
    return nil
  }

  /// Fills the outbound buffer with messages that may be sent, as far as there are any.
  private mutating func compose(_ desk: inout Desk) {
    while desk.scratch.outbound.freeCount >= FrameHeader.byteCountMax, self.takeDraft(&desk) {
      guard var draft = self.draft.take() else { return }
      desk.composer.write(&draft, into: &desk.scratch.outbound)
      if draft.isDone {
        self.composed(draft.message, &desk)
      } else {
        self.draft = draft
      }
    }
    if desk.plan.isUpload, desk.stage == .draining, self.draft == nil, !self.hasAsked {
      self.ask(&desk)
    }
  }

  /// Whether there is a message of which something is still to be written.
  private mutating func takeDraft(_ desk: inout Desk) -> Bool {
    if self.draft != nil { return true }
    guard self.owedCount > 0, desk.stage < .draining || desk.schedule != nil else { return false }
    if !desk.plan.isUpload { self.owedCount -= 1 }
    self.draft = Composer.Draft(self.sending.next(), mask: desk.nextMask())
    self.sentAt = desk.now
    return true
  }

  private mutating func composed(_ message: Message, _ desk: inout Desk) {
    guard desk.plan.isUpload, desk.stage == .measuring else { return }
    desk.tally.completed(byteCount: message.byteCount)
  }

  private mutating func ask(_ desk: inout Desk) {
    guard desk.scratch.outbound.freeCount > FrameHeader.controlPayloadByteCountMax else { return }
    self.hasAsked = true
    let mask = desk.nextMask()
    desk.composer.write(.text, Self.question, mask: mask, into: &desk.scratch.outbound)
  }
}
