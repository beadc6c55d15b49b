import Net
import Synchronization
import Testing

@testable import Upstream

/// Answers every name with its own address; holds a question back where the test says so.
private final class Names: Sendable {
  private struct State {
    var questions: [String] = []
    var observed: [String] = []
  }

  private let state = Mutex(State())
  private let held: String?
  /// Rung when the name that is held has been asked for.
  let asked: Alarm
  /// Rung by the test, to let the answer go.
  let gate: Alarm
  /// Rung when nobody is left who could ask.
  private let gone: Alarm

  init(holding held: String? = nil, gone: Alarm) throws {
    self.held = held
    self.asked = try Alarm()
    self.gate = try Alarm()
    self.gone = gone
  }

  deinit { self.gone.ring() }

  static func address(of name: String) -> IPAddress {
    .v4(0x0A00_0000 + UInt32(name.utf8.first ?? 0))
  }

  func answer(_ name: String) -> NameAnswer {
    self.state.withLock { $0.questions.append(name) }
    if name == self.held {
      self.asked.ring()
      _ = self.gate.wait(timeout: .seconds(60))
    }
    return NameAnswer(addresses: [Self.address(of: name)], lifetime: .seconds(300))
  }

  func resolver() -> Resolver {
    Resolver(
      asking: { (name) throws(NameFault) in self.answer(name) }, lifetime: { _ in nil },
      observe: { name, _ in self.state.withLock { $0.observed.append(name) } })
  }

  var questions: [String] { self.state.withLock { $0.questions.sorted() } }
  var observed: [String] { self.state.withLock { $0.observed.sorted() } }
}

@Suite("a resolver that is told of new groups")
struct ResolverServingTests {
  private static func hosts(_ group: Group) -> [IPAddress?] {
    group.endpoints.map(\.address.ipAddress)
  }

  @Test("names that stay answer at once, new ones are asked for, nobody twice")
  func changes() throws {
    let names = try Names(gone: try Alarm())
    let resolver = names.resolver()
    resolver.waitForFirstAnswers(timeout: .seconds(3600))
    let one = try Group("ws://a:1", "ws://b:1")
    try resolver.serve([one])
    resolver.waitForFirstAnswers(timeout: .seconds(60))
    #expect(Self.hosts(one) == [Names.address(of: "a"), Names.address(of: "b")])

    let (two, three) = (try Group("ws://b:2", "ws://b:3"), try Group("ws://b:4", "ws://c:4"))
    try resolver.serve([two, three])
    // Before anybody has answered anew.
    #expect(Self.hosts(two) == [Names.address(of: "b"), Names.address(of: "b")])
    #expect(Self.hosts(three).first == Names.address(of: "b"))
    resolver.waitForFirstAnswers(timeout: .seconds(60))
    #expect(Self.hosts(three) == [Names.address(of: "b"), Names.address(of: "c")])
    #expect(names.questions == ["a", "b", "c"])
    #expect(names.observed == ["a", "b", "c"])

    // A name that comes back is asked for anew: its old answer may be wrong by now.
    try resolver.serve([one])
    resolver.waitForFirstAnswers(timeout: .seconds(60))
    #expect(names.questions == ["a", "a", "b", "c"])
    resolver.stop()
  }

  @Test("the threads of names that nobody uses end")
  func ends() throws {
    let gone = try Alarm()
    do {
      let names = try Names(gone: gone)
      let resolver = names.resolver()
      try resolver.serve([try Group("ws://a", "ws://b")])
      resolver.waitForFirstAnswers(timeout: .seconds(60))
      // No stop: a thread that went on would keep the names alive.
      try resolver.serve([])
    }
    #expect(gone.wait(timeout: .seconds(60)))
  }

  @Test("an answer that comes when nobody asks any longer reaches nobody")
  func late() throws {
    let gone = try Alarm()
    let group = try Group("ws://a", "ws://b")
    do {
      let names = try Names(holding: "a", gone: gone)
      let resolver = names.resolver()
      try resolver.serve([group])
      #expect(names.asked.wait(timeout: .seconds(60)))
      try resolver.serve([])
      // Whoever waited for the first answer does not wait for one that is not wanted.
      resolver.waitForFirstAnswers(timeout: .seconds(3600))
      group.update("b", to: [])
      names.gate.ring()
    }
    #expect(gone.wait(timeout: .seconds(60)))
    #expect(group.endpointCount == 0)
  }

  @Test("a question that is under way serves those who came meanwhile")
  func meanwhile() throws {
    let names = try Names(holding: "a", gone: try Alarm())
    let resolver = names.resolver()
    let (one, two) = (try Group("ws://a:1"), try Group("ws://a:2"))
    try resolver.serve([one])
    #expect(names.asked.wait(timeout: .seconds(60)))
    try resolver.serve([two])
    names.gate.ring()
    resolver.waitForFirstAnswers(timeout: .seconds(60))
    resolver.stop()
    #expect(Self.hosts(two) == [Names.address(of: "a")])
    #expect(one.endpointCount == 0)
    #expect(names.questions == ["a"])
  }

  @Test("who waits for a first answer is let go when the name is no longer used")
  func waiting() throws {
    let names = try Names(holding: "a", gone: try Alarm())
    let resolver = names.resolver()
    try resolver.serve([try Group("ws://a")])
    let done = try Alarm()
    let thread = try Thread.start(name: "waiting") {
      resolver.waitForFirstAnswers(timeout: .seconds(3600))
      done.ring()
    }
    #expect(names.asked.wait(timeout: .seconds(60)))
    try resolver.serve([])
    #expect(done.wait(timeout: .seconds(60)))
    thread.join()
    names.gate.ring()
  }

  @Test("after the stop nothing begins")
  func stopped() throws {
    let names = try Names(gone: try Alarm())
    let resolver = names.resolver()
    resolver.stop()
    try resolver.serve([try Group("ws://a")])
    resolver.waitForFirstAnswers(timeout: .seconds(3600))
    #expect(names.questions.isEmpty)
  }

  @Test("groups that replace others keep their endpoints when the names are served anew")
  func inheriting() throws {
    let names = try Names(gone: try Alarm())
    let resolver = names.resolver()
    let old = try Group("ws://a:1")
    try resolver.serve([old])
    resolver.waitForFirstAnswers(timeout: .seconds(60))
    let endpoint = try #require(old.picked())
    let new = try Group("ws://a:1", "ws://b:1", inheriting: old)
    try resolver.serve([new])
    resolver.waitForFirstAnswers(timeout: .seconds(60))
    resolver.stop()
    #expect(new.endpoints.first === endpoint)
    #expect(new.endpoints.first?.connectionCount == 1)
    #expect(new.endpointCount == 2)
  }
}
