internal import Admission
internal import Logging
internal import Net
internal import Telemetry
internal import Transport

/// What one worker lends to the connection whose turn it is. One owner, one thread, no lock.
struct Workbench: ~Copyable {
  /// The time at which the turn began.
  var now = Deadline.now()
  var loop: EventLoop
  var wheel: TimerWheel
  var scratch: Scratch
  /// Connections that have more to receive than one turn allows; they go on in the next.
  var unfinished: [Token] = []
  /// Chance for balancing, and the numbers of requests.
  var chance = Chance()
  /// Whether no new tunnel is admitted any more.
  var isDraining = false
  let snapshot: Snapshot
  let commons: Commons
  let mailbox: Mailbox<Message>

  init(_ snapshot: Snapshot, _ commons: Commons, _ mailbox: Mailbox<Message>) throws {
    let loop = try EventLoop()
    let scratch = try Scratch()
    self.loop = loop
    self.scratch = scratch
    self.wheel = TimerWheel(now: .now())
    self.snapshot = snapshot
    self.commons = commons
    self.mailbox = mailbox
  }

  /// Sets the one deadline of a connection's present phase.
  mutating func arm(_ token: Token, after timeout: Duration) {
    self.wheel.arm(Int(token.slot), at: self.now.advanced(by: timeout))
  }
}

/// What all workers share. Each part says how it is kept safe.
final class Commons: Sendable {
  let occupancy: Occupancy
  let quotas: ClientQuotas
  let log: Logger
  let access: AccessLog

  init(occupancy: Occupancy, quotas: ClientQuotas, log: Logger, access: AccessLog) {
    self.occupancy = occupancy
    self.quotas = quotas
    self.log = log
    self.access = access
  }
}

/// What other threads tell a worker.
enum Message: Sendable {
  /// A verifier has judged the token of a connection that waits for it.
  case verdict(Token, Verdict)
  /// Accept nobody any more, let tunnels live for so long, then cut them.
  case drain(grace: Duration)
}

/// A worker's own source of chance (SplitMix64): good enough to spread load and to name requests,
/// not for secrets. The kernel is asked once.
struct Chance: RandomNumberGenerator {
  private var state = UInt64.random(in: .min ... .max)

  mutating func next() -> UInt64 {
    self.state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = self.state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
