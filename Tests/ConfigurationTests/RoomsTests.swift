import Admission
import HTTP
import Net
import Signaling
import Telemetry
import Testing
import Tunnel

@testable import Configuration

@Suite("what routes say about their rooms")
struct RoomsTests {
  /// The route of a file with rooms.
  private static func route(_ rooms: String, route: String = "") throws -> RouteRules {
    try #require(try Fixtures.parse(Fixtures.rooms(rooms, route: route)).routes.first)
  }

  @Test("every key")
  func whole() throws {
    let route = try #require(try Fixtures.parse(wholeExample).routes.first { $0.rooms != nil })
    let rooms = try #require(route.rooms)
    let (standup, board) = (
      try #require(RoomName("standup")), try #require(RoomName("board~1"))
    )
    #expect(
      rooms
        == RoomRules(
          peerCountMax: 16, resumeWindow: .seconds(60), creation: .token,
          listed: [
            .init(name: standup),
            .init(
              name: board, peerCountMax: 8, password: "a secret from a file, 32 octets or more"),
          ], emptyRoomTTL: .seconds(300), password: "swordfish",
          limits: .init(
            roomCountMax: 100, peerCountMax: 500, roomsPerClientMax: 10,
            outboxByteCountMax: 262_144), stunURLs: ["stun:stun.example.com:3478"],
          turn: TURNRules(
            urls: ["turn:turn.example.com:3478?transport=udp", "turns:turn.example.com"],
            secrets: ["a secret of the TURN server", "a secret from a file, 32 octets or more"],
            ttl: .seconds(7200)), demo: false))
    #expect(
      route.webhook
        == WebhookRules(
          url: try WebURL(parsing: "https://app.example.com/hooks"),
          secret: "a secret for webhooks", timeout: .seconds(2), queueCountMax: 500))
    #expect(
      route.tunnel
        == TunnelRules(
          messageByteCountMax: 131_072,
          messages: .init(perSecond: 30, burst: 60, excess: .close, from: .client),
          heartbeat: .init(interval: .seconds(15), timeout: .seconds(5), to: .client),
          stallTimeout: .seconds(10), lifetimeMax: .seconds(3600)))
    #expect(route.upstream == nil)
    #expect(route.admission.credentials?.jwt?.onExpiry == .close)
  }

  @Test("without any there are rooms for everybody, and no upstream is needed")
  func defaults() throws {
    let configuration = try Fixtures.parse(Fixtures.rooms())
    #expect(configuration.upstreams.isEmpty)
    let route = try #require(configuration.routes.first)
    #expect(route.rooms == RoomRules())
    #expect(route.webhook == nil)
    #expect(route.tunnel == TunnelRules(messageByteCountMax: 65_536))
  }

  @Test("parts without more have the defaults of rules made in code")
  func partDefaults() throws {
    let route = try Self.route(
      """
      { limits: {}, turn: { urls: ["turn:x"], secrets: [y] },
        webhooks: { url: "http://x", secret: 0123456789abcdeF } }
      """)
    let turn = TURNRules(urls: ["turn:x"], secrets: ["y"])
    #expect(route.rooms == RoomRules(turn: turn))
    #expect(
      route.webhook
        == WebhookRules(url: try WebURL(parsing: "http://x"), secret: "0123456789abcdeF"))
  }

  @Test("what is at the ends of the ranges")
  func bounds() throws {
    let low = try Self.route(
      """
      { max_peers: 1, resume_window: 0s, empty_room_ttl: 0s,
        limits: { rooms: 1, peers: 1, rooms_per_client: 1, outbox: 64KiB },
        turn: { urls: ["turn:x"], secrets: [y], ttl: 1m },
        webhooks: { url: "http://x", secret: 0123456789abcdeF, timeout: 100ms, queue: 100 } }
      """, route: "limits: { message_size: 1KiB }")
    #expect(low.rooms?.peerCountMax == 1 && low.rooms?.resumeWindow == .zero)
    #expect(low.rooms?.emptyRoomTTL == .zero && low.rooms?.turn?.ttl == .seconds(60))
    #expect(
      low.rooms?.limits
        == .init(
          roomCountMax: 1, peerCountMax: 1, roomsPerClientMax: 1, outboxByteCountMax: 65_536))
    #expect(low.webhook?.timeout == .milliseconds(100) && low.webhook?.queueCountMax == 100)
    #expect(low.tunnel.messageByteCountMax == 1024)
    let high = try Self.route(
      """
      { max_peers: 1000, resume_window: 1h, empty_room_ttl: 24h,
        limits: { rooms: 1000000, peers: 10000000, rooms_per_client: 1000000, outbox: 64MiB },
        turn: { urls: ["turn:x"], secrets: [y, z], ttl: 7d },
        webhooks: { url: "http://x", secret: 0123456789abcdeF, timeout: 30s, queue: 1000000 } }
      """, route: "limits: { message_size: 1MiB }")
    #expect(high.rooms?.peerCountMax == 1000 && high.rooms?.resumeWindow == .seconds(3600))
    #expect(high.rooms?.turn?.secrets == ["y", "z"])
    #expect(high.tunnel.messageByteCountMax == 1_048_576)
  }

  @Test("rooms that are listed are all that there are, or have rules of their own")
  func listed() throws {
    let standup = try #require(RoomName("standup"))
    for creation in RoomRules.Creation.allCases where creation != .token {
      let rooms = try Self.route("{ create: \(creation.rawValue), list: [standup] }").rooms
      #expect(rooms == RoomRules(creation: creation, listed: [.init(name: standup)]))
    }
  }

  @Test("what holds for a route's tunnels as for any other's")
  func tunnels() throws {
    let route = try Self.route(
      "{}",
      route: """
        limits: { bytes: { rate: 1MiB/s, from: client }, connections_per_client: 3 }
        heartbeat: { interval: 5s, to: client }
        auth: { jwt: { jwks: { file: jwks.json }, on_expiry: close }, forward: { url: http://x } }
        """)
    #expect(route.tunnel.bytes == .init(perSecond: 0x1p20, burst: 0x1p18))
    #expect(route.tunnel.heartbeat == .init(interval: .seconds(5)))
    #expect(route.admission.connectionsPerClient == 3)
    #expect(try Self.route("{}", route: "heartbeat: off").tunnel.heartbeat == nil)
  }

  @Test("rooms without a file")
  func withoutFile() throws {
    let address = try #require(SocketAddress(parsing: "127.0.0.1:8080"))
    let listeners = [ListenerRules(address: address)]
    let configuration = try Configuration.rooms(listeners: listeners)
    #expect(configuration.listeners.map(\.address) == [address])
    #expect(configuration.upstreams.isEmpty)
    #expect(configuration.log == LogRules(format: .text))
    let route = try #require(configuration.routes.first)
    #expect(configuration.routes.count == 1)
    #expect(route.name == "rooms")
    #expect(route.match.matches(host: "any.example.com", path: "/rooms/standup"))
    #expect(!route.match.matches(host: "any.example.com", path: "/rooms"))
    #expect(route.admission.origins == .any)
    #expect(route.rooms == RoomRules())
    // The same as that of a file which says nothing.
    #expect(route.tunnel == (try Self.route("{}").tunnel))
    let small = try Configuration.rooms(
      path: "/", rules: RoomRules(peerCountMax: 2), listeners: listeners)
    #expect(small.routes[0].rooms == RoomRules(peerCountMax: 2))
    #expect(small.routes[0].match.matches(host: "x", path: "/standup"))
    for path in ["/rooms", "rooms/", "/a b/"] {
      #expect(throws: PatternError.self) {
        try Configuration.rooms(path: path, listeners: listeners)
      }
    }
  }

  @Test(
    "where STUN and TURN servers are",
    arguments: [
      ("stun:stun.example.com", ICEURL.Kind.stun), ("stuns:stun.example.com:5349", .stun),
      ("STUN:192.0.2.1:1", .stun), ("stun:[2001:db8::1]", .stun), ("stun:[::1]:65535", .stun),
      ("turn:turn.example.com", .turn), ("turn:a-b.example:3478?transport=udp", .turn),
      ("turns:turn.example.com:443?transport=tcp", .turn), ("turn:[::1]:1?transport=tcp", .turn),
    ])
  func urls(text: String, kind: ICEURL.Kind) throws {
    #expect(try ICEURL(parsing: text, as: kind).text == text)
  }

  @Test(
    "where they are not",
    arguments: [
      ("", ICEURL.Kind.stun), ("stun", .stun), ("stun:", .stun), ("stun:x:", .stun),
      ("stun:x:0", .stun), ("stun:x:65536", .stun), ("stun:x:+1", .stun), ("stun:x:1:2", .stun),
      ("stun::1", .stun), ("stun:2001:db8::1", .stun), ("stun:[::1", .stun), ("stun:[x]", .stun),
      ("stun:*.example.com", .stun), ("stun:a b", .stun), ("stun:x/", .stun), ("stun:x#", .stun),
      ("stun:x?transport=udp", .stun), ("turn:x", .stun), ("stun:x", .turn), ("turnx:x", .turn),
      ("turn://x", .turn), ("turn:user@x", .turn), ("turn:x?", .turn), ("turn:x?transport", .turn),
      ("turn:x?transport=sctp", .turn), ("turn:x?transport=UDP", .turn),
      ("turn:x?transport=udp?", .turn), ("turn:x?transport=udp&a=b", .turn), ("turn:é.test", .turn),
      (" turn:x", .turn), ("turn:x\n", .turn),
    ])
  func noURLs(text: String, kind: ICEURL.Kind) {
    #expect(throws: ICEURLError.self) { try ICEURL(parsing: text, as: kind) }
  }
}
