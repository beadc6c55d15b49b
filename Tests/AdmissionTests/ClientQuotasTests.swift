import Admission
import Net
import Testing

@Suite("Client quotas")
struct ClientQuotasTests {
  static let start = Deadline(nanoseconds: 1_000_000_000_000)

  static func rules(connections: Int? = nil, rate: Double? = nil, burst: Double = 1)
    -> AdmissionRules
  {
    AdmissionRules(
      origins: .any, connectionsPerClient: connections,
      upgradesPerClient: rate.map { Rate(permitsPerSecond: $0, burst: burst) })
  }

  static func address(_ text: String) -> IPAddress? { IPAddress(parsing: text) }

  @Test("connections are counted up to the limit, and given back")
  func connections() {
    let quotas = ClientQuotas()
    let rules = Self.rules(connections: 2)
    let client = Self.address("192.0.2.1")
    func enter() -> ClientQuotas.OnEnter {
      quotas.enter(client: client, route: "r", rules: rules, now: Self.start)
    }
    #expect(enter() == .entered)
    #expect(enter() == .entered)
    #expect(enter() == .tooManyConnections)
    #expect(enter() == .tooManyConnections)
    quotas.leave(client: client, route: "r", rules: rules)
    #expect(enter() == .entered)
    #expect(enter() == .tooManyConnections)
    for _ in 0..<2 { quotas.leave(client: client, route: "r", rules: rules) }
    #expect(quotas.entryCount == 0)
    // One leave too many is not a connection below zero.
    quotas.leave(client: client, route: "r", rules: rules)
    #expect(enter() == .entered)
    #expect(enter() == .entered)
    #expect(enter() == .tooManyConnections)
  }

  @Test(
    "who shares a quota",
    arguments: [
      ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
      ("2001:db8::1", "2001:db8::ffff:1", true), ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
      ("::ffff:192.0.2.1", "192.0.2.1", true),
    ])
  func clients(first: String, second: String, isShared: Bool) {
    let quotas = ClientQuotas()
    let rules = Self.rules(connections: 1)
    func enter(_ client: String, route: String = "r") -> ClientQuotas.OnEnter {
      quotas.enter(client: Self.address(client), route: route, rules: rules, now: Self.start)
    }
    #expect(enter(first) == .entered)
    #expect(enter(second) == (isShared ? .tooManyConnections : .entered))
    #expect(enter(first, route: "other") == .entered)
  }

  @Test("an unknown client, and rules without a quota, are not counted")
  func uncounted() {
    let quotas = ClientQuotas()
    for _ in 0..<5 {
      let unknown = quotas.enter(
        client: nil, route: "r", rules: Self.rules(connections: 1), now: Self.start)
      #expect(unknown == .entered)
      let free = quotas.enter(
        client: Self.address("192.0.2.1"), route: "r", rules: Self.rules(), now: Self.start)
      #expect(free == .entered)
    }
    #expect(quotas.entryCount == 0)
  }

  @Test("a burst at once, then the rate, by a scripted clock")
  func rate() {
    let quotas = ClientQuotas()
    let rules = Self.rules(rate: 2, burst: 3)
    /// Milliseconds after the start, and what is expected then.
    let script: [(Int64, ClientQuotas.OnEnter)] = [
      (0, .entered), (0, .entered), (0, .entered),
      (0, .tooManyUpgrades(retryAfter: .milliseconds(500))),
      (100, .tooManyUpgrades(retryAfter: .milliseconds(400))),
      (499, .tooManyUpgrades(retryAfter: .milliseconds(1))),
      (500, .entered),
      (500, .tooManyUpgrades(retryAfter: .milliseconds(500))),
      (1500, .entered), (1500, .entered),
      (1500, .tooManyUpgrades(retryAfter: .milliseconds(500))),
      (60_000, .entered), (60_000, .entered), (60_000, .entered),
      (60_000, .tooManyUpgrades(retryAfter: .milliseconds(500))),
    ]
    for (milliseconds, expected) in script {
      let now = Self.start.advanced(by: .milliseconds(milliseconds))
      let client = Self.address("192.0.2.1")
      let found = quotas.enter(client: client, route: "r", rules: rules, now: now)
      #expect(found == expected, "at \(milliseconds) ms")
      // Leaving gives no permit back.
      if found == .entered { quotas.leave(client: client, route: "r", rules: rules) }
    }
  }

  @Test("upgrades and requests have rates of their own, and count as connections together")
  func kinds() {
    let quotas = ClientQuotas()
    let rules = AdmissionRules(
      origins: .any, connectionsPerClient: 3,
      upgradesPerClient: Rate(permitsPerSecond: 1, burst: 1),
      requestsPerClient: Rate(permitsPerSecond: 2, burst: 2))
    let client = Self.address("192.0.2.1")
    func enter(_ kind: ClientQuotas.Kind) -> ClientQuotas.OnEnter {
      quotas.enter(client: client, route: "r", rules: rules, as: kind, now: Self.start)
    }
    #expect(enter(.upgrade) == .entered)
    #expect(enter(.upgrade) == .tooManyUpgrades(retryAfter: .seconds(1)))
    #expect(enter(.request) == .entered)
    #expect(enter(.request) == .entered)
    #expect(enter(.request) == .tooManyConnections)
    quotas.leave(client: client, route: "r", rules: rules)
    #expect(enter(.request) == .tooManyUpgrades(retryAfter: .milliseconds(500)))
    #expect(enter(.upgrade) == .tooManyUpgrades(retryAfter: .seconds(1)))
    for _ in 0..<2 { quotas.leave(client: client, route: "r", rules: rules) }
    // What was used of either rate is remembered.
    #expect(quotas.entryCount == 1)
    #expect(enter(.request) == .tooManyUpgrades(retryAfter: .milliseconds(500)))
  }

  @Test("a rate of the one kind says nothing of the other", arguments: [true, false])
  func otherKind(countsRequests: Bool) {
    let quotas = ClientQuotas()
    let rate = Rate(permitsPerSecond: 1, burst: 1)
    let rules = AdmissionRules(
      origins: .any, upgradesPerClient: countsRequests ? nil : rate,
      requestsPerClient: countsRequests ? rate : nil)
    let client = Self.address("192.0.2.1")
    func enter(_ kind: ClientQuotas.Kind) -> ClientQuotas.OnEnter {
      quotas.enter(client: client, route: "r", rules: rules, as: kind, now: Self.start)
    }
    let (counted, free): (ClientQuotas.Kind, ClientQuotas.Kind) =
      countsRequests ? (.request, .upgrade) : (.upgrade, .request)
    for _ in 0..<5 { #expect(enter(free) == .entered) }
    #expect(quotas.entryCount == 0)
    #expect(enter(counted) == .entered)
    #expect(enter(counted) != .entered)
    #expect(enter(free) == .entered)
  }

  @Test("a refused attempt costs nothing")
  func refusals() {
    let quotas = ClientQuotas()
    let rules = Self.rules(connections: 1, rate: 1, burst: 2)
    let client = Self.address("192.0.2.1")
    func enter(after milliseconds: Int64) -> ClientQuotas.OnEnter {
      let now = Self.start.advanced(by: .milliseconds(milliseconds))
      return quotas.enter(client: client, route: "r", rules: rules, now: now)
    }
    #expect(enter(after: 0) == .entered)
    for _ in 0..<10 { #expect(enter(after: 0) == .tooManyConnections) }
    quotas.leave(client: client, route: "r", rules: rules)
    // The second permit of the burst is still there.
    #expect(enter(after: 0) == .entered)
    quotas.leave(client: client, route: "r", rules: rules)
    for _ in 0..<10 {
      #expect(enter(after: 0) == .tooManyUpgrades(retryAfter: .seconds(1)))
    }
    #expect(enter(after: 1000) == .entered)
  }

  @Test("a full table refuses strangers until entries have nothing left to say")
  func bounded() {
    let quotas = ClientQuotas(entryCountMax: 64)
    let rules = Self.rules(rate: 1)
    var refused = 0
    for number in 0..<1000 as Range<UInt32> {
      let found = quotas.enter(
        client: .v4(0x0A00_0000 + number), route: "r", rules: rules, now: Self.start)
      refused += found == .entered ? 0 : 1
    }
    #expect(quotas.entryCount <= 64)
    #expect(refused >= 1000 - 64)
    let later = Self.start.advanced(by: .seconds(5))
    let found = quotas.enter(client: .v4(0xC000_0201), route: "r", rules: rules, now: later)
    #expect(found == .entered)
    #expect(quotas.entryCount <= 64)
  }

  @Test("a connection keeps its place in a full table")
  func kept() {
    let quotas = ClientQuotas(entryCountMax: 16)
    let rules = Self.rules(connections: 1)
    let client = Self.address("192.0.2.1")
    #expect(quotas.enter(client: client, route: "r", rules: rules, now: Self.start) == .entered)
    for number in 0..<100 as Range<UInt32> {
      let now = Self.start.advanced(by: .seconds(Int(number) * 2))
      _ = quotas.enter(client: .v4(0x0A00_0000 + number), route: "r", rules: rules, now: now)
    }
    let again = quotas.enter(client: client, route: "r", rules: rules, now: Self.start)
    #expect(again == .tooManyConnections)
  }

  @Test("connections that entered under rules without a limit do not lower a later count")
  func reload() {
    let quotas = ClientQuotas()
    let before = Self.rules(rate: 1000, burst: 1000)
    let after = Self.rules(connections: 1)
    let client = Self.address("192.0.2.1")
    #expect(quotas.enter(client: client, route: "r", rules: before, now: Self.start) == .entered)
    #expect(quotas.enter(client: client, route: "r", rules: after, now: Self.start) == .entered)
    quotas.leave(client: client, route: "r", rules: before)
    let third = quotas.enter(client: client, route: "r", rules: after, now: Self.start)
    #expect(third == .tooManyConnections)
  }

  @Test("many threads at once let in exactly as many as there are places")
  func concurrent() async {
    let quotas = ClientQuotas()
    let rules = Self.rules(connections: 50)
    let entered = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask {
          (0..<100).count { _ in
            quotas.enter(
              client: .v4(0xC000_0201), route: "r", rules: rules, now: Self.start) == .entered
          }
        }
      }
      return await group.reduce(0, +)
    }
    #expect(entered == 50)
  }

  @Test(
    "rates that make no sense become ones that do",
    arguments: [
      (0.0, 0.0, 1e-6, 1.0), (-1, -1, 1e-6, 1), (.nan, .nan, 1e-6, 1), (.infinity, 5, 1e-6, 5),
      (10, 20, 10, 20), (1e300, 1e300, 1e9, 1e9),
    ])
  func rates(permits: Double, burst: Double, expectedPermits: Double, expectedBurst: Double) {
    let rate = Rate(permitsPerSecond: permits, burst: burst)
    #expect(rate.permitsPerSecond == expectedPermits)
    #expect(rate.burst == expectedBurst)
    let rules = AdmissionRules(origins: .any, upgradesPerClient: rate)
    let quotas = ClientQuotas()
    for _ in 0..<3 {
      _ = quotas.enter(client: .v4(1), route: "r", rules: rules, now: .init(nanoseconds: .max))
    }
  }
}
