internal import Admission
public import Configuration
public import Logging
public import Net
internal import Synchronization
internal import Telemetry
internal import Transport
internal import Upstream

/// Why an edge cannot start, or cannot take a new configuration.
public struct EdgeError: Error, CustomStringConvertible, Sendable {
  /// One sentence that names the listener, where one is at fault.
  public let description: String
}

/// The data plane: listeners, workers and the resolver of one process.
///
///     let edge = try Edge(configuration, log: makeLogger)
///     …
///     try edge.adopt(changed)  // on SIGHUP
///     edge.drain()             // on SIGTERM
///     edge.waitUntilDone()
public final class Edge: Sendable {
  /// Makes the logger that a configuration asks for.
  public typealias MakeLogger = @Sendable (LogRules) -> Logger

  /// What a reload replaces.
  struct State {
    var configuration: Configuration
    var snapshot: Snapshot
    var listeners: ListenerTable
    /// Routes of earlier configurations, whose tunnels may live.
    var retired: [Route] = []
    var isDraining = false
  }

  struct WorkerHandle: Sendable {
    let mailbox: Mailbox<Message>
    let thread: Thread
    let meter: WorkerMeter
  }

  let state: Mutex<State>
  let workers: [WorkerHandle]
  let resolver: Resolver
  let prober: Prober
  let commons: Commons
  let makeLogger: MakeLogger

  /// How long the start waits for the first addresses of upstream names.
  static let firstAnswersTimeout = Duration.seconds(2)

  /// Binds all listeners and begins to serve.
  ///
  /// - Parameters:
  ///   - inherited: sockets that the process was started with; those that the configuration names are
  ///     used, the others closed.
  ///   - secret: what sticky cookies are signed with. Cookies of an edge with another one are as good
  ///     as none.
  ///   - observeRooms: takes note of who comes and goes in rooms.
  ///   - makeLogger: called now and with each new configuration.
  /// - Throws: which listener cannot be bound, or what the system lacks.
  public init(
    _ configuration: Configuration, inherited: [ListeningSocket] = [], secret: [UInt8],
    observeRooms: @escaping RoomObserver = { _, _ in }, makeLogger: @escaping MakeLogger
  ) throws {
    let descriptorLimit = ProcessLimits.raiseDescriptorLimit()
    let log = makeLogger(configuration.log)
    let workerCount = configuration.workers ?? ProcessLimits.processorCount
    let snapshot = Snapshot(configuration, workerCount: workerCount, log: log)
    let table = try ListenerTable(
      configuration.listeners, workerCount: workerCount, inherited: inherited)
    self.makeLogger = makeLogger
    let pipeCountMax = WorkerShare.pipeCountMax(workerCount, descriptorLimit)
    let mailboxes = try (0..<workerCount).map { _ in try Mailbox<Message>() }
    let commons = Commons(
      occupancy: Occupancy(
        connectionCountMax: configuration.limits.connections, descriptorLimit: descriptorLimit,
        // Each worker is about to open its epoll instance, and pipes in time.
        openDescriptorCount: ProcessLimits.openDescriptorCount()
          + workerCount * (1 + 2 * pipeCountMax)),
      secret: secret, mailboxes: mailboxes, observeRooms: observeRooms, log: log)
    self.commons = commons
    self.resolver = Resolver { name, answer in Self.note(name, answer, commons.log) }
    try self.resolver.serve(snapshot.groups)
    self.resolver.waitForFirstAnswers(timeout: Self.firstAnswersTimeout)
    self.state = Mutex(State(configuration: configuration, snapshot: snapshot, listeners: table))
    let workers = try Self.start(snapshot, self.commons, table, workerCount, pipeCountMax)
    self.workers = workers
    self.prober = try Prober(
      observe: { group, endpoint, change in
        Self.note(group, endpoint, change, commons.log)
        guard case .becameUnhealthy = change, group.rules.healthCheck?.onUnhealthy == .close
        else { return }
        for worker in workers { worker.mailbox.post(.serverDied(endpoint)) }
      },
      failed: { reason in
        commons.log.error("servers cannot be probed", metadata: ["reason": "\(reason)"])
      })
    self.prober.serve(snapshot.groups)
  }

  private static func start(
    _ snapshot: Snapshot, _ commons: Commons, _ table: ListenerTable, _ workerCount: Int,
    _ pipeCountMax: Int
  ) throws -> [WorkerHandle] {
    let starts = try (0..<workerCount).map { _ in try WorkerStart() }
    let workers = try (0..<workerCount).map { index in
      let (mailbox, start) = (commons.mailboxes[index], starts[index])
      let listeners = table.listeners(ofWorker: index)
      let meter = WorkerMeter()
      let share = WorkerShare(index: index, workerCount: workerCount, pipeCountMax: pipeCountMax)
      let thread = try Thread.start(name: "worker-\(index)") {
        Self.serve(listeners, start) { try Workbench(snapshot, commons, mailbox, share, meter) }
      }
      return WorkerHandle(mailbox: mailbox, thread: thread, meter: meter)
    }
    for start in starts { try start.wait() }
    return workers
  }

  private static func serve(
    _ listeners: [Listener], _ start: WorkerStart, _ makeBench: () throws -> Workbench
  ) {
    do {
      var worker = try Worker(makeBench(), listeners)
      start.succeeded()
      worker.run()
    } catch {
      start.failed("a worker cannot start: \(error)")
    }
  }

  /// Where it listens, in the order of the configuration, with real port numbers.
  public var addresses: [SocketAddress] { self.state.withLock { $0.listeners.addresses } }

  /// What it runs with.
  public var configuration: Configuration { self.state.withLock { $0.configuration } }

  /// The present configuration's logger.
  public var log: Logger { self.commons.log }

  /// Ends accepting at once and lets tunnels live for the configured grace.
  public func drain() {
    self.depart { .drain(grace: $0) }
  }

  /// Tells all workers that the end begins, and ends what serves them.
  func depart(_ message: (_ grace: Duration) -> Message) {
    let grace = self.state.withLock { state in
      state.isDraining = true
      return state.configuration.shutdownGrace
    }
    for worker in self.workers { worker.mailbox.post(message(grace)) }
    self.resolver.stop()
    self.prober.stop()
  }

  /// Blocks until every worker has ended, which follows ``drain()``, then logs what each route
  /// carried. Once only.
  public func waitUntilDone() {
    for worker in self.workers { worker.thread.join() }
    let routes = self.state.withLock { $0.snapshot.routes + $0.retired }
    for route in routes { route.logTraffic(self.log) }
  }

  private static func note(
    _ group: Group, _ endpoint: Endpoint, _ change: Health.Change, _ log: Logger
  ) {
    var metadata: Logger.Metadata = [
      "upstream": "\(endpoint.label)", "group": "\(group.rules.name)",
    ]
    metadata["probe"] = endpoint.probeDetail.map { "\($0)" }
    switch change {
    case .becameUnhealthy: log.warning("server unhealthy", metadata: metadata)
    case .becameHealthy: log.notice("server healthy", metadata: metadata)
    case .ejected: log.warning("server ejected", metadata: metadata)
    case .readmitted: log.notice("server readmitted", metadata: metadata)
    }
  }

  private static func note(_ name: String, _ answer: Resolver.Answer, _ log: Logger) {
    switch answer {
    case .success(let found):
      let addresses = found.addresses.map(\.description).joined(separator: " ")
      log.info("resolved", metadata: ["name": "\(name)", "addresses": "\(addresses)"])
    case .failure(let fault):
      log.warning(
        "cannot resolve", metadata: ["name": "\(name)", "reason": "\(fault.reason)"])
    }
  }
}

extension Route {
  /// Writes what its tunnels carried, where there were any.
  func logTraffic(_ log: Logger) {
    guard self.meters.contains(where: { $0.ended.value > 0 }) else { return }
    log.info(
      "traffic", metadata: TrafficMeter.metadata(route: self.rules.name, self.meters))
  }
}

/// Whether a worker has come to its loop: an edge with fewer workers than it should have would only
/// look as if it were well.
private final class WorkerStart: Sendable {
  private let bell: Alarm
  private let fault = Mutex<String?>(nil)

  init() throws(Errno) { self.bell = try Alarm() }

  func succeeded() { self.bell.ring() }

  func failed(_ reason: String) {
    self.fault.withLock { $0 = reason }
    self.bell.ring()
  }

  /// Blocks until the worker has started, or throws why it has not.
  func wait() throws(EdgeError) {
    while !self.bell.wait(timeout: .seconds(60)) {}
    if let reason = self.fault.withLock({ $0 }) { throw EdgeError(description: reason) }
  }
}
