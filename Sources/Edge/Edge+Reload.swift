internal import Admission
public import Configuration
internal import Logging
public import Net
internal import Synchronization
internal import Telemetry
internal import Upstream

/// A new configuration, and a new process.
extension Edge {
  /// Takes a new configuration in the place of the present one. Tunnels whose routes still lead to
  /// their servers are not touched, whatever else has changed; the others are closed one after the
  /// other, over the new configuration's `drain_over`.
  ///
  /// To be called by one thread at a time; it may wait for the addresses of new names.
  ///
  /// - Returns: what has changed.
  /// - Throws: why it cannot be taken; then nothing has changed.
  @discardableResult
  public func adopt(_ configuration: Configuration) throws(EdgeError) -> Changes {
    let (before, isDraining) = self.state.withLock { ($0, $0.isDraining) }
    guard !isDraining else { throw EdgeError(description: "the edge is about to stop") }
    let listeners = try ListenerTable(
      configuration.listeners, workerCount: self.workers.count, inheriting: before.listeners)
    let snapshot = Snapshot(
      configuration, groups: before.snapshot.groups,
      routes: before.snapshot.routes + before.retired, workerCount: self.workers.count,
      log: self.makeLogger(configuration.log))
    try self.resolve(snapshot)
    self.state.withLock { state in
      state.configuration = configuration
      state.snapshot = snapshot
      state.listeners = listeners
      state.retire(before.snapshot.routes)
    }
    self.prober.serve(snapshot.groups)
    self.commons.adopt(snapshot.log)
    self.commons.occupancy.setConnectionCountMax(configuration.limits.connections)
    for (index, worker) in self.workers.enumerated() {
      worker.mailbox.post(.adopt(snapshot, listeners.listeners(ofWorker: index)))
    }
    return Changes(from: before.configuration, to: configuration)
  }

  private func resolve(_ snapshot: Snapshot) throws(EdgeError) {
    do throws(Errno) {
      try self.resolver.serve(snapshot.groups)
    } catch {
      throw EdgeError(description: "names of servers cannot be resolved: \(error)")
    }
    self.resolver.waitForFirstAnswers(timeout: Self.firstAnswersTimeout)
  }

  /// The sockets that a new process is to serve in the place of this one.
  public var listeningSockets: [ListeningSocket] { self.state.withLock { $0.listeners.sockets } }

  /// A new process serves the listeners: accepts nothing more, answers who was accepted, and lets
  /// tunnels live for the configured grace.
  public func giveWay() {
    self.state.withLock { $0.listeners.ownPaths(false) }
    self.depart { .giveWay(grace: $0) }
  }

  /// The listeners are this process's alone: the one that handed them over has let go.
  public func ownListeners() { self.state.withLock { $0.listeners.ownPaths(true) } }
}

extension Edge.State {
  /// Keeps routes that are gone for as long as they have tunnels.
  mutating func retire(_ routes: [Route]) {
    let names = Set(self.snapshot.routes.map(\.rules.name))
    for route in routes where !names.contains(route.rules.name) { self.retired.append(route) }
    let log = self.snapshot.log
    self.retired.removeAll { route in
      if names.contains(route.rules.name) { return true }
      guard route.meters.allSatisfy({ $0.openCount == 0 }) else { return false }
      route.logTraffic(log)
      return true
    }
  }
}
