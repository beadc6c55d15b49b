import Admission
import HTTP
import Net
import Testing
import Upstream

@testable import Configuration

@Suite("ordinary requests, HTTP/2 and the PROXY protocol")
struct HTTPRulesTests {
  private static func listener(_ more: String = "") throws -> ListenerRules {
    let yaml = Fixtures.file(listener: "{ address: 127.0.0.1:8080\(more) }")
    return try #require(try Fixtures.parse(yaml).listeners.first)
  }

  private static func route(_ lines: String) throws -> RouteRules {
    try #require(try Fixtures.parse(Fixtures.file(route: lines)).routes.first)
  }

  private static func group(_ lines: String = "") throws -> GroupRules {
    try #require(try Fixtures.parse(Fixtures.file(upstream: lines)).upstreams.first)
  }

  static let tls = ", tls: { certificates: [{ certificate: one.crt, key: one.key }] }"

  @Test(
    "HTTP/2 goes with TLS, unless the file says otherwise",
    arguments: [
      ("", false), (tls, true), (", http2: true", true), (tls + ", http2: false", false),
      (tls + ", http2: \"${EMPTY:-true}\"", true),
    ])
  func http2(more: String, expected: Bool) throws {
    #expect(try Self.listener(more).http2 == expected)
  }

  @Test("a listener made in code has it as one of a file")
  func listenerInCode() throws {
    let address = try #require(SocketAddress(parsing: "127.0.0.1:1"))
    let rules = ListenerRules(address: address)
    #expect(!rules.http2 && rules.proxyProtocol.isEmpty)
    #expect(rules.httpsPort == nil && rules.challengeDirectory == nil)
    #expect(ListenerRules(address: address, http2: true).http2)
    #expect(ListenerRules(address: address, tls: try Self.listener(Self.tls).tls).http2)
  }

  @Test(
    "where requests are sent to come again",
    arguments: [
      ("", nil), (", redirect_to_https: false", nil), (", redirect_to_https: true", 443),
      (", redirect_to_https: 8443", 8443), (", redirect_to_https: 65535", 65_535),
      (", redirect_to_https: \"${EMPTY:-444}\"", 444), (tls + ", redirect_to_https: false", nil),
    ] as [(String, UInt16?)])
  func redirects(more: String, expected: UInt16?) throws {
    #expect(try Self.listener(more).httpsPort == expected)
  }

  @Test("every key of listeners, routes and upstreams")
  func whole() throws {
    let configuration = try Fixtures.parse(wholeExample)
    let (secure, plain) = (configuration.listeners[0], configuration.listeners[1])
    #expect(!secure.http2 && plain.http2)
    #expect(
      secure.proxyProtocol == ["10.0.0.0/8", "2001:db8::/32"].compactMap(AddressRange.init))
    #expect(plain.proxyProtocol.isEmpty)
    #expect(secure.httpsPort == nil && plain.httpsPort == 8443)
    #expect(plain.challengeDirectory == "\(Fixtures.folder)/acme")
    let chat = configuration.routes[0]
    let cors = CORSRules(
      methods: ["GET", "PUT"], requestFields: .listed(["X-A", "Content-Type"]),
      exposedFields: ["X-B"], allowsCredentials: true, maxAge: .seconds(3600))
    #expect(
      chat.http
        == HTTPRules(
          responseTimeout: .seconds(90), silenceTimeout: .seconds(120),
          bodyByteCountMax: 10 << 20, cors: cors))
    #expect(chat.admission.requestsPerClient == Rate(permitsPerSecond: 100, burst: 300))
    #expect(chat.admission.upgradesPerClient == Rate(permitsPerSecond: 10, burst: 20))
    #expect(configuration.routes[1].http == HTTPRules(cors: CORSRules()))
    #expect(
      configuration.routes[1].admission.requestsPerClient == Rate(permitsPerSecond: 5, burst: 5))
    #expect(configuration.routes[2].http == nil && configuration.routes[3].http == nil)
    let groups = configuration.upstreams
    #expect(
      groups[0].keepAlive == KeepAliveRules(connectionCountMax: 16, idleTimeout: .seconds(30)))
    #expect(groups[1].keepAlive == nil && groups[2].keepAlive == nil)
    #expect(groups.map(\.proxyProtocol) == [nil, .v1, nil])
  }

  @Test(
    "a route forwards what it says",
    arguments: [
      ("", nil), ("http: false", nil), ("http: true", HTTPRules()), ("http: {}", HTTPRules()),
      ("http: ${EMPTY:-true}", HTTPRules()), ("http: false\ncors: false", nil),
      ("cors: false", nil), ("http: true\ncors: false", HTTPRules()),
      ("http: true\ncors: true", HTTPRules(cors: CORSRules())),
      ("http: true\ncors: { headers: any }", HTTPRules(cors: CORSRules())),
      (
        "http: { response_timeout: 100ms, silence_timeout: 24h, body_size: 1B }",
        HTTPRules(
          responseTimeout: .milliseconds(100), silenceTimeout: .seconds(86_400),
          bodyByteCountMax: 1)
      ),
      (
        "http: true\ncors: { max_age: 0s, methods: [DELETE, M-SEARCH] }",
        HTTPRules(cors: CORSRules(methods: ["DELETE", "M-SEARCH"], maxAge: .zero))
      ),
    ] as [(String, HTTPRules?)])
  func routes(lines: String, expected: HTTPRules?) throws {
    #expect(try Self.route(lines).http == expected)
  }

  @Test("the defaults are those of the manual")
  func defaults() {
    let (http, cors, keepAlive) = (HTTPRules(), CORSRules(), KeepAliveRules())
    #expect(http.responseTimeout == .seconds(60) && http.silenceTimeout == .seconds(300))
    #expect(http.bodyByteCountMax == nil && http.cors == nil)
    #expect(cors.methods == ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    #expect(cors.requestFields == .any && cors.exposedFields.isEmpty)
    #expect(!cors.allowsCredentials && cors.maxAge == .seconds(600))
    #expect(keepAlive.connectionCountMax == 64 && keepAlive.idleTimeout == .seconds(60))
  }

  @Test(
    "connections to servers are kept, unless the file says otherwise",
    arguments: [
      ("", KeepAliveRules()), ("keepalive: true", KeepAliveRules()),
      ("keepalive: {}", KeepAliveRules()), ("keepalive: false", nil),
      ("keepalive: { connections: 1 }", KeepAliveRules(connectionCountMax: 1)),
      ("keepalive: { timeout: 1h }", KeepAliveRules(idleTimeout: .seconds(3600))),
      ("proxy_protocol: v2", nil), ("proxy_protocol: v1\nkeepalive: false", nil),
    ] as [(String, KeepAliveRules?)])
  func keepAlive(lines: String, expected: KeepAliveRules?) throws {
    #expect(try Self.group(lines).keepAlive == expected)
  }

  @Test("a group made in code keeps no connection that speaks for one client")
  func groupInCode() {
    #expect(GroupRules(name: "a", servers: []).keepAlive == KeepAliveRules())
    #expect(GroupRules(name: "a", servers: [], proxyProtocol: .v2).keepAlive == nil)
  }

  static let listeners: [Fault] = [
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:8080\n    http2: on\n    proxy_protocol: []"),
      "a.yaml:3: listeners[0].http2: \"on\" is not true or false",
      "a.yaml:4: listeners[0].proxy_protocol: the list is empty"),
    Fault(
      Fixtures.file(
        listener: "address: 127.0.0.1:8080\n    proxy_protocol: [10.0.0.1/8, proxy.example.com]"),
      "a.yaml:3: listeners[0].proxy_protocol[0]: \"10.0.0.1/8\" is not a block of addresses (…",
      "a.yaml:3: listeners[0].proxy_protocol[1]: \"proxy.example.com\" is not a block of addresses (…"
    ),
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:8080\n    proxy_protocol: true"),
      "a.yaml:3: listeners[0].proxy_protocol: a list is expected, true is one value"),
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:8080\n    redirect_to_https: 0"),
      "a.yaml:3: listeners[0].redirect_to_https: 0 is not a whole number from 1 to 65535"),
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:8080\n    redirect_to_https: \"443\""),
      "a.yaml:3: listeners[0].redirect_to_https: \"443\" is not true, false or a port"),
    Fault(
      Fixtures.file(listener: "{ address: 127.0.0.1:8080\(tls), redirect_to_https: true }"),
      "a.yaml:2: listeners[0].redirect_to_https: contradiction: what comes here comes over TLS "
        + "already"),
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:8080\n    acme_challenges: nowhere"),
      "a.yaml:3: listeners[0].acme_challenges: \(Fixtures.folder)/nowhere: no such directory"),
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:8080\n    acme_challenges: keys.txt"),
      "a.yaml:3: listeners[0].acme_challenges: \(Fixtures.folder)/keys.txt: it is not a directory"),
    // All of it in one go, also where the address itself is wrong.
    Fault(
      Fixtures.file(
        listener: "address: here\n    http2: 2\n    redirect_to_https: no\n    http1: 1"),
      "a.yaml:2: listeners[0].address: \"here\" is not an address: …",
      "a.yaml:3: listeners[0].http2: 2 is not true or false",
      "a.yaml:4: listeners[0].redirect_to_https: \"no\" is not true, false or a port",
      "a.yaml:5: listeners[0].http1: unknown key, did you mean \"http2\"?"),
  ]

  static let requests: [Fault] = [
    Fault(
      Fixtures.file(route: "http: yes"),
      "a.yaml:8: routes[0].http: true, false or keys and values are expected, \"yes\" is one value"),
    Fault(
      Fixtures.file(route: "http: [GET]"),
      "a.yaml:8: routes[0].http: keys and values are expected, a list is given"),
    Fault(
      Fixtures.file(
        route: """
          http:
            response_timeout: 99ms
            silence_timeout: 25h
            body_size: 0B
            bodysize: 1B
          """),
      "a.yaml:9: routes[0].http.response_timeout: \"99ms\" is out of range: 100ms to 1h",
      "a.yaml:10: routes[0].http.silence_timeout: \"25h\" is out of range: 1s to 1d",
      "a.yaml:11: routes[0].http.body_size: \"0B\" is out of range: 1B to 1024GiB",
      "a.yaml:12: routes[0].http.bodysize: unknown key, did you mean \"body_size\"?"),
    Fault(
      Fixtures.file(route: "cors: true\nlimits: { requests_per_client: 1/s }"),
      "a.yaml:8: routes[0].cors: contradiction: it goes with `http`, without which only WebSockets "
        + "are forwarded",
      "a.yaml:9: routes[0].limits.requests_per_client: contradiction: it goes with `http`, without "
        + "which only WebSockets are forwarded"),
    Fault(
      Fixtures.file(route: "http: false\ncors: {}"),
      "a.yaml:9: routes[0].cors: contradiction: it goes with `http`…"),
    Fault(
      Fixtures.file(route: "http: true\nlimits: { requests_per_client: { rate: 1/d, size: 5 } }"),
      "a.yaml:9: routes[0].limits.requests_per_client.size: unknown key",
      "a.yaml:9: routes[0].limits.requests_per_client.rate: \"1/d\" is not a rate (N/s, N/m or N/h)"
    ),
    Fault(
      Fixtures.file(top: "limits: { keepalive_timeout: 0s, streams: 1001 }"),
      "a.yaml:11: limits.keepalive_timeout: \"0s\" is out of range: 1s to 1h",
      "a.yaml:11: limits.streams: 1001 is not a whole number from 1 to 1000"),
  ]

  static let crossOrigin: [Fault] = [
    Fault(
      Fixtures.file(route: "http: true\ncors: { credentials: true }"),
      "a.yaml:9: routes[0].cors.credentials: contradiction: with `origins: any` every page of the "
        + "web could read and do what its visitor may; list the origins"),
    Fault(
      Fixtures.file(
        route: "http: true\ncors:\n  methods: [GET, patch, TRACE, \"*\", GET]\n  headers: all"),
      "a.yaml:10: routes[0].cors.methods[1]: \"patch\" is not a method: they are words in upper case"
        + ", as PATCH",
      "a.yaml:10: routes[0].cors.methods[2]: TRACE is a method that no browser lets a page use",
      "a.yaml:10: routes[0].cors.methods[3]: \"*\" is not a method: …",
      "a.yaml:10: routes[0].cors.methods[4]: duplicate: GET stands here twice",
      "a.yaml:11: routes[0].cors.headers: `any` or a list of fields is expected, \"all\" is one value"
    ),
    Fault(
      Fixtures.file(
        route: "http: true\ncors:\n  headers: [X-A, x-a, \"*\"]\n  expose: [\"a b\"]\n  max_age: 2d"
      ),
      "a.yaml:10: routes[0].cors.headers[1]: duplicate: x-a stands here twice",
      "a.yaml:10: routes[0].cors.headers[2]: \"*\" is not the name of a field (RFC 9110 §5.1)",
      "a.yaml:11: routes[0].cors.expose[0]: \"a b\" is not the name of a field (RFC 9110 §5.1)",
      "a.yaml:12: routes[0].cors.max_age: \"2d\" is out of range: 0s to 1d"),
    Fault(
      Fixtures.file(route: "http: true\ncors: { origins: any, expose: any }"),
      "a.yaml:9: routes[0].cors.origins: unknown key",
      "a.yaml:9: routes[0].cors.expose: a list is expected, \"any\" is one value"),
  ]

  static let servers: [Fault] = [
    Fault(
      Fixtures.file(upstream: "proxy_protocol: v3\nkeepalive: 64"),
      "a.yaml:11: upstreams[0].proxy_protocol: \"v3\" is not one of v1, v2, did you mean \"v1\"?",
      "a.yaml:12: upstreams[0].keepalive: true, false or keys and values are expected, 64 is one "
        + "value"),
    Fault(
      Fixtures.file(upstream: "keepalive: { connections: 0, timeout: 0s, idle: 1s }"),
      "a.yaml:11: upstreams[0].keepalive.idle: unknown key",
      "a.yaml:11: upstreams[0].keepalive.connections: 0 is not a whole number from 1 to 10000",
      "a.yaml:11: upstreams[0].keepalive.timeout: \"0s\" is out of range: 1s to 1h"),
  ]

  @Test("what is wrong with listeners", arguments: listeners)
  func faultyListeners(fault: Fault) { fault.expectProblems() }

  @Test("what is wrong with ordinary requests", arguments: requests)
  func faultyRequests(fault: Fault) { fault.expectProblems() }

  @Test("what is wrong with CORS", arguments: crossOrigin)
  func faultyCORS(fault: Fault) { fault.expectProblems() }

  @Test("what is wrong with connections to servers", arguments: servers)
  func faultyServers(fault: Fault) { fault.expectProblems() }

  @Test("a connection that speaks for one client is not kept", arguments: ["true", "{}"])
  func contradiction(value: String) {
    let yaml = Fixtures.file(upstream: "proxy_protocol: v1\nkeepalive: \(value)")
    #expect(
      Fixtures.problems(yaml) == [
        "a.yaml:12: upstreams[0].keepalive: contradiction: the header of proxy_protocol speaks for "
          + "one client, and so does its connection"
      ])
  }
}
