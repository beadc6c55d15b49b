public import Admission
public import HTTP
import Synchronization

/// A JSON Web Key Set behind a URL: fetched when the first token needs it, then kept fresh for as long
/// as it is served. ``KeySetPolicy`` decides; here its decisions meet network and clock.
public final class RemoteKeySet: Sendable {
  /// What a fetch came to, for the log.
  public enum Outcome: Sendable, Equatable {
    /// These are the keys from now on.
    case fetched(keyCount: Int, skipped: [KeySet.Skipped])
    /// The keys stay as they were, if there are any; it is tried again after the delay.
    case failed(reason: String, retryDelay: Duration)
  }

  /// Hears of outcomes.
  public typealias Report = @Sendable (RemoteKeySet, Outcome) -> Void

  /// How long an answer may take, and with it a token that waits for it.
  public static let timeout = Duration.seconds(5)
  /// How many redirects are followed.
  public static let redirectCountMax = 3

  /// The clock and chance.
  struct Timing: Sendable {
    var now: @Sendable () -> ContinuousClock.Instant = { .now }
    var sleep: @Sendable (ContinuousClock.Instant) async throws -> Void = {
      try await Task.sleep(until: $0, clock: .continuous)
    }
    var chance: @Sendable () -> Double = { .random(in: 0..<1) }
  }

  private struct State {
    var policy: KeySetPolicy
    var keys: [ReadyKey] = []
    /// Ends when the fetch under way is over and its outcome counts.
    var fetch: Task<Void, Never>?
    /// Sleeps until the next fetch is due; only while the set is served.
    var timer: Task<Void, Never>?
    /// Set while the set is served.
    var report: Report?

    func wanted(_ kid: String?) -> KeySetPolicy.Wanted {
      self.keys.mayHold(kid: kid) ? .known : .unknown
    }

    /// What is handed out after the policy's answer.
    func keys(_ answer: KeySetPolicy.OnAsked) -> [ReadyKey]? {
      answer == .useKeys ? self.keys : nil
    }
  }

  /// Where the set is.
  public let url: WebURL
  /// How often it is fetched.
  public let refresh: Duration
  private let web: any WebFetching
  private let timing: Timing
  private let state: Mutex<State>

  /// - Parameters:
  ///   - refresh: the time from one fetch to the next, ten per cent more or less.
  public convenience init(url: WebURL, refresh: Duration, web: any WebFetching) {
    self.init(url: url, refresh: refresh, web: web, timing: Timing())
  }

  init(url: WebURL, refresh: Duration, web: any WebFetching, timing: Timing) {
    self.url = url
    self.refresh = refresh
    self.web = web
    self.timing = timing
    self.state = Mutex(State(policy: KeySetPolicy(refresh: refresh)))
  }

  /// Fetches the set now, where it was not, and from time to time until ``stop()``.
  func start(_ report: @escaping Report) {
    self.state.withLock { state in
      state.report = report
      self.setTimer(&state)
    }
  }

  /// Lets the keys grow old. They can still be used.
  func stop() {
    self.state.withLock { state in
      state.report = nil
      state.timer?.cancel()
      state.timer = nil
    }
  }

  /// The keys of which one may have signed a token that names `kid`. Waits for a fetch where that can
  /// help.
  ///
  /// - Returns: `nil` where there is no telling for now.
  func keys(for kid: String?) async -> [ReadyKey]? {
    let (answer, fetch) = self.state.withLock { state in
      let answer = state.policy.asked(for: state.wanted(kid), now: self.timing.now())
      if answer == .fetch { self.beginFetch(&state) }
      return (answer, state.fetch)
    }
    guard answer == .fetch || answer == .wait else {
      return self.state.withLock { $0.keys(answer) }
    }
    await fetch?.value
    return self.state.withLock { $0.keys($0.policy.settled($0.wanted(kid))) }
  }
}

// MARK: - Fetching

extension RemoteKeySet {
  /// Why a fetch has brought no keys.
  private struct Fault: Error { let reason: String }

  /// The policy has decided to fetch.
  private func beginFetch(_ state: inout State) {
    state.fetch = Task.detached { await self.fetch() }
  }

  private func setTimer(_ state: inout State) {
    state.timer?.cancel()
    let wake = state.policy.nextFetchAt ?? self.timing.now()
    state.timer = Task.detached { [timing = self.timing] in
      do { try await timing.sleep(wake) } catch { return }
      self.becomeDue()
    }
  }

  private func becomeDue() {
    self.state.withLock { state in
      // One that is under way sets the timer anew when it ends.
      guard state.report != nil, state.policy.begin(now: self.timing.now()) else { return }
      self.beginFetch(&state)
    }
  }

  private func fetch() async {
    let found: Result<(set: KeySet, keys: [ReadyKey]), Fault>
    do throws(Fault) {
      found = .success(try await self.download())
    } catch {
      found = .failure(error)
    }
    let (report, outcome) = self.state.withLock { state in
      let outcome = self.take(found, &state)
      state.fetch = nil
      if state.report != nil { self.setTimer(&state) }
      return (state.report, outcome)
    }
    report?(self, outcome)
  }

  private func take(
    _ found: Result<(set: KeySet, keys: [ReadyKey]), Fault>, _ state: inout State
  ) -> Outcome {
    let now = self.timing.now()
    switch found {
    case .success((let set, let keys)):
      state.keys = keys
      state.policy.fetched(now: now, chance: self.timing.chance())
      return .fetched(keyCount: keys.count, skipped: set.skipped)
    case .failure(let fault):
      return .failed(reason: fault.reason, retryDelay: state.policy.failed(now: now))
    }
  }

  private func download() async throws(Fault) -> (set: KeySet, keys: [ReadyKey]) {
    let request = WebRequest(
      url: self.url, timeout: Self.timeout, bodyByteCountMax: KeySet.byteCountMax,
      redirectCountMax: Self.redirectCountMax)
    let response: WebResponse
    do throws(WebFault) {
      response = try await self.web.fetch(request)
    } catch {
      throw Fault(reason: "\(error)")
    }
    guard response.status == 200 else { throw Fault(reason: "the status is \(response.status)") }
    guard let json = String(validating: response.body, as: UTF8.self) else {
      throw Fault(reason: "the answer is not UTF-8 text")
    }
    do throws(KeyError) {
      let set = try KeySet(json: json)
      guard let keys = try? await ReadyKey.prepare(set.keys) else {
        throw KeyError(message: "the keys cannot be used")
      }
      return (set, keys)
    } catch {
      throw Fault(reason: error.message)
    }
  }
}
