import Net
import Transport
import WebSocket

/// What the generator lends to the HTTP/2 connection whose turn it is.
struct StreamsDesk: ~Copyable {
  let plan: StreamsPlan
  var now = Deadline.now()
  var loop: EventLoop
  var scratch: Scratch
  /// Content of one stream that has just come.
  var content = Buffer(capacity: Scratch.inboundByteCount)
  /// A message on its way to its stream, as a frame.
  var message: Buffer
  var composer = Composer()
  var tally = Tally()
  var stage = Stage.opening
  /// When measuring began.
  var measuredFrom = Deadline.never
  /// Connections that have more to do than one turn allows.
  var unfinished: [Token] = []
  /// Masks: RFC 6455 §5.3 wants them unpredictable; a benchmark wants them cheap.
  private var chance = SplitMix(seed: .random(in: .min ... .max))

  init(_ plan: StreamsPlan, messageByteCountMax: Int) throws {
    let loop = try EventLoop()
    let scratch = try Scratch()
    self.plan = plan
    self.loop = loop
    self.scratch = scratch
    self.message = Buffer(capacity: FrameHeader.byteCountMax + messageByteCountMax)
  }

  /// Writes a message as a frame into ``message``, which must be empty.
  mutating func compose(_ message: Message) {
    let mask = Mask(key: UInt32(truncatingIfNeeded: self.chance.next()))
    var draft = Composer.Draft(message, mask: mask)
    self.composer.write(&draft, into: &self.message)
  }

  /// Notes the echo of a message that was sent at `start`.
  mutating func echoed(byteCount: Int, since start: Deadline) {
    guard self.stage == .measuring else { return }
    self.tally.completed(byteCount: byteCount)
    self.tally.waited(self.now.duration(since: start))
  }
}
