import Net
import Transport
import WebSocket

/// What the generator lends to the peer whose turn it is.
struct RoomsDesk: ~Copyable {
  let plan: RoomsPlan
  let words: RoomsWords
  var now = Deadline.now()
  var loop: EventLoop
  var wheel: TimerWheel
  var scratch: Scratch
  var composer = Composer()
  var tally: RoomsTally
  var stage = Stage.opening
  /// When signals or joins are due; from the warm-up on.
  var schedule: Schedule?
  /// The time in which they count.
  var window = Desk.Window()
  /// What the server calls each peer; empty before its `welcome`.
  var names: [[UInt8]]
  /// Who sends to whom: the same in every run.
  var chance = SplitMix(seed: 0x51_1CE)
  /// Masks: RFC 6455 §5.3 wants them unpredictable; a benchmark wants them cheap.
  private var masks = SplitMix(seed: .random(in: .min ... .max))
  private var text: [UInt8] = []

  init(_ plan: RoomsPlan) throws {
    let loop = try EventLoop()
    let scratch = try Scratch()
    self.plan = plan
    self.words = RoomsWords(dataByteCount: plan.dataByteCount)
    self.loop = loop
    self.scratch = scratch
    self.wheel = TimerWheel(now: .now())
    self.tally = RoomsTally(wantsAcks: plan.wantsAcks)
    self.names = Array(repeating: [], count: plan.peerCount)
  }

  mutating func nextKey() -> String {
    upgradeKey(high: self.masks.next(), low: self.masks.next())
  }

  /// Puts a signal of a peer to one of its mates into the outbound buffer, where there must be room.
  mutating func composeSignal(from index: Int, due: Deadline) {
    let mate = self.plan.mate(ofPeer: index, &self.chance)
    self.begun(due: due)
    self.text.removeAll(keepingCapacity: true)
    self.words.write(
      .init(due: due.nanoseconds, receiver: UInt32(mate)), to: self.names[mate],
      id: self.plan.wantsAcks ? self.tally.sentCount : nil, into: &self.text)
    self.compose(.text, self.text)
  }

  mutating func compose(_ opcode: Opcode, _ payload: [UInt8]) {
    let mask = Mask(key: UInt32(truncatingIfNeeded: self.masks.next()))
    self.composer.write(opcode, payload, mask: mask, into: &self.scratch.outbound)
  }

  /// A signal is sent, or a peer is on its way, that was due at `due`.
  mutating func begun(due: Deadline) {
    self.tally.begun(after: self.counts(due) ? self.now.duration(since: due) : nil)
  }

  /// A signal has arrived, or a peer has been welcomed, that was due at `due`.
  mutating func completed(due: Deadline) {
    self.tally.completed(
      after: self.counts(due) ? self.now.duration(since: due) : nil,
      isMeasured: self.stage == .measuring)
  }

  /// Whether what was due then belongs to the part that is measured.
  private func counts(_ due: Deadline) -> Bool {
    due >= self.window.start && due < self.window.end
  }
}
