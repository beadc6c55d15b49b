internal import Logging
internal import Net
internal import Transport
internal import Upstream

/// Asks the servers of all groups whether they are well, from a thread of its own.
final class Prober: Sendable {
  /// What the prober tells of.
  typealias Observe = @Sendable (_ group: Group, _ endpoint: Endpoint, Health.Change) -> Void

  private enum Order: Sendable {
    case serve([Group])
    case stop
  }

  private let mailbox: Mailbox<Order>

  private static let mailboxToken = Token(slot: 0, generation: 0)

  /// Starts without a group.
  ///
  /// - Parameters:
  ///   - observe: called when a server is declared dead, or well again.
  ///   - failed: called where there is nothing to probe with.
  init(
    observe: @escaping Observe, failed: @escaping @Sendable (_ reason: String) -> Void
  ) throws {
    let mailbox = try Mailbox<Order>()
    self.mailbox = mailbox
    try Thread.start(name: "probes") {
      do {
        var rounds = try ProbeRounds(observe)
        try rounds.loop.add(mailbox, as: Self.mailboxToken)
        while Self.isServing(&rounds, mailbox) {}
        rounds.end()
      } catch {
        failed("\(error)")
      }
    }.detach()
  }

  /// One turn; whether another one follows.
  private static func isServing(
    _ rounds: inout ProbeRounds, _ mailbox: Mailbox<Order>
  ) -> Bool {
    guard rounds.turn(ignoring: Self.mailboxToken) else { return true }
    for order in mailbox.take() {
      switch order {
      case .serve(let groups): rounds.serve(groups)
      case .stop: return false
      }
    }
    return true
  }

  /// Asks the servers of these groups from now on, and no others.
  func serve(_ groups: [Group]) { self.mailbox.post(.serve(groups)) }

  /// Ends the thread.
  func stop() { self.mailbox.post(.stop) }
}

/// The questions under way, and when the next ones are due.
private struct ProbeRounds: ~Copyable {
  /// An endpoint that is asked again and again.
  private struct Target {
    let group: Group
    let endpoint: Endpoint
    let rules: HealthRules
    var dueAt: Deadline
    var isAsked = false
  }

  var loop: EventLoop
  private var scratch: Scratch
  private var probes = Slab<Probe>(slotCountMax: 1 << 16)
  private var groups: [Group] = []
  private var targets: [Target] = []
  private let observe: Prober.Observe

  /// How often the groups are asked for endpoints that have come or gone: names move.
  private static let refreshInterval = Duration.seconds(1)

  init(_ observe: @escaping Prober.Observe) throws {
    let loop = try EventLoop()
    self.scratch = try Scratch()
    self.loop = loop
    self.observe = observe
  }

  mutating func serve(_ groups: [Group]) {
    self.groups = groups.filter { $0.rules.healthCheck != nil }
    self.refresh()
  }

  mutating func end() {
    for slot in 0..<self.probes.slotCount where self.probes.isLive(slot) {
      self.probes.remove(slot).close(&self.scratch)
    }
  }

  /// Waits for what is next and does it; whether the mailbox has something.
  mutating func turn(ignoring mailboxToken: Token) -> Bool {
    let count = self.loop.wait(until: self.nextWake(), now: .now())
    var hasMail = false
    for index in 0..<count {
      let event = self.loop[index]
      if event.token == mailboxToken {
        hasMail = true
      } else if let slot = self.probes.liveSlot(for: event.token) {
        if let result = self.probes[slot].handle(event, &self.scratch) { self.finish(slot, result) }
      }
    }
    self.giveUp()
    self.refresh()
    self.ask()
    return hasMail
  }

  private func nextWake() -> Deadline {
    guard !self.groups.isEmpty else { return .never }
    var next = Deadline.now().advanced(by: Self.refreshInterval)
    for target in self.targets where !target.isAsked { next = min(next, target.dueAt) }
    for slot in 0..<self.probes.slotCount where self.probes.isLive(slot) {
      next = min(next, self.probes[slot].deadline)
    }
    return next
  }

  /// Endpoints that are new are asked soon; those that stay keep their turn.
  private mutating func refresh() {
    let now = Deadline.now()
    var targets: [Target] = []
    for group in self.groups {
      guard let rules = group.rules.healthCheck else { continue }
      for endpoint in group.listing().flatMap(\.endpoints) {
        let known = self.targets.first { $0.endpoint === endpoint }
        // Not all at once: servers come in crowds.
        let first = now.advanced(by: min(rules.interval, .milliseconds(500)) * .random(in: 0..<1))
        targets.append(
          Target(
            group: group, endpoint: endpoint, rules: rules,
            dueAt: min(known?.dueAt ?? first, now.advanced(by: rules.interval)),
            isAsked: known?.isAsked ?? false))
      }
    }
    self.targets = targets
  }

  private mutating func ask() {
    let now = Deadline.now()
    for index in self.targets.indices where !self.targets[index].isAsked {
      guard self.targets[index].dueAt <= now, let token = self.probes.nextToken() else { continue }
      let target = self.targets[index]
      // A tenth of chance, so that edges that began together do not ask together for ever.
      let jitter = Double.random(in: 0.95..<1.05)
      self.targets[index].dueAt = now.advanced(by: target.rules.interval * jitter)
      self.targets[index].isAsked = true
      do throws(StreamFault) {
        let probe = try Probe(
          target.endpoint, target.rules, target.group.rules, as: token, self.loop, &self.scratch)
        self.probes.insert(probe, as: token)
      } catch {
        self.note(target.endpoint, Probe.Result(isGood: false, detail: error.reason))
      }
    }
  }

  /// Ends those that have had no answer in time.
  private mutating func giveUp() {
    let now = Deadline.now()
    for slot in 0..<self.probes.slotCount where self.probes.isLive(slot) {
      guard self.probes[slot].deadline <= now else { continue }
      self.finish(slot, Probe.Result(isGood: false, detail: "timed out"))
    }
  }

  private mutating func finish(_ slot: Int, _ result: Probe.Result) {
    let endpoint = self.probes[slot].endpoint
    self.probes.remove(slot).close(&self.scratch)
    self.note(endpoint, result)
  }

  private mutating func note(_ endpoint: Endpoint, _ result: Probe.Result) {
    // One whose group has gone meanwhile is nobody's concern.
    guard let index = self.targets.firstIndex(where: { $0.endpoint === endpoint }) else { return }
    self.targets[index].isAsked = false
    let target = self.targets[index]
    guard
      let change = endpoint.noteProbe(
        result.isGood, detail: result.detail, rules: target.rules, now: .now())
    else { return }
    self.observe(target.group, endpoint, change)
  }
}
