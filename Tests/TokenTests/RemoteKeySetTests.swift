import Admission
import HTTP
import Synchronization
import Testing

@testable import Token

/// A server in memory: each question waits until the test answers it.
final class ScriptedWeb: WebFetching {
  typealias Answer = Result<WebResponse, WebFault>

  private struct State {
    var requests: [WebRequest] = []
    var answers: [Answer] = []
    var waiting: [CheckedContinuation<Answer, Never>] = []
    /// Those who wait for a number of requests.
    var watchers: [(count: Int, CheckedContinuation<Void, Never>)] = []
  }

  private let state = Mutex(State())

  var requests: [WebRequest] { self.state.withLock { $0.requests } }

  func fetch(_ request: WebRequest) async throws(WebFault) -> WebResponse {
    let answer = await withCheckedContinuation { continuation in
      let (answer, watchers) = self.state.withLock { state in
        state.requests.append(request)
        let count = state.requests.count
        let watchers = state.watchers.filter { $0.count <= count }
        state.watchers.removeAll { $0.count <= count }
        guard !state.answers.isEmpty else {
          state.waiting.append(continuation)
          return (nil as Answer?, watchers)
        }
        return (state.answers.removeFirst(), watchers)
      }
      for (_, watcher) in watchers { watcher.resume() }
      if let answer { continuation.resume(returning: answer) }
    }
    return try answer.get()
  }

  /// Answers a question that waits, or the next one.
  func answer(_ answer: Answer) {
    let waiting = self.state.withLock { state in
      if state.waiting.isEmpty { state.answers.append(answer) }
      return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
    }
    waiting?.resume(returning: answer)
  }

  func answer(json: String, status: Int = 200) {
    self.answer(.success(WebResponse(status: status, body: Array(json.utf8))))
  }

  /// Returns when so many requests have come.
  func awaitRequests(_ count: Int) async {
    await withCheckedContinuation { continuation in
      let isThere = self.state.withLock { state in
        if state.requests.count < count { state.watchers.append((count, continuation)) }
        return state.requests.count >= count
      }
      if isThere { continuation.resume() }
    }
  }
}

/// A clock that the test moves. Who sleeps is woken when it has come to the time.
final class HandClock: Sendable {
  private struct State {
    var now = ContinuousClock.Instant.at(0)
    var sleepers: [Int: (until: ContinuousClock.Instant, CheckedContinuation<Void, any Error>)] =
      [:]
    var cancelled: Set<Int> = []
    var sleeperCount = 0
  }

  private let state = Mutex(State())

  var timing: RemoteKeySet.Timing {
    RemoteKeySet.Timing(
      now: { self.state.withLock { $0.now } }, sleep: { try await self.sleep(until: $0) },
      chance: { 0.5 })
  }

  func advance(to second: Double) {
    let woken = self.state.withLock { state in
      state.now = .at(second)
      let woken = state.sleepers.filter { $0.value.until <= state.now }
      for (number, _) in woken { state.sleepers[number] = nil }
      return woken
    }
    for (_, sleeper) in woken { sleeper.1.resume() }
  }

  private func sleep(until instant: ContinuousClock.Instant) async throws {
    let number = self.state.withLock { state in
      state.sleeperCount += 1
      return state.sleeperCount
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let ends = self.state.withLock { state -> Result<Void, any Error>? in
          if state.cancelled.contains(number) { return .failure(CancellationError()) }
          if instant <= state.now { return .success(()) }
          state.sleepers[number] = (instant, continuation)
          return nil
        }
        if let ends { continuation.resume(with: ends) }
      }
    } onCancel: {
      let sleeper = self.state.withLock { state in
        state.cancelled.insert(number)
        return state.sleepers.removeValue(forKey: number)
      }
      sleeper?.1.resume(throwing: CancellationError())
    }
  }
}

@Suite("Key sets behind URLs", .timeLimit(.minutes(1)))
struct RemoteKeySetTests {
  /// RFC 7517, appendix A.1, the elliptic one, under other names.
  static func json(_ kids: String...) -> String {
    let keys = kids.map { kid in
      """
      {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "\(kid)",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}
      """
    }
    return "{\"keys\": [\(keys.joined(separator: ","))]}"
  }

  private let web = ScriptedWeb()
  private let clock = HandClock()

  private func makeSet() throws -> RemoteKeySet {
    RemoteKeySet(
      url: try WebURL(parsing: "https://id.example.com/keys"), refresh: .seconds(300),
      web: self.web, timing: self.clock.timing)
  }

  private func kids(_ keys: [ReadyKey]?) -> [String]? { keys?.compactMap(\.key.kid) }

  @Test("many who ask at once have it fetched once, within its limits")
  func shared() async throws {
    let set = try self.makeSet()
    let found = await withTaskGroup(of: [String]?.self) { group in
      for _ in 0..<50 { group.addTask { self.kids(await set.keys(for: "1")) } }
      await self.web.awaitRequests(1)
      self.web.answer(json: Self.json("1", "2"))
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(found == Array(repeating: ["1", "2"], count: 50))
    let request = try #require(self.web.requests.first)
    #expect(self.web.requests.count == 1)
    #expect(request.url == set.url)
    #expect(request.bodyByteCountMax == KeySet.byteCountMax)
    #expect(request.redirectCountMax == 3)
    #expect(request.timeout == .seconds(5))
  }

  @Test("an unknown key has it fetched again; what it brings replaces what was there")
  func rotation() async throws {
    let set = try self.makeSet()
    self.web.answer(json: Self.json("1"))
    #expect(self.kids(await set.keys(for: "1")) == ["1"])
    self.web.answer(json: Self.json("2"))
    #expect(self.kids(await set.keys(for: "2")) == ["2"])
    // Not again for ten seconds: the keys at hand say that it is unknown.
    for kid in 0..<100 { #expect(self.kids(await set.keys(for: "x\(kid)")) == ["2"]) }
    #expect(self.web.requests.count == 2)
    self.clock.advance(to: 10)
    self.web.answer(json: Self.json("3"))
    #expect(self.kids(await set.keys(for: "3")) == ["3"])
  }

  static let badAnswers: [ScriptedWeb.Answer] = [
    .failure(.timedOut), .failure(.tooLong), .failure(.failed(detail: "refused")),
    .success(WebResponse(status: 500)), .success(WebResponse(status: 404)),
    .success(WebResponse(status: 204)), .success(WebResponse(status: 200)),
    .success(WebResponse(status: 200, body: Array("{}".utf8))),
    .success(WebResponse(status: 200, body: Array("{\"keys\": []}".utf8))),
    .success(WebResponse(status: 200, body: [0xFF, 0xFE])),
    .success(WebResponse(status: 203, body: Array(json("9").utf8))),
  ]

  @Test("what brings no keys leaves those that are there", arguments: badAnswers)
  func failures(answer: ScriptedWeb.Answer) async throws {
    let set = try self.makeSet()
    self.web.answer(answer)
    #expect(self.kids(await set.keys(for: "1")) == nil)
    #expect(self.kids(await set.keys(for: "1")) == nil, "nobody hurries the retries")
    #expect(self.web.requests.count == 1)
    self.clock.advance(to: 1)
    self.web.answer(json: Self.json("1"))
    #expect(self.kids(await set.keys(for: "1")) == ["1"])
    self.web.answer(answer)
    #expect(self.kids(await set.keys(for: "2")) == nil, "whether it exists cannot be known")
    #expect(self.kids(await set.keys(for: "1")) == ["1"])
    #expect(self.kids(await set.keys(for: nil)) == ["1"])
    #expect(self.web.requests.count == 3)
  }

  @Test("served, it is fetched at once, each time it is due, and not after its end")
  func background() async throws {
    let set = try self.makeSet()
    let (outcomes, heard) = AsyncStream.makeStream(of: RemoteKeySet.Outcome.self)
    var iterator = outcomes.makeAsyncIterator()
    set.start { _, outcome in heard.yield(outcome) }
    self.web.answer(json: Self.json("1"))
    #expect(await iterator.next() == .fetched(keyCount: 1, skipped: []))
    self.web.answer(json: "", status: 500)
    self.clock.advance(to: 300)
    let failure = RemoteKeySet.Outcome.failed(
      reason: "the status is 500", retryDelay: .seconds(1))
    #expect(await iterator.next() == failure)
    #expect(self.kids(await set.keys(for: "1")) == ["1"])
    self.web.answer(json: Self.json("1", "2"))
    self.clock.advance(to: 301)
    #expect(await iterator.next() == .fetched(keyCount: 2, skipped: []))
    // A configuration was read again: what was fetched is kept.
    set.start { _, outcome in heard.yield(outcome) }
    #expect(self.kids(await set.keys(for: "2")) == ["1", "2"])
    set.stop()
    self.clock.advance(to: 10_000)
    #expect(self.kids(await set.keys(for: "2")) == ["1", "2"])
    #expect(self.web.requests.count == 3)
  }

  @Test("one set for one place, for as long as it is served")
  func registry() async throws {
    let sets = RemoteKeySets(web: self.web)
    let url = try WebURL(parsing: "https://id.example.com/keys")
    let first = sets.keySet(at: url, refresh: .seconds(300))
    #expect(sets.keySet(at: url, refresh: .seconds(300)) === first)
    #expect(sets.keySet(at: url, refresh: .seconds(60)) !== first)
    #expect(self.web.requests.isEmpty, "nothing is fetched before somebody needs it")
    sets.serve([first]) { _, _ in }
    await self.web.awaitRequests(1)
    #expect(sets.keySet(at: url, refresh: .seconds(300)) === first)
    sets.serve([]) { _, _ in }
    #expect(sets.keySet(at: url, refresh: .seconds(300)) !== first)
    self.web.answer(.failure(.timedOut))
  }

  @Test("a verifier says 503 without keys, and judges with those that were fetched")
  func verifier() async throws {
    let pair = try KeyPair(.es256, kid: "1")
    let set = try self.makeSet()
    let verifier = JWTVerifier(keySet: set, now: { testTime })
    let token = try await mint(TokenContents(expiry: testTime + 60), key: pair.signing)
    self.web.answer(.failure(.timedOut))
    #expect(Kind(await verifier.verify(token)) == .unavailable)
    self.clock.advance(to: 1)
    self.web.answer(json: Self.json("1"))
    #expect(Kind(await verifier.verify(token)) == .invalid, "another key of that name")
    #expect(verifier.keySet === set)
  }

  @Test("without a network nothing is fetched")
  func noWeb() async throws {
    let url = try WebURL(parsing: "https://id.example.com/keys")
    let set = RemoteKeySets(web: NoWeb()).keySet(at: url, refresh: .seconds(300))
    #expect(await set.keys(for: "1") == nil)
  }
}
