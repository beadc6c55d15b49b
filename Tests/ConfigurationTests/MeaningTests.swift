import Foundation
import Testing

@testable import Configuration

@Suite("what is well-formed and still wrong")
struct MeaningTests {
  static let names: [Fault] = [
    Fault(
      Fixtures.file(upstream: "\n").replacingOccurrences(
        of: "upstream: backend", with: "upstream: backedn"),
      "a.yaml:6: routes[0].upstream: there is no upstream \"backedn\", did you mean \"backend\"?"),
    Fault(
      """
      listeners: [{ address: 127.0.0.1:1 }, { address: 127.0.0.1:1 }]
      routes:
        - { name: a, match: { path: /a }, origins: any, upstream: b }
        - { name: a, match: { path: /b }, origins: any, upstream: b }
      upstreams:
        - { name: b, servers: [ws://127.0.0.1:1, http://127.0.0.1:1] }
        - { name: b, servers: [ws://127.0.0.1:2] }
      """,
      "a.yaml:1: listeners[1].address: duplicate: \"127.0.0.1:1\" is also listeners[0].address on line 1",
      "a.yaml:4: routes[1].name: duplicate: \"a\" is also routes[0].name on line 3",
      "a.yaml:6: upstreams[0].servers[1]: duplicate: ws://127.0.0.1:1 is also upstreams[0].servers[0] …",
      "a.yaml:7: upstreams[1].name: duplicate: \"b\" is also upstreams[0].name on line 6"),
    Fault(
      Fixtures.file(server: "{ weight: 2 }"), "a.yaml:10: upstreams[0].servers[0].url: missing"),
    Fault(
      Fixtures.file(server: "{ url: ws://x, weight: 1001 }"),
      "a.yaml:10: upstreams[0].servers[0].weight: 1001 is not a whole number from 1 to 1000"),
    Fault(
      Fixtures.file(top: "admin: { address: \"[::]:9900\" }"),
      "a.yaml:11: admin.token: missing: other machines can reach [::]:9900, and would need none"),
    Fault(
      Fixtures.file(top: "admin: { address: 127.0.0.1:9900, token: short }"),
      "a.yaml:11: admin.token: it is short: 16 octets at least"),
    Fault(
      Fixtures.file(top: "admin: { token: 0123456789abcdef }"), "a.yaml:11: admin.address: missing"),
    Fault(
      Fixtures.file(upstream: "balance: hash"),
      "a.yaml:9: upstreams[0].hash_on: missing: what decides on the server …"),
    Fault(
      Fixtures.file(upstream: "hash_on: client_address"),
      "a.yaml:11: upstreams[0].hash_on: contradiction: it goes with balance: hash"),
    Fault(
      Fixtures.file(upstream: "health_check: { request: upgrade, statuses: 204 }"),
      "a.yaml:11: upstreams[0].health_check.statuses: contradiction: an upgrade is answered …"),
    Fault(
      Fixtures.file(server: "ws://x/path"),
      "a.yaml:10: upstreams[0].servers[0]: \"ws://x/path\" has a path: …"),
    Fault(
      Fixtures.file(upstream: "tls: { server_name: x }"),
      "a.yaml:11: upstreams[0].tls: contradiction: no server has the scheme wss or https"),
    Fault(
      Fixtures.file(upstream: "tls: { ca: nowhere.pem }", server: "wss://x"),
      "a.yaml:11: upstreams[0].tls.ca: …"),
    Fault(
      Fixtures.file(listener: "address: unix:\(String(repeating: "x", count: 108))"),
      "a.yaml:2: listeners[0].address: …1 to 107 octets"),
  ]

  static let routes: [Fault] = [
    Fault(
      Fixtures.file().replacingOccurrences(of: "    origins: any\n", with: ""),
      "a.yaml:4: routes[0].origins: missing: `any`, or a list …"),
    Fault(
      Fixtures.file(origins: "https://example.com"),
      "a.yaml:7: routes[0].origins: `any` or a list of origins is expected, "
        + "\"https://example.com\" is one value"),
    Fault(
      Fixtures.file(origins: "[any, null, https://x/y]"),
      "a.yaml:7: routes[0].origins[0]: `any` stands alone, as in `origins: any`",
      "a.yaml:7: routes[0].origins[1]: there is no value: …the word null stands in quotes)",
      "a.yaml:7: routes[0].origins[2]: \"https://x/y\" is not an origin: …"),
    Fault(Fixtures.file(origins: "[]"), "a.yaml:7: routes[0].origins: the list is empty"),
    Fault(
      Fixtures.file().replacingOccurrences(of: "{ path: / }", with: "{}"),
      "a.yaml:5: routes[0].match: hosts, a path or both are needed …"),
    Fault(
      Fixtures.file(route: "auth: {}"),
      "a.yaml:8: routes[0].auth: jwt, api_keys, forward or several are needed…"),
    Fault(
      Fixtures.file(
        route:
          "headers: { set: { Upgrade: x, \"a b\": c, X-A: \"1\\n2\", X-B: 1 }, remove: [Host, x-a] }"
      ),
      "a.yaml:8: routes[0].headers.set.Upgrade: Upgrade makes the handshake …",
      "a.yaml:8: routes[0].headers.set.a b: \"a b\" is not the name of a field (RFC 9110 §5.1)",
      "a.yaml:8: routes[0].headers.set.X-A: not the value of a field: …",
      "a.yaml:8: routes[0].headers.set.X-B: the value is no text without quotes: …",
      "a.yaml:8: routes[0].headers.remove[0]: Host can be set but not removed: …",
      "a.yaml:8: routes[0].headers.remove[1]: contradiction: x-a stands here twice"),
    Fault(
      Fixtures.file(route: "headers: { set: { host: a b } }"),
      "a.yaml:8: routes[0].headers.set.host: \"a b\" is not a host, perhaps with a port"),
    Fault(
      Fixtures.file(route: "headers: {}\nrewrite: {}"),
      "a.yaml:8: routes[0].headers: set, remove or both are needed",
      "a.yaml:9: routes[0].rewrite: strip_prefix, set_prefix or both are needed"),
    Fault(
      Fixtures.file(route: "rewrite: { strip_prefix: /chat, set_prefix: \"x?\" }"),
      "a.yaml:8: routes[0].rewrite.set_prefix: \"x?\" is not the beginning of a path: …",
      "a.yaml:8: routes[0].rewrite.strip_prefix: contradiction: the route's path \"/\" does not begin "
        + "with \"/chat\""),
    Fault(
      Fixtures.file(
        route:
          "limits:\n  connections_per_client: 0\n  upgrades_per_client: { rate: 50/x, burst: 0 }"),
      "a.yaml:9: routes[0].limits.connections_per_client: 0 is not …",
      "a.yaml:10: routes[0].limits.upgrades_per_client.rate: \"50/x\" is not a rate (N/s, N/m or N/h)",
      "a.yaml:10: routes[0].limits.upgrades_per_client.burst: 0 is not …"),
    Fault(
      Fixtures.file(route: "limits: { upgrades_per_client: 10 }"),
      "a.yaml:8: routes[0].limits.upgrades_per_client: 10 is not a rate (N/s, N/m or N/h)"),
  ]

  static let credentials: [Fault] = [
    Fault(
      Fixtures.file(route: "auth: { jwt: { issuer: x } }"),
      "a.yaml:8: routes[0].auth.jwt: keys or jwks is needed: no token could be verified"),
    Fault(
      Fixtures.file(route: "auth: { jwt: { jwks: { file: jwks.json }, keys: [] } }"),
      "a.yaml:8: routes[0].auth.jwt.jwks: contradiction: keys are given too; leave one of the two out"
    ),
    Fault(
      Fixtures.file(
        route: """
          auth:
            jwt:
              keys:
                - { algorithm: HS265, secret: x }
                - { algorithm: HS256 }
                - { algorithm: HS256, secret: short }
                - { algorithm: ES256, secret: x }
                - { algorithm: ES256, public_key: missing.pem }
                - { algorithm: RS256, public_key: one.pub }
          """),
      "a.yaml:11: routes[0].auth.jwt.keys[0].algorithm: \"HS265\" is not one of …did you mean \"HS256\"?",
      "a.yaml:12: routes[0].auth.jwt.keys[1].secret: missing: HS256 takes it",
      "a.yaml:13: routes[0].auth.jwt.keys[2].secret: …",
      "a.yaml:14: routes[0].auth.jwt.keys[3].secret: contradiction: ES256 takes a public_key",
      "a.yaml:14: routes[0].auth.jwt.keys[3].public_key: missing: ES256 takes it",
      "a.yaml:15: routes[0].auth.jwt.keys[4].public_key: …missing.pem: no such file",
      "a.yaml:16: routes[0].auth.jwt.keys[5].public_key: …"),
    Fault(
      Fixtures.file(
        route:
          "auth: { jwt: { jwks: { file: keys.txt }, token_from: [header, authorization, authorization] } }"
      ),
      "a.yaml:8: routes[0].auth.jwt.jwks.file: …",
      "a.yaml:8: routes[0].auth.jwt.token_from[0]: \"header\" is not a token source: …",
      "a.yaml:8: routes[0].auth.jwt.token_from[2]: duplicate: authorization"),
    Fault(
      Fixtures.file(
        route: """
          auth:
            jwt:
              jwks: { file: jwks.json }
              forward_claims: { sub: X-User, name: x-user, a: Connection, b: Host }
          headers: { set: { X-USER: me } }
          """),
      "a.yaml:11: routes[0].auth.jwt.forward_claims.name: contradiction: x-user stands here twice",
      "a.yaml:11: routes[0].auth.jwt.forward_claims.a: Connection makes the handshake …",
      "a.yaml:11: routes[0].auth.jwt.forward_claims.b: a token does not choose the Host",
      "a.yaml:12: routes[0].headers.set: contradiction: forward_claims sets X-USER"),
    Fault(
      Fixtures.file(
        route:
          "auth: { api_keys: { header: \"a b\", keys: [\"file:empty.txt\", \"file:nowhere\"] } }"),
      "a.yaml:8: routes[0].auth.api_keys.header: \"a b\" is not the name of a field (RFC 9110 §5.1)",
      "a.yaml:8: routes[0].auth.api_keys.keys[0]: empty.txt holds no key",
      "a.yaml:8: routes[0].auth.api_keys.keys[1]: …nowhere: no such file"),
  ]

  static let fetched: [Fault] = [
    Fault(
      Fixtures.file(route: "auth: { jwt: { jwks: { url: \"https://x\", file: jwks.json } } }"),
      "a.yaml:8: routes[0].auth.jwt.jwks.url: contradiction: file is given too; …"),
    Fault(
      Fixtures.file(route: "auth: { jwt: { jwks: { file: jwks.json, refresh: 5m } } }"),
      "a.yaml:8: routes[0].auth.jwt.jwks.refresh: contradiction: it goes with url; …"),
    Fault(
      Fixtures.file(route: "auth: { jwt: { jwks: { url: ftp://x, refresh: 1s } } }"),
      "a.yaml:8: routes[0].auth.jwt.jwks.refresh: \"1s\" is out of range: 30s to 1d",
      "a.yaml:8: routes[0].auth.jwt.jwks.url: \"ftp://x\" is no URL of the schemes https and http"),
    Fault(
      Fixtures.file(route: "auth: { jwt: { jwks: { url: \"https://u:pa55@x/\" } } }"),
      "a.yaml:8: routes[0].auth.jwt.jwks.url: the URL carries credentials, which would show in logs"
    ),
    Fault(
      Fixtures.file(route: "auth: { forward: { timeout: 31s } }"),
      "a.yaml:8: routes[0].auth.forward.url: missing: where the service is asked",
      "a.yaml:8: routes[0].auth.forward.timeout: \"31s\" is out of range: 100ms to 30s"),
    Fault(
      Fixtures.file(
        route: """
          auth:
            forward:
              url: "https://x/#top"
              headers: [X-User, x-user, Upgrade, Host, a b]
              subject_from: "a b"
          headers: { remove: [X-User] }
          """),
      "a.yaml:10: routes[0].auth.forward.url: \"https://x/#top\" has a fragment, …",
      "a.yaml:11: routes[0].auth.forward.headers[1]: contradiction: x-user stands here twice",
      "a.yaml:11: routes[0].auth.forward.headers[2]: Upgrade makes the handshake …",
      "a.yaml:11: routes[0].auth.forward.headers[3]: the service does not choose the Host",
      "a.yaml:11: routes[0].auth.forward.headers[4]: \"a b\" is not the name of a field …",
      "a.yaml:12: routes[0].auth.forward.subject_from: \"a b\" is not the name of a field …"),
    Fault(
      Fixtures.file(
        route: """
          auth: { forward: { url: http://x, headers: [X-User] } }
          headers: { set: { x-user: me } }
          """),
      "a.yaml:9: routes[0].headers.set: contradiction: auth.forward sets x-user"),
  ]

  @Test("what is fetched", arguments: fetched)
  func faultyURLs(fault: Fault) { fault.expectProblems() }

  @Test("names and servers", arguments: names)
  func faultyNames(fault: Fault) { fault.expectProblems() }

  @Test("routes", arguments: routes)
  func faultyRoutes(fault: Fault) { fault.expectProblems() }

  @Test("credentials", arguments: credentials)
  func faultyCredentials(fault: Fault) { fault.expectProblems() }

  @Test("no problem quotes a secret")
  func secrets() {
    let yaml = Fixtures.file(
      route: """
        auth:
          jwt:
            keys:
              - { algorithm: HS256, secret: 8675309 }
              - { algorithm: HS256, secret: [8675309] }
              - { algorithm: HS256, secret: "8675309" }
              - { algorithm: HS256, secret: "8675309${oh no 8675309}" }
              - { algorithm: ES256, secret: "8675309", public_key: 8675309 }
          api_keys: { keys: 8675309 }
        headers: { set: { Authorization: 8675309, X-A: " 8675309" } }
        """)
    let problems = Fixtures.problems(yaml)
    #expect(problems.count >= 8)
    #expect(!problems.contains { $0.contains("8675309") }, "\(problems.joined(separator: "\n"))")
  }

  /// Matches of two routes in order, and whether the second one can never be reached.
  @Test(
    "a route behind one that takes all its requests is never reached",
    arguments: [
      ("{ path: / }", "{ path: /a }", true), ("{ path: /a/ }", "{ path: /a/b/ }", true),
      ("{ path: /a/ }", "{ path: /a }", false), ("{ path: /a }", "{ path: /a }", true),
      ("{ path: /a }", "{ path: /a/ }", false), ("{ path: /a/ }", "{ path: / }", false),
      ("{ hosts: [x] }", "{ hosts: [x], path: /a }", true),
      ("{ hosts: [x] }", "{ path: / }", false),
      ("{ hosts: [x] }", "{ hosts: [X] }", true), ("{ hosts: [x, y] }", "{ hosts: [y] }", true),
      ("{ hosts: [y] }", "{ hosts: [x, y] }", false), ("{ path: / }", "{ hosts: [x] }", true),
      ("{ hosts: [\"*.x\"] }", "{ hosts: [a.x] }", true),
      ("{ hosts: [\"*.x\"] }", "{ hosts: [x] }", false),
      ("{ hosts: [\"*.x\"] }", "{ hosts: [\"*.a.x\"] }", true),
      ("{ hosts: [\"*.a.x\"] }", "{ hosts: [\"*.x\"] }", false),
      ("{ hosts: [\"*.x\"] }", "{ hosts: [a.bx] }", false),
    ])
  func shadowed(first: String, second: String, isShadowed: Bool) {
    let problems = Fixtures.problems(
      """
      listeners: [{ address: 127.0.0.1:1 }]
      routes:
        - { name: first, match: \(first), origins: any, upstream: u }
        - { name: second, match: \(second), origins: any, upstream: u }
      upstreams: [{ name: u, servers: [ws://x] }]
      """)
    let expected = [
      "a.yaml:4: routes[1].match: never reached: routes[0], \"first\", stands before it and matches "
        + "all of this"
    ]
    #expect(problems == (isShadowed ? expected : []))
  }

  @Test("certificates: each fault at its own place")
  func certificates() {
    let found = Fixtures.problems(
      Fixtures.file(
        listener: """
          address: 127.0.0.1:1
              tls:
                certificates:
                  - { certificate: one.crt, key: one.key }
                  - { certificate: nowhere.crt, key: one.key }
                  - { certificate: one.crt, key: nowhere.key }
                  - { certificate: one.crt, key: two.key }
                  - { certificate: keys.txt, key: two.key }
                  - { certificate: one.crt }
                client_ca: keys.txt
          """))
    let places = found.map { $0.split(separator: ": ").prefix(2).joined(separator: ": ") }
    let list = "listeners[0].tls.certificates"
    #expect(
      places == [
        "a.yaml:6: \(list)[1].certificate", "a.yaml:7: \(list)[2].key", "a.yaml:8: \(list)[3].key",
        "a.yaml:9: \(list)[4].certificate", "a.yaml:10: \(list)[5].key",
        "a.yaml:11: listeners[0].tls.client_ca",
      ], "\(found.joined(separator: "\n"))")
  }
}
