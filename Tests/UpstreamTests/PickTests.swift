import Net
import Testing

@testable import Upstream

@Suite("whom a group picks")
struct PickTests {
  private static let (a, b, c) = ("ws://10.0.0.1:80", "ws://10.0.0.2:80", "ws://10.0.0.3:80")

  /// Whom 60 tunnels go to, none of which ends.
  private static func picks(
    _ group: Group, avoiding tried: [Endpoint] = [], _ preference: Group.Preference = .none,
    now: Deadline = .at(0)
  ) -> [String: Int] {
    var chance = SplitMix(seed: 3)
    var counts: [String: Int] = [:]
    for _ in 0..<60 {
      let pick = group.pick(
        avoiding: tried, preferring: preference, now: now, using: &chance)
      counts[pick?.url.description ?? "nobody", default: 0] += 1
    }
    return counts
  }

  @Test("unhealthy endpoints are never picked", arguments: Balance.allCases)
  func unhealthy(balance: Balance) throws {
    let group = try Group(Self.a, Self.b, balance: balance)
    group.endpoints[0].becomeUnhealthy()
    #expect(Self.picks(group) == [Self.b: 60])
    #expect(group.hasHealthyServer(now: .at(0)))
    group.endpoints[1].becomeUnhealthy()
    #expect(Self.picks(group) == ["nobody": 60])
    #expect(!group.hasHealthyServer(now: .at(0)))
  }

  @Test("ejected endpoints are picked where nothing else is left", arguments: Balance.allCases)
  func ejected(balance: Balance) throws {
    let group = try Group(Self.a, Self.b, Self.c, balance: balance)
    let endpoints = group.endpoints
    endpoints[0].becomeEjected()
    endpoints[1].becomeUnhealthy()
    #expect(Self.picks(group) == [Self.c: 60])
    #expect(Self.picks(group, avoiding: [endpoints[2]]) == [Self.a: 60])
    endpoints[2].becomeUnhealthy()
    #expect(Self.picks(group) == [Self.a: 60])
    #expect(group.hasHealthyServer(now: .at(0)))
    #expect(Self.picks(group, avoiding: [endpoints[0]]) == ["nobody": 60])
  }

  @Test("an ejection ends by itself")
  func ejectionEnds() throws {
    let group = try Group(Self.a, Self.b)
    group.endpoints[0].becomeEjected(for: .seconds(30))
    #expect(Self.picks(group, now: .at(29)) == [Self.b: 60])
    #expect(Self.picks(group, now: .at(30)) == [Self.a: 30, Self.b: 30])
  }

  @Test("draining servers take no tunnel, not even as the last ones", arguments: Balance.allCases)
  func draining(balance: Balance) throws {
    let group = Group(
      GroupRules(
        name: "chat", servers: [try ServerRules(Self.a, drain: true), try ServerRules(Self.b)],
        balance: balance, healthCheck: HealthRules()))
    let endpoints = group.endpoints
    let sticky = Group.Preference(stickyID: endpoints[0].stableID, hashKey: 1)
    #expect(Self.picks(group) == [Self.b: 60])
    #expect(Self.picks(group, sticky) == [Self.b: 60])
    #expect(Self.picks(group, avoiding: [endpoints[1]]) == ["nobody": 60])
    endpoints[1].becomeUnhealthy()
    #expect(Self.picks(group) == ["nobody": 60])
    #expect(!group.hasHealthyServer(now: .at(0)))

    group.servers[0].override(drain: false, weight: nil)
    #expect(Self.picks(group) == [Self.a: 60])
    #expect(group.hasHealthyServer(now: .at(0)))
  }

  @Test("a client comes back to its server, against any balance", arguments: Balance.allCases)
  func sticky(balance: Balance) throws {
    let group = try Group(Self.a, Self.b, Self.c, balance: balance)
    for endpoint in group.endpoints {
      let preference = Group.Preference(stickyID: endpoint.stableID, hashKey: 9)
      #expect(Self.picks(group, preference) == [endpoint.url.description: 60])
      #expect(endpoint.connectionCount == 60)
    }
  }

  @Test("a client is balanced anew where its server cannot be had")
  func stickyInVain() throws {
    let group = try Group(Self.a, Self.b, Self.c)
    let endpoints = group.endpoints
    let preference = Group.Preference(stickyID: endpoints[0].stableID)
    #expect(Self.picks(group, avoiding: [endpoints[0]], preference) == [Self.b: 30, Self.c: 30])
    endpoints[0].becomeEjected(for: .seconds(30))
    #expect(Self.picks(group, preference) == [Self.b: 30, Self.c: 30])
    #expect(Self.picks(group, preference, now: .at(30)) == [Self.a: 60])
    endpoints[0].becomeUnhealthy()
    #expect(Self.picks(group, preference, now: .at(30)) == [Self.b: 30, Self.c: 30])
    let stranger = Group.Preference(stickyID: 1)
    #expect(Self.picks(group, stranger, now: .at(30)) == [Self.b: 30, Self.c: 30])
  }

  @Test("one key has one server, and another one while that fails")
  func hash() throws {
    let group = try Group(Self.a, Self.b, Self.c, balance: .hash)
    let preference = Group.Preference(hashKey: hashKey(of: "session".utf8))
    let first = try #require(group.picked(preferring: preference))
    #expect(Self.picks(group, preference) == [first.url.description: 60])
    let second = try #require(group.picked(avoiding: [first], preferring: preference))
    #expect(second !== first)
    first.becomeEjected(for: .seconds(30))
    #expect(Self.picks(group, preference) == [second.url.description: 60])
    #expect(Self.picks(group, preference, now: .at(30)) == [first.url.description: 60])
  }

  @Test("a request without a key is spread over all")
  func hashWithoutKey() throws {
    let group = try Group(Self.a, Self.b, Self.c, balance: .hash)
    #expect(Self.picks(group).count == 3)
  }

  @Test("where nothing is hashed, a key changes nothing")
  func keyWithoutHash() throws {
    let group = try Group(Self.a, Self.b, Self.c)
    #expect(Self.picks(group, Group.Preference(hashKey: 5)).values.allSatisfy { $0 == 20 })
  }

  @Test("an operator's weight counts at once")
  func weights() throws {
    let group = try Group(Self.a, Self.b)
    group.servers[1].override(drain: nil, weight: 3)
    #expect(Self.picks(group) == [Self.a: 15, Self.b: 45])
    group.servers[1].revert()
    #expect(Self.picks(group) == [Self.a: 30, Self.b: 30])
  }

  @Test("an endpoint that comes back takes less at first")
  func slowStart() throws {
    var rules = try GroupRules([Self.a, Self.b])
    rules.slowStart = .seconds(90)
    let group = Group(rules)
    group.endpoints[0].becomeEjected(for: .seconds(30))
    let warmingUp = Self.picks(group, now: .at(30))
    // One part in eleven of 60.
    #expect((5...6).contains(warmingUp[Self.a] ?? 0), "\(warmingUp)")
    // 0.1 + 0.9 / 2 of its weight: 55 to 100.
    let halfWarm = Self.picks(group, now: .at(75))
    #expect((20...22).contains(halfWarm[Self.a] ?? 0), "\(halfWarm)")
    let warm = Self.picks(group, now: .at(120))
    #expect((29...31).contains(warm[Self.a] ?? 0), "\(warm)")
  }

  @Test("addresses that join others which serve already take less at first, the first ones do not")
  func newAddresses() throws {
    let group = try Group("ws://a:80", "ws://b:80")
    group.update("a", to: addresses("10.0.0.1"), now: .at(0))
    group.update("b", to: addresses("10.0.0.2"), now: .at(1))
    let slowStart = Duration.seconds(10)
    #expect(group.endpoints.map { $0.share(now: .at(1), slowStart: slowStart) } == [1, 1])
    _ = group.picked(now: .at(2))
    group.update("b", to: addresses("10.0.0.2", "10.0.0.3"), now: .at(3))
    #expect(group.endpoints.map { $0.share(now: .at(3), slowStart: slowStart) } == [1, 1, 0.1])
    // Nobody is there to take what the new one leaves.
    group.update("a", to: [], now: .at(4))
    group.update("b", to: [], now: .at(4))
    group.update("a", to: addresses("10.0.0.4"), now: .at(5))
    #expect(group.endpoints.map { $0.share(now: .at(5), slowStart: slowStart) } == [1])
  }
}

@Suite("servers")
struct ServerTests {
  @Test("an operator's word comes before the configuration's until it is taken back")
  func overrides() throws {
    let server = Server(try ServerRules("ws://chat", weight: 5, drain: true))
    #expect(!server.takesNewTunnels)
    #expect(server.weight == 5)
    #expect(!server.isOverridden)
    server.override(drain: false, weight: nil)
    #expect(server.takesNewTunnels)
    #expect(server.weight == 5)
    #expect(server.isOverridden)
    server.override(drain: nil, weight: 7)
    #expect(server.takesNewTunnels)
    #expect(server.weight == 7)
    server.override(drain: true, weight: nil)
    #expect(!server.takesNewTunnels)
    #expect(server.weight == 7)
    server.revert()
    #expect(!server.takesNewTunnels)
    #expect(server.weight == 5)
    #expect(!server.isOverridden)
  }

  @Test(
    "a weight is cut to what there is",
    arguments: [(.min, 1), (-1, 1), (0, 1), (1, 1), (1000, 1000), (1001, 1000), (.max, 1000)])
  func limits(weight: Int, expected: Int) throws {
    let server = Server(try ServerRules("ws://chat", weight: weight))
    #expect(server.weight == expected)
    server.override(drain: nil, weight: weight)
    #expect(server.weight == expected)
  }
}
