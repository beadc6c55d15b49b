import Net
import Transport
import WebSocket

/// What the generator lends to the client whose turn it is.
struct Desk: ~Copyable {
  let plan: Plan
  var now = Deadline.now()
  var loop: EventLoop
  var wheel: TimerWheel
  var scratch: Scratch
  var composer = Composer()
  var tally = Tally()
  var stage = Stage.opening
  /// When an open loop's messages are due; from the warm-up on.
  var schedule: Schedule?
  /// The time in which messages count.
  var window = Window()
  /// Clients that have more to do than one turn allows.
  var unfinished: [Token] = []
  /// Masks: RFC 6455 §5.3 wants them unpredictable; a benchmark wants them cheap.
  private var chance = SplitMix(seed: .random(in: .min ... .max))

  /// The part of the run that is measured.
  struct Window {
    var start = Deadline.never
    var end = Deadline.never
  }

  init(_ plan: Plan) throws {
    let loop = try EventLoop()
    let scratch = try Scratch()
    self.plan = plan
    self.loop = loop
    self.scratch = scratch
    self.wheel = TimerWheel(now: .now())
  }

  mutating func nextMask() -> Mask { Mask(key: UInt32(truncatingIfNeeded: self.chance.next())) }

  mutating func nextKey() -> String {
    upgradeKey(high: self.chance.next(), low: self.chance.next())
  }

  /// Notes the echo of a message that was sent, or meant to be sent, at `start`.
  mutating func echoed(byteCount: Int, since start: Deadline) {
    if self.stage == .measuring { self.tally.completed(byteCount: byteCount) }
    // An open loop answers for every message of the window, a closed one for those that ended
    // in it.
    let counts =
      self.schedule == nil
      ? self.stage == .measuring : start >= self.window.start && start < self.window.end
    if counts { self.tally.waited(self.now.duration(since: start)) }
  }
}
