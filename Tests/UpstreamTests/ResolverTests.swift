import Net
import Synchronization
import Testing

@testable import Upstream

/// Answers as the test says, and tells it what was asked and observed.
private final class NameServer: Sendable {
  private struct State {
    var answers: [Resolver.Answer]
    var questions: [String] = []
    var observed: [Resolver.Answer] = []
  }

  private let state: Mutex<State>
  private let expectedCount: Int
  /// Rung when as many answers were observed as the test expects.
  let told: Alarm

  init(_ answers: Resolver.Answer..., observing expectedCount: Int = 1) throws {
    self.state = Mutex(State(answers: answers))
    self.expectedCount = expectedCount
    self.told = try Alarm()
  }

  func answer(_ name: String) throws(NameFault) -> NameAnswer {
    let answer = self.state.withLock { state in
      state.questions.append(name)
      return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
    }
    return try answer.get()
  }

  func observe(_ name: String, _ answer: Resolver.Answer) {
    let count = self.state.withLock { state in
      state.observed.append(answer)
      return state.observed.count
    }
    if count == self.expectedCount { self.told.ring() }
  }

  var questions: [String] { self.state.withLock { $0.questions } }
  var observed: [Resolver.Answer] { self.state.withLock { $0.observed } }
}

@Suite("resolver")
struct ResolverTests {
  private static func answer(_ text: String, lifetime: Duration? = nil) -> Resolver.Answer {
    .success(NameAnswer(addresses: IPAddress(parsing: text).map { [$0] } ?? [], lifetime: lifetime))
  }

  private static func resolver(_ server: NameServer, _ groups: Group...) throws -> Resolver {
    try Resolver(
      for: groups, asking: { (name) throws(NameFault) in try server.answer(name) },
      lifetime: { _ in nil }, observe: { server.observe($0, $1) })
  }

  private static func address(_ group: Group) -> SocketAddress? {
    var chance = SystemRandomNumberGenerator()
    return group.pick(avoiding: [], using: &chance)?.address
  }

  @Test("each name is asked for once, however many use it")
  func names() throws {
    let server = try NameServer(Self.answer("10.0.0.1"))
    let one = try Group("ws://a:1", "ws://b:2", "ws://a:3", "ws://10.0.0.9:4")
    let two = try Group("ws://b:5")
    let resolver = try Self.resolver(server, one, two)
    resolver.waitForFirstAnswers(timeout: .seconds(10))
    resolver.stop()
    #expect(server.questions.sorted() == ["a", "b"])
    #expect(one.endpointCount == 4)
    #expect(two.endpointCount == 1)
    #expect(Self.address(two) == .ip(.v4(0x0A00_0001), port: 5))
  }

  @Test("groups without names start no thread, and waiting for them takes no time")
  func nothing() throws {
    let server = try NameServer(Self.answer("10.0.0.1"))
    let resolver = try Self.resolver(server, try Group("ws://10.0.0.1:80"))
    resolver.waitForFirstAnswers(timeout: .seconds(3600))
    resolver.stop()
    #expect(server.questions.isEmpty)
  }

  @Test("a first answer that does not come is not waited for beyond the timeout")
  func silence() throws {
    let gate = try Alarm()
    let resolver = try Resolver(
      for: [try Group("ws://chat")],
      asking: { (_) throws(NameFault) in
        _ = gate.wait(timeout: .seconds(30))
        throw NameFault(reason: "silence")
      }, observe: { _, _ in })
    let start = Deadline.now()
    resolver.waitForFirstAnswers(timeout: .milliseconds(30))
    #expect(Deadline.now().duration(since: start) < .seconds(20))
    resolver.stop()
    gate.ring()
  }

  @Test("a lifetime of 0 is asked again after the shortest one, and a changed address replaces")
  func lifetime() throws {
    let server = try NameServer(
      Self.answer("10.0.0.1", lifetime: .zero), Self.answer("10.0.0.1", lifetime: .zero),
      Self.answer("10.0.0.2", lifetime: .seconds(3600)), observing: 2)
    let group = try Group("ws://chat:80")
    let start = Deadline.now()
    let resolver = try Self.resolver(server, group)
    #expect(server.told.wait(timeout: .seconds(20)))
    #expect(Deadline.now().duration(since: start) >= .seconds(2))
    #expect(server.questions.count == 3)
    resolver.stop()
    #expect(Self.address(group) == .ip(.v4(0x0A00_0002), port: 80))
    // Told of what changed only.
    #expect(server.observed.count == 2)
  }

  @Test("a failure keeps the last good addresses")
  func failure() throws {
    let fault = NameFault(reason: "no such name")
    let server = try NameServer(
      Self.answer("10.0.0.1", lifetime: .zero), .failure(fault), observing: 2)
    let group = try Group("ws://chat:80")
    let resolver = try Self.resolver(server, group)
    #expect(server.told.wait(timeout: .seconds(20)))
    // Also those who come after the failure.
    let late = try Group("ws://chat:81")
    try resolver.serve([late])
    resolver.stop()
    #expect(group.endpointCount == 1)
    #expect(Self.address(late) == .ip(.v4(0x0A00_0001), port: 81))
    guard case .failure(fault)? = server.observed.last else {
      Issue.record("\(server.observed)")
      return
    }
  }

  @Test("a name that fails at first leaves the group empty")
  func firstFailure() throws {
    let server = try NameServer(.failure(NameFault(reason: "no such name")))
    let group = try Group("ws://chat:80")
    let resolver = try Self.resolver(server, group)
    resolver.waitForFirstAnswers(timeout: .seconds(10))
    resolver.stop()
    #expect(group.endpointCount == 0)
    #expect(server.observed.count == 1)
  }

  /// Rings when the last one who could ask has gone.
  private final class Sentinel: Sendable {
    let gone: Alarm
    init(_ gone: Alarm) { self.gone = gone }
    deinit { self.gone.ring() }
  }

  @Test("after the stop the threads end, and nobody is left who could ask")
  func stop() throws {
    let gone = try Alarm()
    do {
      let sentinel = Sentinel(gone)
      let resolver = try Resolver(
        for: [try Group("ws://a", "ws://b")],
        asking: { (_) throws(NameFault) in
          withExtendedLifetime(sentinel) {}
          return NameAnswer(addresses: [], lifetime: .seconds(300))
        }, observe: { _, _ in })
      resolver.waitForFirstAnswers(timeout: .seconds(10))
      resolver.stop()
      resolver.stop()
    }
    #expect(gone.wait(timeout: .seconds(10)))
  }

  @Test(
    "how long an answer is used",
    arguments: [
      (Self.answer("10.0.0.1", lifetime: .zero), Duration.seconds(1)),
      (Self.answer("10.0.0.1", lifetime: .seconds(60)), .seconds(60)),
      (Self.answer("10.0.0.1", lifetime: .seconds(86_400)), .seconds(300)),
      (Self.answer("10.0.0.1", lifetime: nil), .seconds(30)),
      (.failure(NameFault(reason: "none")), .seconds(5)),
    ] as [(Resolver.Answer, Duration)])
  func pause(answer: Resolver.Answer, pause: Duration) {
    #expect(Resolver.pause(after: answer) == pause)
  }
}
