internal import Admission
public import Configuration
public import Logging
public import Net
internal import Synchronization
internal import TLS
internal import Telemetry
internal import Transport
internal import Upstream

/// Why an edge cannot start.
public struct EdgeError: Error, CustomStringConvertible, Sendable {
  /// One sentence that names the listener, where one is at fault.
  public let description: String
}

/// The data plane: listeners, workers and the resolver of one process.
///
///     let edge = try Edge(configuration, log: logger)
///     …
///     edge.drain()             // on SIGTERM
///     edge.waitUntilDone()
public final class Edge: Sendable {
  /// Where it listens, in the order of the configuration, with real port numbers.
  public let addresses: [SocketAddress]

  private let configuration: Configuration
  private let workers: [(mailbox: Mailbox<Message>, thread: Thread)]
  private let resolver: Resolver
  private let log: Logger
  /// For each worker, what each route's tunnels carried on it.
  private let meters: [[TrafficMeter]]

  /// How long the start waits for the first addresses of upstream names.
  private static let firstAnswersTimeout = Duration.seconds(2)

  /// Binds all listeners and begins to serve.
  ///
  /// - Throws: which listener cannot be bound, or what the system lacks.
  public init(_ configuration: Configuration, log: Logger) throws {
    let descriptorLimit = ProcessLimits.raiseDescriptorLimit()
    self.configuration = configuration
    self.log = log
    let snapshot = Snapshot(configuration)
    let workerCount = configuration.workers ?? ProcessLimits.processorCount
    let listeners = try Self.bind(configuration.listeners, workerCount)
    self.addresses = listeners.first?.map { $0.socket.address } ?? []
    self.resolver = try Resolver(for: snapshot.groups) { Self.note($0, $1, log) }
    self.resolver.waitForFirstAnswers(timeout: Self.firstAnswersTimeout)
    let share = WorkerShare(
      of: configuration, workerCount: workerCount, descriptorLimit: descriptorLimit)
    let meters = (0..<workerCount).map { _ in snapshot.routes.map { _ in TrafficMeter() } }
    self.meters = meters
    let mailboxes = try (0..<workerCount).map { _ in try Mailbox<Message>() }
    let commons = Commons(
      occupancy: Occupancy(
        connectionCountMax: configuration.limits.connections, descriptorLimit: descriptorLimit,
        // Each worker is about to open its epoll instance, and pipes in time.
        openDescriptorCount: ProcessLimits.openDescriptorCount()
          + workerCount * (1 + 2 * share.pipeCountMax)),
      quotas: ClientQuotas(), log: log, access: AccessLog(log, isOn: configuration.log.access))
    let starts = try (0..<workerCount).map { _ in try WorkerStart() }
    self.workers = try (0..<workerCount).map { index in
      let (mailbox, row, start) = (mailboxes[index], listeners[index], starts[index])
      let thread = try Thread.start(name: "worker-\(index)") {
        Self.serve(row, start) {
          try Workbench(snapshot, commons, mailbox, meters[index], share)
        }
      }
      return (mailbox, thread)
    }
    for start in starts { try start.wait() }
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

  /// Ends accepting at once and lets tunnels live for the configured grace.
  public func drain() {
    for worker in self.workers {
      worker.mailbox.post(.drain(grace: self.configuration.shutdownGrace))
    }
    self.resolver.stop()
  }

  /// Blocks until every worker has ended, which follows ``drain()``, then logs what each route
  /// carried. Once only.
  public func waitUntilDone() {
    for worker in self.workers { worker.thread.join() }
    for (index, route) in self.configuration.routes.enumerated() {
      let meters = self.meters.map { $0[index] }
      guard meters.contains(where: { !$0.endCounts.isEmpty }) else { continue }
      self.log.info("traffic", metadata: TrafficMeter.metadata(route: route.name, meters))
    }
  }

  /// Every worker's end of every listener. The first worker's decide on the port where 0 is asked
  /// for; a unix socket is bound once and shared.
  private static func bind(
    _ rules: [ListenerRules], _ workerCount: Int
  ) throws(EdgeError) -> [[Listener]] {
    var rows: [[Listener]] = []
    for worker in 0..<workerCount {
      var row: [Listener] = []
      for (index, listener) in rules.enumerated() {
        let first = worker == 0 ? nil : rows[0][index].socket
        row.append(Listener(try Self.bind(listener.address, first), tls: listener.tls))
      }
      rows.append(row)
    }
    return rows
  }

  private static func bind(
    _ address: SocketAddress, _ first: ListeningSocket?
  ) throws(EdgeError) -> ListeningSocket {
    do throws(Errno) {
      if let first, case .unix = address { return try ListeningSocket(sharing: first) }
      if first == nil { try ListeningSocket.requireFree(address) }
      return try ListeningSocket(binding: first?.address ?? address)
    } catch {
      throw EdgeError(description: "cannot listen on \(address): \(error)")
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
