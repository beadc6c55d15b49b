internal import Admission
internal import Configuration
internal import Logging
internal import Net
public import Signaling
internal import Synchronization
internal import Telemetry
internal import Transport
internal import Tunnel
internal import Upstream

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
  /// Whether the worker is about to end, and how.
  var departure = Departure.none
  /// The configuration that holds for who comes now.
  private(set) var snapshot: Snapshot
  let commons: Commons
  let mailbox: Mailbox<Message>
  /// Connections to servers that outlive requests.
  var servers = ServerPool()
  /// HTTP/2 connections that were read, until their streams have heard of it.
  var readCarriers: [Int] = []
  /// Streams whose connection was lost.
  var lostStreams: [Token] = []
  /// The rooms that live here, and what passes between them and connections.
  var rooms: RoomTable
  var traffic: RoomTraffic
  private let share: WorkerShare
  /// What this worker counts beside the traffic of its tunnels.
  let meter: WorkerMeter
  /// Octets that may wait here for slow peers.
  private var queuedByteCountMax: Int

  init(
    _ snapshot: Snapshot, _ commons: Commons, _ mailbox: Mailbox<Message>, _ share: WorkerShare,
    _ meter: WorkerMeter
  ) throws {
    let loop = try EventLoop()
    let scratch = try Scratch(pipeCountMax: share.pipeCountMax)
    self.share = share
    self.meter = meter
    self.queuedByteCountMax = share.queuedByteCountMax(of: snapshot.limits)
    self.loop = loop
    self.scratch = scratch
    self.wheel = TimerWheel(now: .now())
    self.snapshot = snapshot
    self.commons = commons
    self.mailbox = mailbox
    self.rooms = RoomTable(secret: commons.secret)
    self.traffic = RoomTraffic(workerCount: share.workerCount)
  }

  /// A new configuration holds from now on.
  mutating func adopt(_ snapshot: Snapshot) {
    self.snapshot = snapshot
    self.queuedByteCountMax = self.share.queuedByteCountMax(of: snapshot.limits)
    self.rooms.adopt(snapshot, worker: self.share.index)
  }

  /// When so many seconds have gone by since 1970; `nil` stands for never.
  func deadline(ofExpiry second: Int64?) -> Deadline {
    guard let second else { return .never }
    return self.now.advanced(by: WallClock.now().duration(until: second))
  }

  /// How many workers there are.
  var workerCount: Int { self.share.workerCount }

  /// The worker's number, from 0.
  var index: Int { self.share.index }

  /// A turn of the loop is over, which began at ``now``.
  func noteTurn(until end: Deadline) {
    self.meter.queuedByteCount.set(to: UInt64(self.queuedByteCount))
    self.meter.turned(
      nanoseconds: end.nanoseconds(since: self.now), at: end.nanoseconds)
  }

  /// A client was told that its tunnel begins.
  func noteUpgrade(_ exchange: Exchange) {
    exchange.forgetHead()
    self.meter.upgradeLatency.record(since: exchange.arrival.acceptedAt, at: .now())
    self.meter.answers.raise(
      WorkerMeter.Answer(route: exchange.route?.rules.name, status: 101, error: nil))
  }

  /// What a route's tunnels carry on this worker.
  func meter(of route: Route) -> TrafficMeter { route.meters[self.share.index] }

  /// Sets the one deadline of a connection's present phase.
  mutating func arm(_ token: Token, after timeout: Duration) {
    self.wheel.arm(Int(token.slot), at: self.now.advanced(by: timeout))
  }
}

extension Workbench {
  /// The first phase of a client whose address is known.
  mutating func greet(_ downstream: consuming ByteStream, _ arrival: Arrival) -> Connection {
    arrival.listener.tls == nil
      ? .readingHead(Owned(ReadingHead(downstream, arrival, &self)))
      : .handshaking(Owned(Handshaking(downstream, arrival)))
  }

  /// Connections to servers were closed that nobody needed.
  func noteClosedServers(_ count: Int) {
    for _ in 0..<count { self.commons.occupancy.upstreamEnded() }
  }
}

extension Workbench {
  /// Octets of memory that wait for slow peers.
  fileprivate var queuedByteCount: Int {
    self.scratch.pool.takenCount * ChunkPool.chunkByteCount + self.scratch.keptByteCount
  }

  /// Whether more waits for slow peers than may.
  var isOverBudget: Bool { self.queuedByteCount > self.queuedByteCountMax }

  /// Whether there is room for those that are here, but not for more: newcomers are refused before
  /// anybody is shed.
  var isNearBudget: Bool { self.queuedByteCount > self.queuedByteCountMax / 8 * 7 }

  /// Whether shedding has made enough room, and some to spare.
  var hasShedEnough: Bool { self.queuedByteCount <= self.queuedByteCountMax / 4 * 3 }
}

/// How a worker comes to its end: its tunnels are closed one after the other, and what is left at
/// last is cut.
enum Departure {
  /// It does not.
  case none
  /// The process stops: who asks is told to go elsewhere. Tunnels are closed until then.
  case stopping(until: Deadline)
  /// Another process accepts already: who was accepted here is served. Tunnels are closed until then.
  case givingWay(until: Deadline)

  /// Whether who asks is refused.
  var refusesRequests: Bool { if case .stopping = self { true } else { false } }

  /// When the last of the tunnels is closed; `nil` where they need not be.
  var closesUntil: Deadline? {
    switch self {
    case .none: nil
    case .stopping(let until), .givingWay(let until): until
    }
  }
}

/// One worker's part of what the process has.
struct WorkerShare: Sendable {
  /// Its number among the workers, from 0.
  let index: Int
  let workerCount: Int
  /// Pipes that it may have.
  let pipeCountMax: Int

  /// Pipes of each of so many workers.
  static func pipeCountMax(_ workerCount: Int, _ descriptorLimit: Int) -> Int {
    let pipeDescriptorCount = descriptorLimit / Limits.pipeDescriptorsDivisor
    return min(Limits.pipeCountMax, pipeDescriptorCount / (2 * workerCount))
  }

  /// Octets that may wait on it for slow peers.
  func queuedByteCountMax(of limits: Configuration.Limits) -> Int {
    max(limits.queuedByteCountMax / self.workerCount, Limits.queuedByteCountMin)
  }
}

/// What all workers share. Each part says how it is kept safe.
final class Commons: Sendable {
  let occupancy: Occupancy
  let quotas: ClientQuotas
  /// Makes and reads the cookies that lead clients back to their servers.
  let signer: StickySigner
  /// What peers' places are named with, the same in processes that follow each other.
  let secret: [UInt8]
  /// In which rooms each client is.
  let clientRooms = ClientRooms()
  /// Takes note of who comes and goes, by the route's name. Must not block.
  let observeRooms: RoomObserver
  /// All workers', by their numbers.
  let mailboxes: [Mailbox<Message>]
  private let presentLog: Mutex<Logger>

  init(
    occupancy: Occupancy, secret: [UInt8], mailboxes: [Mailbox<Message>],
    observeRooms: @escaping RoomObserver, log: Logger
  ) {
    self.occupancy = occupancy
    self.secret = secret
    self.signer = StickySigner(secret: secret)
    self.quotas = ClientQuotas()
    self.mailboxes = mailboxes
    self.observeRooms = observeRooms
    self.presentLog = Mutex(log)
  }

  /// For those that have no snapshot: the present one's logger.
  var log: Logger { self.presentLog.withLock { $0 } }

  func adopt(_ log: Logger) { self.presentLog.withLock { $0 = log } }
}

/// Takes note of what happens in the rooms of a route, which it is told by name. Called by workers: it
/// must not block.
public typealias RoomObserver = @Sendable (_ route: String, RoomNotice) -> Void

/// What was found out about a request on another thread.
enum Judgement: Sendable {
  /// A verifier's verdict on its token.
  case token(Verdict)
  /// The answer of the service that was asked about it.
  case forward(Result<WebResponse, WebFault>)
}

/// What other threads tell a worker.
enum Message: Sendable {
  /// The request of a connection that waits for it was judged.
  case judged(Token, Judgement)
  /// Accept nobody any more, let tunnels live for so long, then cut them.
  case drain(grace: Duration)
  /// The same, where another process accepts from the same sockets.
  case giveWay(grace: Duration)
  /// List tunnels.
  case list(TunnelFilter, TunnelOrder, limit: Int, Reply<Edge.Tunnels>)
  /// Close this tunnel; whether it was there.
  case closeOne(Token, Cause, Reply<Bool>)
  /// Close these tunnels; how many there were.
  case closeAll(TunnelFilter, Cause, Reply<Int>)
  /// This server was declared dead, and its tunnels are to be closed.
  case serverDied(Endpoint)
  /// What another worker has about rooms and their peers.
  case rooms([RoomMail])
  /// List rooms of a route, or of all.
  case listRooms(route: String?, Reply<[Edge.ListedRoom]>)
  /// List a room's peers.
  case listPeers(RoomAddress, Reply<[PeerListing]>)
  /// Remove a peer from its room; whether it was there.
  case kick(PeerID, RoomAddress, reason: String, ban: Duration?, Reply<Bool>)
  /// End a room; how many peers it had.
  case closeRoom(RoomAddress, words: String, Reply<Int>)
  /// Another configuration holds, and these are the listeners from now on.
  case adopt(Snapshot, [Listener])
}
