import Net
import Testing

@testable import Upstream

/// A reload makes new groups, which take over from those of the same name.
@Suite("groups that replace others")
struct InheritanceTests {
  private static let (a, b, c) = ("ws://10.0.0.1:80", "ws://10.0.0.2:80", "ws://10.0.0.3:80")

  /// As a reload that left the rules as they are, but for the servers.
  private static func successor(
    of group: Group, _ servers: [ServerRules], now: Deadline = .at(0)
  ) -> Group {
    var rules = group.rules
    rules.servers = servers
    return Group(rules, inheriting: group, now: now)
  }

  @Test("servers that stay keep their endpoints, load and all, wherever they stand now")
  func load() throws {
    let old = try Group(Self.a, Self.b, balance: .leastConnections)
    let (first, second) = (old.endpoints[0], old.endpoints[1])
    for _ in 0..<3 { second.begin() }
    let new = try Group(Self.c, Self.b, Self.a, balance: .leastConnections, inheriting: old)
    #expect(new.endpoints.count == 3)
    #expect(new.endpoints[1] === second)
    #expect(new.endpoints[2] === first)
    #expect(new.endpoints[0].connectionCount == 0)
    #expect(new.urls(of: (0..<4).map { _ in new.picked() }).allSatisfy { $0 != Self.b })
    second.end()
    #expect(new.endpoints[1].connectionCount == 2)
  }

  @Test("addresses of a name stay, too, and the next answer finds those that are known")
  func names() throws {
    let old = try Group("ws://chat:9000", Self.a)
    old.update("chat", to: addresses("10.0.1.1", "10.0.1.2"))
    let before = old.endpoints
    let new = try Group(Self.b, "ws://chat:9000", inheriting: old)
    #expect(new.endpointCount == 3)
    #expect(new.endpoints[1] === before[0])
    new.update("chat", to: addresses("10.0.1.2", "10.0.1.3"))
    #expect(new.endpoints[1] === before[1])
    #expect(new.endpointCount == 3)
    #expect(old.endpointCount == 3)
  }

  @Test("another port or scheme is another server")
  func otherURL() throws {
    let old = try Group("ws://chat:9000", Self.a)
    old.update("chat", to: addresses("10.0.1.1"))
    let new = try Group("ws://chat:9001", "wss://10.0.0.1:80", inheriting: old)
    #expect(new.endpointCount == 1)
    #expect(new.endpoints.allSatisfy { endpoint in !old.endpoints.contains { $0 === endpoint } })
    for (url, isThere) in [("ws://chat:9001", true), ("ws://chat:9000", false), (Self.a, false)] {
      #expect(new.has(try ServerURL(parsing: url)) == isThere)
    }
  }

  @Test("those that left while tunnels live are known when they come back")
  func retired() throws {
    let old = try Group("ws://chat:9000", Self.a)
    old.update("chat", to: addresses("10.0.1.1", "10.0.1.2"))
    let (busy, idle, fixed) = (old.endpoints[0], old.endpoints[1], old.endpoints[2])
    busy.begin()
    fixed.begin()
    // The name loses both, and then the reloads take and give back the server with an address.
    old.update("chat", to: [])
    let without = try Group("ws://chat:9000", inheriting: old)
    #expect(without.endpointCount == 0)
    let with = try Group("ws://chat:9000", Self.a, inheriting: without)
    #expect(with.endpoints.count == 1)
    #expect(with.endpoints[0] === fixed)
    with.update("chat", to: addresses("10.0.1.1", "10.0.1.2"))
    #expect(with.endpoints[0] === busy)
    #expect(with.endpoints[1] !== idle)
  }

  @Test("who left and has no tunnel is forgotten")
  func forgotten() throws {
    let old = try Group(Self.a, Self.b)
    let first = old.endpoints[0]
    let without = try Group(Self.b, inheriting: old)
    let with = try Group(Self.a, Self.b, inheriting: without)
    #expect(with.endpoints[0] !== first)
    #expect(with.endpoints[1] === old.endpoints[1])
  }

  /// What the group goes by.
  private static func standings(_ group: Group, now: Deadline) -> [Health.Standing] {
    group.endpoints.map { $0.standing(now: now, under: group.rules) }
  }

  @Test("health counts as long as the rules ask for it")
  func health() throws {
    var rules = try GroupRules([Self.a, Self.b])
    let old = Group(rules)
    old.endpoints[0].becomeUnhealthy()
    old.endpoints[1].becomeEjected()
    let new = Group(rules, inheriting: old, now: .at(1))
    #expect(Self.standings(new, now: .at(1)) == [.unhealthy, .ejected])
    #expect(new.endpoints[0].probeDetail == "refused")
    // Nobody would ever find out that the first one lives again.
    rules.healthCheck = nil
    let unprobed = Group(rules, inheriting: new, now: .at(2))
    #expect(Self.standings(unprobed, now: .at(2)) == [.healthy, .ejected])
    #expect(
      unprobed.urls(of: (0..<4).map { _ in unprobed.picked(now: .at(2)) }).allSatisfy {
        $0 == Self.a
      })
    rules.eject = nil
    let carefree = Group(rules, inheriting: unprobed, now: .at(3))
    #expect(Self.standings(carefree, now: .at(3)) == [.healthy, .healthy])
  }

  @Test("a group that is replaced goes by what it knew: the reload may yet fail")
  func untouched() throws {
    var rules = try GroupRules([Self.a, Self.b])
    let old = Group(rules)
    old.endpoints[0].becomeUnhealthy()
    old.endpoints[1].becomeEjected()
    rules.healthCheck = nil
    rules.eject = nil
    let new = Group(rules, inheriting: old, now: .at(1))
    #expect(Self.standings(old, now: .at(1)) == [.unhealthy, .ejected])
    // The prober may not have heard of the reload yet.
    new.endpoints[1].becomeUnhealthy()
    #expect(Self.standings(new, now: .at(1)) == [.healthy, .healthy])
    #expect(new.hasHealthyServer(now: .at(1)))
    #expect(new.picked(now: .at(1)) != nil)
  }

  @Test("what was not looked at meanwhile is forgotten when it is asked for again")
  func askedForAgain() throws {
    let rules = try GroupRules([Self.a, Self.b])
    let old = Group(rules)
    old.endpoints[0].becomeUnhealthy()
    old.endpoints[1].becomeEjected()
    var carefree = rules
    carefree.healthCheck = nil
    carefree.eject = nil
    let meanwhile = Group(carefree, inheriting: old, now: .at(1))
    let new = Group(rules, inheriting: meanwhile, now: .at(2))
    #expect(Self.standings(new, now: .at(2)) == [.healthy, .healthy])
    #expect(new.endpoints[0].probeDetail == nil)
  }

  @Test("an operator's overrides stay where the server's rules do")
  func overrides() throws {
    let servers = [try ServerRules(Self.a), try ServerRules(Self.b, weight: 2)]
    let old = Group(GroupRules(name: "chat", servers: servers))
    for server in old.servers { server.override(drain: true, weight: 9) }
    let same = Self.successor(of: old, servers.reversed())
    #expect(same.servers.map(\.weight) == [9, 9])
    #expect(same.servers.allSatisfy { !$0.takesNewTunnels })
    #expect(same.servers[0].rules == servers[1])

    let changed = Self.successor(of: same, [servers[0], try ServerRules(Self.b, weight: 3)])
    #expect(changed.servers.map(\.weight) == [9, 3])
    #expect(changed.servers.map(\.takesNewTunnels) == [false, true])
    // The endpoints stay all the same.
    #expect(changed.endpoints[1] === old.endpoints[1])
  }

  @Test("a server that is added to others takes less at first")
  func slowStart() throws {
    let old = try Group(Self.a, "ws://chat:9000")
    old.update("chat", to: addresses("10.0.1.1"), now: .at(0))
    let servers = try [Self.a, Self.b, "ws://chat:9000", "ws://new:80"].map { try ServerRules($0) }
    let new = Self.successor(of: old, servers, now: .at(10))
    new.update("new", to: addresses("10.0.2.1"), now: .at(15))
    let shares = new.endpoints.map { $0.share(now: .at(15), slowStart: .seconds(10)) }
    #expect(shares == [1, 0.55, 1, 0.1])
  }

  @Test("servers that come after nobody take all at once")
  func afterNobody() throws {
    let old = try Group("ws://chat:9000")
    let new = try Group(Self.a, Self.b, inheriting: old)
    #expect(new.endpoints.map { $0.share(now: .at(0), slowStart: .seconds(10)) } == [1, 1])
  }

  @Test("the listing has every server, with those that it has now")
  func listing() throws {
    let group = try Group(Self.a, "ws://chat:9000", "ws://other:80")
    group.update("chat", to: addresses("10.0.1.1", "10.0.1.2"))
    let listing = group.listing()
    #expect(listing.map(\.server.rules.url) == group.rules.servers.map(\.url))
    #expect(listing.map(\.endpoints.count) == [1, 2, 0])
    #expect(listing[0].server === group.servers[0])
  }
}
