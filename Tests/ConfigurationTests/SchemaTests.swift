import Admission
import Foundation
import Logging
import Net
import Signaling
import Telemetry
import Testing
import Token
import Tunnel
import Upstream

@testable import Configuration

/// The repository's own files, beside the sources.
enum Repository {
  static let folder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  static func contents(_ path: String) throws -> String {
    try String(contentsOfFile: "\(Self.folder)/\(path)", encoding: .utf8)
  }
}

@Suite("the default file, the schema and the manual say the same as the decoder")
struct SchemaTests {
  /// The keys that the decoder knows, by the pattern of their mapping's place.
  private static func knownKeys() throws -> [String: [String]] {
    let reading = try Configuration.reading(
      yaml: wholeExample, path: "a.json", directory: Fixtures.folder,
      environment: Fixtures.environment)
    _ = try reading.decode(ConfigurationSection.self)
    return reading.knownKeys
  }

  @Test("the whole example has every key that the decoder knows")
  func exampleIsWhole() throws {
    var found: [String: Set<String>] = [:]
    for case (let place, .mapping(let members)) in try JSONValue.read(json: wholeExample).parts() {
      found[place.pattern, default: []].formUnion(members.keys)
    }
    for (pattern, keys) in try Self.knownKeys() {
      #expect(found[pattern] == Set(keys), "\(pattern)")
    }
  }

  @Test("the schema has the decoder's keys in each mapping, no more and no fewer")
  func schemaKeys() throws {
    let schema = try Schema(json: Repository.contents("config/sluice.schema.json"))
    let known = try Self.knownKeys().mapValues(Set.init)
    #expect(schema.knownKeys() == known)
  }

  @Test("the schema accepts what the decoder accepts")
  func schemaAccepts() throws {
    let schema = try Schema(json: Repository.contents("config/sluice.schema.json"))
    #expect(schema.faults(of: try JSONValue.read(json: wholeExample)) == [])
    let file = try JSONValue.read(yaml: Repository.contents("config/sluice.yaml"))
    #expect(schema.faults(of: file) == [])
  }

  @Test("the schema's defaults are the decoder's")
  func schemaDefaults() throws {
    let schema = try Schema(json: Repository.contents("config/sluice.schema.json"))
    let configuration = try Fixtures.parse(
      Fixtures.file(
        route: """
          limits: { messages: { rate: 1/s }, bytes: { rate: 1B/s } }
          auth: { jwt: { jwks: { url: "https://x" } }, forward: { url: "https://x" } }
          http: {}
          cors: {}
          """,
        upstream: "health_check: {}\neject: {}\nsticky_cookie: {}"))
    let (check, cookie) = (
      try #require(configuration.upstreams[0].healthCheck),
      try #require(configuration.upstreams[0].stickyCookie)
    )
    let eject = try #require(configuration.upstreams[0].eject)
    #expect(check.request == .http(path: "/", statuses: 200...399))
    let (route, group) = (configuration.routes[0], configuration.upstreams[0])
    let (limits, tunnel) = (configuration.limits, configuration.routes[0].tunnel)
    let jwt = try #require(route.admission.credentials?.jwt)
    let keySet = try #require(configuration.keySets.first)
    let forward = try #require(route.admission.credentials?.forward)
    let heartbeat = try #require(tunnel.heartbeat)
    let (http, keepAlive) = (try #require(route.http), try #require(group.keepAlive))
    let cors = try #require(http.cors)
    let (messages, bytes) = (try #require(tunnel.messages), try #require(tunnel.bytes))
    let part = """
      { turn: { urls: ["turn:x"], secrets: [x] },
        webhooks: { url: "https://x", secret: 0123456789abcdeF } }
      """
    let roomRoute = try #require(try Fixtures.parse(Fixtures.rooms(part)).routes.first)
    let (rooms, webhook) = (try #require(roomRoute.rooms), try #require(roomRoute.webhook))
    let turn = try #require(rooms.turn)
    let expected: [(definition: String?, key: String, value: JSONValue?)] = [
      (nil, "shutdown_grace", .text(Quantity.text(of: configuration.shutdownGrace))),
      (nil, "trace", .flag(configuration.traces)),
      (nil, "drain_over", .text(Quantity.text(of: configuration.drainOver))),
      ("limits", "connections", .number(limits.connections)),
      ("limits", "handshake_timeout", .text(Quantity.text(of: limits.handshakeTimeout))),
      ("limits", "head_size", .text(Quantity.text(ofByteCount: limits.headByteCountMax))),
      ("limits", "queued", .text(Quantity.text(ofByteCount: limits.queuedByteCountMax))),
      ("limits", "keepalive_timeout", .text(Quantity.text(of: limits.keepAliveTimeout))),
      ("limits", "streams", .number(limits.streamCountMax)),
      ("listener", "http2", nil),
      ("listener", "proxy_protocol", nil),
      ("listener", "redirect_to_https", .flag(configuration.listeners[0].httpsPort != nil)),
      ("route", "http", .flag(false)),
      ("route", "cors", .flag(false)),
      ("http", "response_timeout", .text(Quantity.text(of: http.responseTimeout))),
      ("http", "silence_timeout", .text(Quantity.text(of: http.silenceTimeout))),
      ("http", "body_size", nil),
      ("cors", "methods", .list(cors.methods.map(JSONValue.text))),
      ("cors", "headers", cors.requestFields == .any ? .text("any") : nil),
      ("cors", "expose", nil),
      ("cors", "credentials", .flag(cors.allowsCredentials)),
      ("cors", "max_age", .text(Quantity.text(of: cors.maxAge))),
      ("upstream", "keepalive", .flag(true)),
      ("upstream", "proxy_protocol", nil),
      ("keepalive", "connections", .number(keepAlive.connectionCountMax)),
      ("keepalive", "timeout", .text(Quantity.text(of: keepAlive.idleTimeout))),
      ("route", "require_origin", .flag(route.admission.requireOrigin)),
      ("route", "idle_timeout", .text(Quantity.text(of: tunnel.idleTimeout))),
      ("route", "stall_timeout", .text(Quantity.text(of: tunnel.stallTimeout))),
      ("route", "max_lifetime", nil),
      ("route", "compression", .text(tunnel.compression.rawValue)),
      ("jwt", "on_expiry", .text(jwt.onExpiry.rawValue)),
      ("jwks", "refresh", .text(Quantity.text(of: keySet.refresh))),
      ("forward", "timeout", .text(Quantity.text(of: forward.timeout))),
      ("message_limit", "exceed", .text(messages.excess.rawValue)),
      ("message_limit", "from", .text(messages.from.rawValue)),
      ("byte_limit", "exceed", .text(bytes.excess.rawValue)),
      ("byte_limit", "from", .text(bytes.from.rawValue)),
      ("heartbeat", "interval", .text(Quantity.text(of: heartbeat.interval))),
      ("heartbeat", "timeout", .text(Quantity.text(of: heartbeat.timeout))),
      ("heartbeat", "to", .text(heartbeat.to.rawValue)),
      ("rooms", "max_peers", .number(rooms.peerCountMax)),
      ("rooms", "resume_window", .text(Quantity.text(of: rooms.resumeWindow))),
      ("rooms", "create", .text(rooms.creation.rawValue)),
      ("rooms", "empty_room_ttl", .text(Quantity.text(of: rooms.emptyRoomTTL))),
      ("rooms", "password", nil),
      ("rooms", "demo", .flag(rooms.demo)),
      ("listed_room", "max_peers", nil),
      ("room_limits", "rooms", .number(rooms.limits.roomCountMax)),
      ("room_limits", "peers", .number(rooms.limits.peerCountMax)),
      ("room_limits", "rooms_per_client", rooms.limits.roomsPerClientMax.map(JSONValue.number)),
      ("room_limits", "outbox", .text(Quantity.text(ofByteCount: rooms.limits.outboxByteCountMax))),
      ("turn", "ttl", .text(Quantity.text(of: turn.ttl))),
      ("webhooks", "timeout", .text(Quantity.text(of: webhook.timeout))),
      ("webhooks", "queue", .number(webhook.queueCountMax)),
      ("upstream", "balance", .text(group.balance.rawValue)),
      ("upstream", "connect_timeout", .text(Quantity.text(of: group.connectTimeout))),
      ("upstream", "retries", .number(group.retries)),
      ("upstream", "hash_on", nil),
      ("upstream", "slow_start", nil),
      ("server", "drain", .flag(group.servers[0].drain)),
      ("health_check", "request", .text("http")),
      ("health_check", "path", .text("/")),
      ("health_check", "statuses", .text("200-399")),
      ("health_check", "interval", .text(Quantity.text(of: check.interval))),
      ("health_check", "timeout", .text(Quantity.text(of: check.timeout))),
      ("health_check", "unhealthy_after", .number(check.unhealthyAfter)),
      ("health_check", "healthy_after", .number(check.healthyAfter)),
      ("health_check", "on_unhealthy", .text(check.onUnhealthy.rawValue)),
      ("eject", "consecutive_failures", .number(eject.consecutiveFailures)),
      ("eject", "for", .text(Quantity.text(of: eject.duration))),
      ("sticky_cookie", "name", .text(cookie.name)),
      ("sticky_cookie", "ttl", .text(Quantity.text(of: cookie.ttl))),
      ("sticky_cookie", "same_site", .text(cookie.sameSite.rawValue)),
      ("server", "weight", .number(group.servers[0].weight)),
      ("log", "format", .text(configuration.log.format.rawValue)),
      ("log", "level", .text(configuration.log.level.rawValue)),
      ("log", "access", .flag(configuration.log.access)),
    ]
    for (definition, key, value) in expected {
      #expect(schema.defaultValue(of: key, in: definition) == value, "\(key)")
    }
  }

  @Test(
    "the schema refuses what the decoder refuses",
    arguments: [
      "workers: 0", "workers: many", "worker: 1", "shutdown_grace: 30", "log: { level: loud }",
      "limits: { head_size: 64KB }", "trusted_proxies: []", "log: { access: maybe }",
      "limits: { streams: 0 }", "limits: { streams: 1001 }", "limits: { keepalive_timeout: 75 }",
    ])
  func schemaRefuses(line: String) throws {
    try Self.expectRefusal(of: Fixtures.file(top: line))
  }

  @Test(
    "the schema refuses what the decoder refuses of a route",
    arguments: [
      "heartbeat: never", "heartbeat: { interval: 5 }", "heartbeat: { to: all }",
      "heartbeat: { every: 5s }", "stall_timeout: 30", "max_lifetime: off", "compression: gzip",
      "limits: { message_size: 1MB }", "limits: { messages: { burst: 1 } }",
      "limits: { messages: { rate: 1KiB/s } }", "limits: { messages: { rate: 1/s, burst: 0 } }",
      "limits: { messages: { rate: 1/s, exceed: drop } }", "limits: { bytes: { rate: 50/s } }",
      "limits: { bytes: { rate: 1MiB/d } }", "limits: { bytes: { rate: 1MiB/s, burst: 4096 } }",
      "limits: { bytes: { rate: 1MiB/s, from: peer } }",
      "auth: { jwt: { jwks: {} } }", "auth: { jwt: { jwks: { url: ftp://x } } }",
      "auth: { jwt: { jwks: { url: https://x, refresh: 30 } } }",
      "auth: { forward: { timeout: 1s } }", "auth: { forward: { url: x } }",
      "auth: { forward: { url: https://x, headers: [] } }",
      "http: maybe", "http: 1", "http: [GET]", "http: { timeout: 5s }", "http: { body_size: 1MB }",
      "http: { response_timeout: 60 }", "http: true\ncors: any",
      "http: true\ncors: { methods: [] }", "http: true\ncors: { methods: GET }",
      "http: true\ncors: { headers: all-of-them }", "http: true\ncors: { expose: any }",
      "http: true\ncors: { credentials: include }", "http: true\ncors: { max_age: 600 }",
      "http: true\ncors: { origins: any }",
      "http: true\nlimits: { requests_per_client: 10 }",
      "http: true\nlimits: { requests_per_client: { burst: 10 } }",
    ])
  func schemaRefusesOfRoute(line: String) throws {
    try Self.expectRefusal(of: Fixtures.file(route: line))
  }

  @Test(
    "the schema refuses what the decoder refuses of a listener",
    arguments: [
      "http2: maybe", "http2: 2", "proxy_protocol: []", "proxy_protocol: 10.0.0.0/8",
      "redirect_to_https: 0", "redirect_to_https: 65536", "redirect_to_https: \"443\"",
      "acme_challenges: \"\"", "acme_challenges: [acme]", "http3: true",
    ])
  func schemaRefusesOfListener(line: String) throws {
    try Self.expectRefusal(of: Fixtures.file(listener: "{ address: 127.0.0.1:8080, \(line) }"))
  }

  @Test(
    "the schema refuses what the decoder refuses of an upstream",
    arguments: [
      "keepalive: maybe", "keepalive: 64", "keepalive: { connections: 0 }",
      "keepalive: { connections: 10001 }", "keepalive: { timeout: 60 }", "keepalive: { idle: 1s }",
      "proxy_protocol: v3", "proxy_protocol: 2", "proxy_protocol: true",
    ])
  func schemaRefusesOfUpstream(line: String) throws {
    try Self.expectRefusal(of: Fixtures.file(upstream: line))
  }

  private static func expectRefusal(of yaml: String) throws {
    let schema = try Schema(json: Repository.contents("config/sluice.schema.json"))
    #expect(!Fixtures.problems(yaml).isEmpty)
    #expect(schema.faults(of: try JSONValue.read(yaml: yaml)).count == 1)
  }

  @Test(
    "the schema refuses what the decoder refuses of rooms",
    arguments: [
      "max_peers: 0", "max_peers: 1001", "max_peers: many", "resume_window: 30", "create: nobody",
      "create: listed", "list: []", "list: [a b]", "list: [{ max_peers: 5 }]",
      "list: [{ name: a, peers: 5 }]", "empty_room_ttl: 1w", "password: 5", "room: a",
      "limits: { rooms: 0 }", "limits: { peers: 10000001 }", "limits: { rooms_per_client: 0 }",
      "limits: { outbox: 64KB }", "stun: []", "stun: [\"turn:x\"]", "stun: [\"stun://x\"]",
      "stun: [\"stun:x?transport=udp\"]", "turn: { secrets: [x] }",
      "turn: { urls: [\"turn:x\"] }", "turn: { urls: [\"turn:x\"], secrets: [] }",
      "turn: { urls: [\"turn:x\"], secrets: [x, y, z] }",
      "turn: { urls: [\"turn:x?transport=sctp\"], secrets: [x] }",
      "turn: { urls: [\"turn:x\"], secrets: [x], ttl: 1 }", "webhooks: { url: \"https://x\" }",
      "webhooks: { url: x, secret: 0123456789abcdeF }",
      "webhooks: { url: \"https://x\", secret: 0123456789abcdeF, queue: 99 }", "demo: maybe",
    ])
  func schemaRefusesOfRooms(line: String) throws {
    try Self.expectRefusal(of: Fixtures.rooms("{ \(line) }"))
  }

  @Test(
    "the schema refuses what the decoder refuses beside rooms",
    arguments: [
      "upstream: a", "compression: pass", "headers: { remove: [X-A] }",
      "rewrite: { set_prefix: /a }", "idle_timeout: 5m", "http: true", "cors: true",
    ])
  func schemaRefusesBesideRooms(line: String) throws {
    let schema = try Schema(json: Repository.contents("config/sluice.schema.json"))
    #expect(schema.faults(of: try JSONValue.read(yaml: Fixtures.rooms())) == [])
    let yaml = Fixtures.rooms(route: line)
    #expect(Fixtures.problems(yaml).count == 1)
    #expect(schema.faults(of: try JSONValue.read(yaml: yaml)).count == 1)
    let neither = yaml.replacingOccurrences(of: "    rooms: {}\n    \(line)", with: "")
    #expect(Fixtures.problems(neither).count == 1)
    #expect(schema.faults(of: try JSONValue.read(yaml: neither)).count == 1)
  }

  @Test("the default file and the manual name every key")
  func everyKeyIsNamed() throws {
    let file = try Repository.contents("config/sluice.yaml")
    let manual = try Repository.contents("docs/configuration.md")
    for (pattern, keys) in try Self.knownKeys() {
      for key in keys {
        #expect(file.contains("\(key):"), "config/sluice.yaml does not name \(pattern) \(key)")
        #expect(
          manual.contains("`\(key)`"), "docs/configuration.md does not name \(pattern) \(key)")
      }
    }
  }

  /// A folder with the files that config/sluice.yaml names, and `config/` for itself.
  private static func checkout(_ name: String) throws -> String {
    let folder = "\(Fixtures.folder)/\(name)"
    for name in ["config/acme", "certs/dev"] {
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    let copies = [
      ("one.crt", "certs/dev/localhost.pem"), ("one.key", "certs/dev/localhost-key.pem"),
      ("one.crt", "config/clients.pem"), ("one.crt", "config/ca.pem"),
      ("keys.txt", "config/keys.txt"), ("secret.txt", "config/board.txt"),
    ]
    for (source, copy) in copies {
      try FileManager.default.copyItem(
        atPath: "\(Fixtures.folder)/\(source)", toPath: "\(folder)/\(copy)")
    }
    return folder
  }

  @Test("the default file with all its comments as keys is right too, and has every key")
  func uncommentedFile() throws {
    let file = try Repository.contents("config/sluice.yaml")
    let lines = file.components(separatedBy: "\n").compactMap { line -> String? in
      // The example of `origins` takes the place of what is in force.
      if line == "    origins: any" { return nil }
      return line.replacing(/^( *)# ( *(?:- |[a-z_]+:(?: |$)))/) { "\($0.output.1)\($0.output.2)" }
    }
    let yaml = lines.joined(separator: "\n").replacing("path: / ", with: "path: /chat/ ")
      .replacing("balance: round_robin", with: "balance: hash")
    let folder = try Self.checkout("uncommented")
    let reading = try Configuration.reading(
      yaml: yaml, path: "sluice.yaml", directory: "\(folder)/config",
      environment: Fixtures.environment)
    do {
      let configuration = try reading.decode(ConfigurationSection.self).configuration
      #expect(configuration.limits == .init())
      #expect(configuration.shutdownGrace == .seconds(30))
      let echo = try #require(configuration.routes.first { $0.name == "echo" })
      #expect(
        echo.tunnel
          == TunnelRules(
            messageByteCountMax: 1 << 20, messages: .init(perSecond: 50, burst: 100),
            bytes: .init(perSecond: 0x1p20, burst: 0x1p22), lifetimeMax: .seconds(86_400)))
      #expect(echo.admission.credentials?.jwt?.onExpiry == .close)
      let rooms = try #require(configuration.routes.first?.rooms)
      #expect(rooms.limits == RoomRules.Limits(roomsPerClientMax: 10))
      #expect(rooms.listed.map(\.name.description) == ["standup", "board"])
      #expect(rooms.resumeWindow == RoomRules().resumeWindow)
      #expect(configuration.routes.first?.webhook?.queueCountMax == 10_000)
      #expect(echo.http == HTTPRules(bodyByteCountMax: 10 << 20, cors: echo.http?.cors))
      #expect(echo.http?.cors == CORSRules(exposedFields: ["X-Request-Id"]))
      #expect(configuration.listeners.map(\.http2) == [true, false])
      #expect(configuration.upstreams[0].keepAlive == KeepAliveRules())
      #expect(configuration.upstreams[0].connectTimeout == .seconds(3))
      #expect(configuration.upstreams[0].servers.count == 3)
    } catch {
      Issue.record("\(error)")
    }
    // That one is a comment behind a key, because it excludes `keys`.
    let known = try Self.knownKeys().filter { $0.key != "routes[].auth.jwt.jwks" }
    #expect(Set(reading.knownKeys.keys) == Set(known.keys))
  }

  @Test("the default file is right once its certificate is there")
  func defaultFile() throws {
    let folder = try Self.checkout("default")
    Fixtures.write(
      try Repository.contents("config/sluice.yaml"), to: "config/sluice.yaml", in: folder)
    let configuration = try Configuration.load(
      path: "\(folder)/config/sluice.yaml", environment: [:])
    #expect(
      configuration.listeners.map(\.address.description) == ["0.0.0.0:8443", "127.0.0.1:8080"])
    #expect(configuration.listeners.map { $0.tls != nil } == [true, false])
    #expect(configuration.upstreams[0].servers.map(\.url.description) == ["ws://127.0.0.1:9001"])
    #expect(configuration.routes[0].match.matches(host: "localhost", path: "/any/path"))
    #expect(configuration.routes[0].admission.origins == .any)
    #expect(configuration.log.format == .text)
  }
}
