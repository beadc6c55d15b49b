import Admission
import HTTP
import Logging
import Net
import TLS
import Telemetry
import Testing
import Token
import Tunnel
import Upstream

@testable import Configuration

@Suite("a file that is right")
struct ConfigurationTests {
  @Test("nothing but what must be there gets the defaults")
  func defaults() throws {
    let configuration = try Fixtures.parse(Fixtures.file())
    #expect(configuration.workers == nil)
    #expect(configuration.shutdownGrace == .seconds(30))
    #expect(configuration.trustedProxies.isEmpty)
    #expect(configuration.limits == .init())
    #expect(configuration.limits.connections == 100_000)
    #expect(configuration.limits.handshakeTimeout == .seconds(10))
    #expect(configuration.limits.headByteCountMax == 16_384)
    #expect(configuration.limits.queuedByteCountMax == 268_435_456)
    #expect(configuration.limits.keepAliveTimeout == .seconds(75))
    #expect(configuration.limits.streamCountMax == 128)
    #expect(configuration.log == LogRules(format: .json, level: .info, access: true))
    #expect(configuration.listeners.map(\.address.description) == ["127.0.0.1:8080"])
    #expect(configuration.listeners[0].tls == nil)
  }

  @Test("a route without more admits as its origins say and forwards as it came")
  func routeDefaults() throws {
    let route = try #require(try Fixtures.parse(Fixtures.file()).routes.first)
    #expect(route.name == "main")
    #expect(route.match.matches(host: "any.example.com", path: "/x"))
    #expect(route.admission.origins == .any)
    #expect(route.admission.requireOrigin == false)
    #expect(route.admission.credentials == nil)
    #expect(route.admission.connectionsPerClient == nil)
    #expect(route.admission.upgradesPerClient == nil)
    #expect(route.tunnel == TunnelRules())
    #expect(route.headers.set.isEmpty && route.headers.remove.isEmpty && route.headers.host == nil)
    #expect(route.stripPrefix == nil && route.setPrefix == nil)
    #expect(route.upstream == "backend")
  }

  @Test("a group without more takes turns and tries twice again")
  func upstreamDefaults() throws {
    let group = try #require(try Fixtures.parse(Fixtures.file()).upstreams.first)
    #expect(group.name == "backend")
    #expect(group.servers.map(\.url.description) == ["ws://127.0.0.1:9001"])
    #expect(group.servers.map(\.weight) == [1])
    #expect(group.balance == .roundRobin)
    #expect(group.tls == nil)
    #expect(group.connectTimeout == .seconds(3))
    #expect(group.retries == 2)
  }

  @Test("every key, in JSON, which YAML contains: what is global")
  func wholeTop() throws {
    let configuration = try Fixtures.parse(wholeExample)
    #expect(configuration.workers == 2)
    #expect(configuration.shutdownGrace == .seconds(45))
    #expect(configuration.trustedProxies.count == 2)
    #expect(configuration.limits.connections == 5000)
    #expect(configuration.limits.handshakeTimeout == .milliseconds(2500))
    #expect(configuration.limits.headByteCountMax == 8192)
    #expect(configuration.limits.queuedByteCountMax == 67_108_864)
    #expect(configuration.limits.keepAliveTimeout == .seconds(90))
    #expect(configuration.limits.streamCountMax == 100)
    #expect(configuration.log == LogRules(format: .text, level: .debug, access: false))
    let listeners = configuration.listeners
    #expect(
      listeners.map(\.address.description) == ["0.0.0.0:8443", "unix:\(Fixtures.folder)/edge.sock"])
    #expect(listeners.map { $0.tls != nil } == [true, false])
    let folder = Fixtures.folder
    #expect(
      listeners[0].tlsSource
        == ListenerTLSSource(
          certificates: [
            CertificateFiles(certificate: "\(folder)/one.crt", key: "\(folder)/one.key"),
            CertificateFiles(certificate: "\(folder)/two.crt", key: "\(folder)/two.key"),
          ], minimumVersion: .tls13, clientCA: "\(folder)/one.crt"))
  }

  @Test("every key: routes")
  func wholeRoutes() throws {
    let routes = try Fixtures.parse(wholeExample).routes
    #expect(routes.map(\.name) == ["chat", "fetched", "rooms", "rest"])
    let chat = try #require(routes.first)
    #expect(chat.match.matches(host: "a.chat.example.com", path: "/chat/1"))
    #expect(!chat.match.matches(host: "example.com", path: "/chat/1"))
    #expect(chat.admission.requireOrigin)
    #expect(chat.admission.connectionsPerClient == 20)
    #expect(chat.admission.upgradesPerClient == Rate(permitsPerSecond: 10, burst: 20))
    #expect(chat.headers.set.map(\.name) == ["X-Edge"])
    #expect(chat.headers.set.map(\.value) == ["sluice"])
    #expect(chat.headers.host == "inner")
    #expect(chat.headers.remove == ["X-Debug"])
    #expect(chat.stripPrefix == "/chat" && chat.setPrefix == "/ws")
    guard case .listed(let origins) = chat.admission.origins else {
      Issue.record("origins are listed")
      return
    }
    #expect(
      origins.map(\.description) == ["https://example.com", "https://*.example.com", "null"])
  }

  @Test("every key: credentials")
  func wholeCredentials() throws {
    let routes = try Fixtures.parse(wholeExample).routes
    let credentials = try #require(routes[0].admission.credentials)
    let jwt = try #require(credentials.jwt)
    #expect(
      jwt.sources == [.authorization, .subprotocol, .cookie("session"), .query("access_token")])
    #expect(jwt.forwardClaims.map(\.claim) == ["sub", "team.name"])
    #expect(jwt.forwardClaims.map(\.field) == ["X-Auth-Subject", "X-Auth-Team"])
    #expect(jwt.onExpiry == .ignore)
    let keys = try #require(credentials.apiKeys)
    #expect(keys.header == "X-Key")
    for key in ["first-key", "second-key", "third-key"] { #expect(keys.admits(key)) }
    for key in ["# ours", "", "file:keys.txt", " second-key "] { #expect(!keys.admits(key)) }
    let forward = try #require(credentials.forward)
    #expect(forward.url.text == "http://127.0.0.1:7000/authorize")
    #expect(forward.timeout == .milliseconds(500))
    #expect(forward.fields == ["X-User", "X-Role"])
    #expect(forward.subjectField == "X-User")
    #expect(
      credentials.identityFieldNames == ["X-Auth-Subject", "X-Auth-Team", "X-User", "X-Role"])
    let rest = try #require(routes[3].admission.credentials)
    #expect(rest.jwt?.sources == [.authorization])
    #expect(rest.jwt?.onExpiry == .close)
    #expect(rest.apiKeys == nil)
    #expect(rest.forward == nil)
  }

  @Test("the same set for the same place, whatever else a file says; reading it fetches nothing")
  func keySets() throws {
    let surroundings = Surroundings()
    func keySets(_ rules: String) throws -> [RemoteKeySet] {
      let yaml = Fixtures.file(route: "auth: { jwt: { issuer: x, jwks: { \(rules) } } }")
      return try Configuration.parse(
        yaml: yaml, path: "a.yaml", directory: Fixtures.folder, surroundings: surroundings
      ).keySets
    }
    let place = "url: https://id.example.com/keys"
    let first = try #require(try keySets(place).first)
    #expect(first.refresh == .seconds(300))
    #expect(try keySets("\(place), refresh: 5m").first === first)
    #expect(try keySets("\(place), refresh: 1h").first !== first)
    #expect(try keySets("file: jwks.json").isEmpty)
  }

  @Test("every key: upstreams, one of which no route uses")
  func wholeUpstreams() throws {
    let groups = try Fixtures.parse(wholeExample).upstreams
    #expect(groups.map(\.name) == ["chat-backend", "other", "unused"])
    #expect(
      groups[0].servers.map(\.url.description)
        == ["ws://10.0.0.1:9001", "wss://10.0.0.2:9001", "unix:\(Fixtures.folder)/chat.sock"])
    #expect(groups[0].servers.map(\.weight) == [1, 2, 1])
    #expect(groups[0].servers.map(\.drain) == [false, true, false])
    #expect(groups[0].balance == .hash)
    #expect(groups[0].hashOn == .cookie("session"))
    #expect(
      groups[0].stickyCookie
        == StickyCookieRules(name: "where", ttl: .seconds(7200), sameSite: .strict))
    #expect(
      groups[0].healthCheck
        == HealthRules(
          unhealthyAfter: 4, healthyAfter: 1, interval: .seconds(1), timeout: .milliseconds(500),
          request: .http(path: "/healthz", statuses: 200...299), onUnhealthy: .keep))
    #expect(groups[0].eject == EjectionRules(consecutiveFailures: 7, duration: .seconds(60)))
    #expect(groups[0].slowStart == .seconds(10))
    #expect(groups[1].healthCheck == nil && groups[1].eject == nil && groups[1].slowStart == nil)
    #expect(groups[0].tls?.serverName == "chat.internal")
    #expect(groups[0].connectTimeout == .seconds(1))
    #expect(groups[0].retries == 0)
    #expect(groups.map { $0.tls != nil } == [true, false, false])
  }

  @Test("servers with TLS are verified also where nothing says how")
  func defaultVerification() throws {
    let yaml = Fixtures.file(server: "ws://127.0.0.1, https://example.com")
    #expect(try Fixtures.parse(yaml).upstreams[0].tls != nil)
  }

  @Test("anchors, aliases and merged mappings")
  func anchors() throws {
    let configuration = try Fixtures.parse(
      """
      listeners: [{ address: 127.0.0.1:8080 }]
      routes:
        - &first
          name: a
          match: { path: /a/ }
          origins: &origins [https://example.com]
          idle_timeout: 5s
          upstream: &name backend
        - <<: *first
          name: b
          match: { path: /b/ }
          origins: *origins
        - name: c
          match: { path: / }
          origins: *origins
          upstream: *name
      upstreams: [{ name: backend, servers: [ws://127.0.0.1:1] }]
      """)
    #expect(configuration.routes.map(\.name) == ["a", "b", "c"])
    #expect(
      configuration.routes.map(\.tunnel.idleTimeout)
        == [.seconds(5), .seconds(5), .seconds(600)])
    #expect(configuration.routes.map(\.upstream) == ["backend", "backend", "backend"])
  }

  @Test("variables hold text, numbers, flags and words alike")
  func variables() throws {
    let yaml = Fixtures.file(
      top: """
        workers: ${W}
        limits: { connections: "${C:-7}", head_size: "${S:-2KiB}" }
        log: { access: "${A}", level: "${L:-warning}" }
        """, server: "\"${HOST:-ws://127.0.0.1}:${PORT}\"")
    let configuration = try Configuration.parse(
      yaml: yaml, path: "a.yaml", directory: ".",
      environment: ["W": "3", "A": "false", "PORT": "81"])
    #expect(configuration.workers == 3)
    #expect(configuration.limits.connections == 7)
    #expect(configuration.limits.headByteCountMax == 2048)
    #expect(configuration.log == LogRules(level: .warning, access: false))
    #expect(configuration.upstreams[0].servers[0].url.description == "ws://127.0.0.1:81")
    let words = try Configuration.parse(
      yaml: Fixtures.file(top: "workers: ${W}", origins: "${O}"), path: "a.yaml", directory: ".",
      environment: ["W": "auto", "O": "any"])
    #expect(words.workers == nil)
    #expect(words.routes[0].admission.origins == .any)
  }

  @Test("a rate without a burst allows at once what it allows in a second, and at least one")
  func burst() throws {
    for (rate, expected) in [
      ("50/s", Rate(permitsPerSecond: 50, burst: 50)),
      ("6/m", Rate(permitsPerSecond: 0.1, burst: 1)),
      ("7200/h", Rate(permitsPerSecond: 2, burst: 2)),
    ] {
      for value in ["{ rate: \(rate) }", rate] {
        let yaml = Fixtures.file(route: "limits: { upgrades_per_client: \(value) }")
        #expect(try Fixtures.parse(yaml).routes[0].admission.upgradesPerClient == expected)
      }
    }
  }

  @Test("proxy makes one route for everything")
  func proxy() throws {
    let address = try #require(SocketAddress(parsing: "127.0.0.1:8080"))
    let plain = try Configuration.proxy(
      to: ServerURL(parsing: "ws://127.0.0.1:3000"),
      listeners: [ListenerRules(address: address)])
    #expect(plain.listeners.map(\.address) == [address])
    #expect(plain.listeners[0].tls == nil)
    #expect(plain.routes.count == 1)
    #expect(plain.routes[0].match.matches(host: "x", path: "/anything"))
    #expect(plain.routes[0].admission.origins == .any)
    #expect(plain.routes[0].upstream == plain.upstreams[0].name)
    #expect(plain.upstreams[0].tls == nil)
    #expect(plain.routes[0].http == HTTPRules())
    let secure = try Configuration.proxy(
      to: ServerURL(parsing: "wss://example.com"), listeners: plain.listeners)
    #expect(secure.upstreams[0].tls != nil)
  }
}
