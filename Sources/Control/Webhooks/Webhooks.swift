public import Admission
public import Configuration
internal import HTTP
public import Logging
internal import Net
public import Signaling
internal import Synchronization

/// Tells receivers what happens in rooms, by POST: for each route in order, one request at a time, each
/// until it is taken. What is told how is in docs/admin.md.
///
///     worker ──note──▶ WebhookLine of the route ──▶ its task ──POST──▶ receiver
///                                 ▲                    └─ again, later, where that fails
///     Reloader ──adopt────────────┘
public final class Webhooks: Sendable {
  fileprivate struct State {
    /// By route. One that is gone is still told what its last peers do.
    var lines: [String: WebhookLine] = [:]
    var lastNumber: UInt64 = 0
    var log: Logger
    /// When the process ends, and what is rung when nothing is left to do before.
    var end: (at: Deadline, bell: Alarm)?
  }

  private let web: any WebFetching
  private let agent: String
  /// Tells the events of this process from those of all others.
  private let origin = String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)
  private let state: Mutex<State>

  /// Of a receiver's answer the status counts; a short one is read, so that the connection can be kept.
  private static let answerByteCountMax = 64 * 1024

  /// - Parameter version: of the program, which receivers are told.
  public init(
    _ configuration: Configuration, web: any WebFetching, version: String, log: Logger
  ) {
    self.web = web
    self.agent = "sluice/\(version)"
    self.state = Mutex(State(log: log))
    self.adopt(configuration, log)
  }

  /// Takes note of what happened. Called by workers: it waits for nothing but the lock, under which
  /// nothing waits.
  public func note(_ route: String, _ notice: RoomNotice) {
    let time = WallClock.now()
    let (begins, news) = self.state.withLock { state -> (Bool, WebhookLine.News?) in
      guard state.lines[route]?.rules != nil else { return (false, nil) }
      state.lastNumber = max(state.lastNumber + 1, time.microseconds)
      let event = WebhookEvent(
        id: "\(state.lastNumber)-\(self.origin)", time: time, notice: notice)
      return state.lines[route]?.add(event) ?? (false, nil)
    }
    if begins { Task.detached { await self.serve(route) } }
    if let news { self.tell(news, of: route) }
  }

  /// Tells what waits, once, and gives up what cannot be told by then. Blocks. To be called when nothing
  /// happens any more.
  public func finish(within timeout: Duration) {
    guard let bell = try? Alarm() else { return }
    let isBusy = self.state.withLock { state in
      state.end = (Deadline.now().advanced(by: timeout), bell)
      for route in state.lines.keys { state.lines[route]?.interrupt() }
      return state.isBusy
    }
    if isBusy { _ = bell.wait(timeout: timeout) }
    let (log, counts) = self.state.withLock { ($0.log, $0.lines.mapValues(\.queue.count)) }
    for (route, count) in counts where count > 0 {
      log.error(
        "webhook events are lost: the process ends",
        metadata: ["route": "\(route)", "events": "\(count)"])
    }
  }
}

extension Webhooks.State {
  fileprivate var isBusy: Bool { self.lines.values.contains(where: \.isServed) }
}

extension WallClock {
  /// Since 1970.
  fileprivate var microseconds: UInt64 {
    UInt64(clamping: self.seconds) * 1_000_000 + UInt64(clamping: self.nanoseconds / 1000)
  }
}

// MARK: - Reloads

extension Webhooks {
  /// Another configuration is about to hold: what it alone wants to be told is not to be missed.
  func prepare(_ configuration: Configuration) {
    self.state.withLock { state in
      for route in configuration.routes {
        guard let rules = route.webhook, state.lines[route.name]?.rules == nil else { continue }
        state.lines[route.name, default: WebhookLine()].follow(rules)
      }
    }
  }

  /// This configuration holds. What waits, waits on.
  func adopt(_ configuration: Configuration, _ log: Logger) {
    self.state.withLock { state in
      state.log = log
      for route in configuration.routes {
        if let rules = route.webhook {
          state.lines[route.name, default: WebhookLine()].follow(rules)
        } else {
          state.lines[route.name]?.remove()
        }
      }
    }
  }
}

// MARK: - What was told

extension Webhooks {
  /// What the receiver of one route was told so far.
  struct Reading: Sendable {
    let route: String
    /// Events that it has taken.
    let deliveredCount: Int
    /// Requests that came to nothing.
    let failedCount: Int
    /// Events that it will never be told.
    let lost: [(loss: WebhookQueue.Loss, count: Int)]
    /// Events that it is still to be told.
    let queuedCount: Int
  }

  /// By route.
  func read() -> [Reading] {
    // Nothing of the queues is taken out: they would be copied when the next event comes.
    let readings = self.state.withLock { state in
      state.lines.map { route, line in
        Reading(
          route: route, deliveredCount: line.queue.deliveredCount,
          failedCount: line.queue.failedCount,
          lost: WebhookQueue.Loss.allCases.map { ($0, line.queue.lost[$0] ?? 0) },
          queuedCount: line.queue.count)
      }
    }
    return readings.sorted { $0.route < $1.route }
  }
}

// MARK: - A route's task

extension Webhooks {
  private func serve(_ route: String) async {
    while true {
      let events = self.state.withLock { state in
        let events = state.lines[route]?.take() ?? []
        if events.isEmpty { state.ringIfDone() }
        return events
      }
      guard !events.isEmpty else { return }
      guard await self.deliver(WebhookBatch(events, route: route), of: route) else { return }
    }
  }

  /// Whether there may be more to tell: `false` where the process ends.
  private func deliver(_ batch: WebhookBatch, of route: String) async -> Bool {
    var patience = WebhookPatience()
    while let turn = self.turn(of: route) {
      let answer = WebhookAnswer(await self.post(batch, turn))
      self.settle(answer, of: route)
      guard case .failed(_, let asked) = answer else { return true }
      if turn.isLast {
        self.state.withLock { state in
          state.lines[route]?.abandon()
          state.ringIfDone()
        }
        return false
      }
      await self.rest(patience.wait(atLeast: asked), of: route, after: turn)
    }
    return true
  }

  private func turn(of route: String) -> WebhookLine.Turn? {
    self.state.withLock { $0.lines[route]?.turn(until: $0.end?.at, now: .now()) }
  }

  private func post(
    _ batch: WebhookBatch, _ turn: WebhookLine.Turn
  ) async -> Result<WebResponse, WebFault> {
    var fields = Fields()
    fields.append(name: "Content-Type", value: "application/json")
    fields.append(name: "User-Agent", value: self.agent)
    fields.append(name: "X-Sluice-Delivery", value: batch.id)
    let signature = batch.signature(
      secret: turn.rules.secret, unixSeconds: WallClock.now().seconds)
    fields.append(name: "X-Sluice-Signature", value: signature)
    let request = WebRequest(
      url: turn.rules.url, fields: fields, body: batch.body, timeout: turn.timeout,
      bodyByteCountMax: Self.answerByteCountMax)
    do throws(WebFault) {
      return .success(try await self.web.fetch(request))
    } catch {
      return .failure(error)
    }
  }

  private func settle(_ answer: WebhookAnswer, of route: String) {
    let news = self.state.withLock { $0.lines[route]?.settle(answer) ?? nil }
    if let news { self.tell(news, of: route) }
  }

  /// Waits, unless other rules hold meanwhile, or the process ends.
  private func rest(
    _ duration: Duration, of route: String, after turn: WebhookLine.Turn
  ) async {
    let rest = Task { _ = try? await Task.sleep(for: duration) }
    let rests = self.state.withLock { $0.lines[route]?.pause(rest, after: turn) ?? false }
    if !rests { rest.cancel() }
    await rest.value
  }

  private func tell(_ news: WebhookLine.News, of route: String) {
    let (log, url) = self.state.withLock { ($0.log, $0.lines[route]?.rules?.url) }
    var metadata: Logger.Metadata = ["route": "\(route)"]
    metadata["url"] = url.map { "\($0)" }
    switch news {
    case .failing(let words):
      metadata["reason"] = "\(words)"
      log.warning("webhook not delivered: it is tried until it is", metadata: metadata)
    case .refusing(let words):
      metadata["reason"] = "\(words)"
      log.warning("webhook refused: its events are dropped", metadata: metadata)
    case .overflowing:
      log.warning("webhook queue full: the oldest events are dropped", metadata: metadata)
    case .recovered(let failedCount, let lostCount):
      metadata["failed"] = "\(failedCount)"
      metadata["dropped"] = "\(lostCount)"
      log.notice("webhook delivered again", metadata: metadata)
    }
  }
}

extension Webhooks.State {
  fileprivate func ringIfDone() {
    guard let end = self.end, !self.isBusy else { return }
    end.bell.ring()
  }
}
