internal import Admission
internal import Configuration
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
  var chance = SplitMix(seed: .random(in: .min ... .max))
  /// Whether no new tunnel is admitted any more.
  var isDraining = false
  /// When a tunnel that begins while the worker drains is closed.
  var drainsUntil = Deadline.never
  let snapshot: Snapshot
  let commons: Commons
  let mailbox: Mailbox<Message>
  /// What each route's tunnels carried here, in the order of the snapshot's routes.
  let meters: [TrafficMeter]
  /// Octets that may wait here for slow peers.
  private let queuedByteCountMax: Int

  init(
    _ snapshot: Snapshot, _ commons: Commons, _ mailbox: Mailbox<Message>, _ meters: [TrafficMeter],
    _ share: WorkerShare
  ) throws {
    let loop = try EventLoop()
    let scratch = try Scratch(pipeCountMax: share.pipeCountMax)
    self.meters = meters
    self.queuedByteCountMax = share.queuedByteCountMax
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

extension Workbench {
  /// Octets of memory that wait for slow peers.
  private var queuedByteCount: Int { self.scratch.pool.takenCount * ChunkPool.chunkByteCount }

  /// Whether more waits for slow peers than may.
  var isOverBudget: Bool { self.queuedByteCount > self.queuedByteCountMax }

  /// Whether there is room for those that are here, but not for more: newcomers are refused before
  /// anybody is shed.
  var isNearBudget: Bool { self.queuedByteCount > self.queuedByteCountMax / 8 * 7 }

  /// Whether shedding has made enough room, and some to spare.
  var hasShedEnough: Bool { self.queuedByteCount <= self.queuedByteCountMax / 4 * 3 }
}

/// One worker's part of what the process has.
struct WorkerShare {
  /// Pipes that it may have.
  let pipeCountMax: Int
  /// Octets that may wait on it for slow peers.
  let queuedByteCountMax: Int

  init(of configuration: Configuration, workerCount: Int, descriptorLimit: Int) {
    let pipeDescriptorCount = descriptorLimit / Limits.pipeDescriptorsDivisor
    self.pipeCountMax = min(Limits.pipeCountMax, pipeDescriptorCount / (2 * workerCount))
    self.queuedByteCountMax = max(
      configuration.limits.queuedByteCountMax / workerCount, Limits.queuedByteCountMin)
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
