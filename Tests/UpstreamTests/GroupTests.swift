import Net
import Testing

@testable import Upstream

@Suite("groups")
struct GroupTests {
  @Test("servers with an address are there at once, those with a name when it is known")
  func begin() throws {
    let group = try Group("ws://10.0.0.1:80", "unix:/a", "ws://chat:9000", "ws://chat:9001")
    #expect(group.names == ["chat"])
    #expect(group.endpointCount == 2)
    group.update("chat", to: addresses("10.0.0.7", "::7"))
    #expect(group.endpointCount == 6)
    group.update("other", to: addresses("10.0.0.8"))
    #expect(group.endpointCount == 6)
    group.update("chat", to: [])
    #expect(group.endpointCount == 2)
  }

  @Test("a pick counts, and nobody who was tried is picked again")
  func picks() throws {
    let group = try Group("ws://10.0.0.1:80", "ws://10.0.0.2:80")
    let first = try #require(group.picked())
    #expect(first.connectionCount == 1)
    let second = try #require(group.picked(avoiding: [first]))
    #expect(second !== first)
    #expect(group.picked(avoiding: [first, second]) == nil)
    #expect(first.connectionCount == 1)
    first.end()
    #expect(first.connectionCount == 0)
    #expect(second.connectionCount == 1)
  }

  @Test("an address that stays keeps its load; a new one begins with none")
  func keepsLoad() throws {
    let group = try Group("ws://chat:9000", balance: .leastConnections)
    group.update("chat", to: addresses("10.0.0.1"))
    let old = try #require(group.picked())
    group.update("chat", to: addresses("10.0.0.2", "10.0.0.1"))
    let new = try #require(group.picked())
    #expect(new !== old)
    #expect(new.address == .ip(.v4(0x0A00_0002), port: 9000))
    #expect(old.connectionCount == 1)
    let again = try #require(group.picked(avoiding: [new]))
    #expect(again === old)
    #expect(old.connectionCount == 2)

    group.update("chat", to: addresses("10.0.0.2"))
    #expect(group.picked(avoiding: [new]) == nil)
    // Tunnels to an address that is gone end as others do.
    old.end()
    old.end()
    #expect(old.connectionCount == 0)
  }

  @Test("a group without a known server picks nobody")
  func unknown() throws {
    #expect(try Group("ws://chat").picked() == nil)
  }

  @Test("endpoints have a host to verify and a label for records")
  func labels() throws {
    let group = try Group("ws://chat:9000", "wss://10.0.0.2", "unix:/run/a.sock", "ws://[::1]")
    group.update("chat", to: addresses("10.0.0.1"))
    var seen: [String: String] = [:]
    var tried: [Endpoint] = []
    while let endpoint = group.picked(avoiding: tried) {
      seen[endpoint.label] = endpoint.host
      tried.append(endpoint)
    }
    #expect(
      seen == [
        "ws://chat:9000 (10.0.0.1:9000)": "chat", "wss://10.0.0.2:443": "10.0.0.2",
        "unix:/run/a.sock": "localhost", "ws://[::1]:80": "::1",
      ])
  }
}
