import Foundation
import Testing

@testable import Configuration

/// What stands in a file, and what is said about it.
struct Fault: CustomTestStringConvertible, Sendable {
  let yaml: String
  /// In the order of the file; each is the whole line, or its beginning and end around a "…".
  let problems: [String]

  init(_ yaml: String, _ problems: String...) {
    self.yaml = yaml
    self.problems = problems
  }

  var testDescription: String { self.problems.first ?? self.yaml }

  func expectProblems() {
    let found = Fixtures.problems(self.yaml)
    let isExpected =
      found.count == self.problems.count
      && zip(found, self.problems).allSatisfy { found, expected in
        let parts = expected.components(separatedBy: "…")
        return parts.count == 1
          ? found == expected : found.hasPrefix(parts[0]) && found.hasSuffix(parts[1])
      }
    #expect(isExpected, "\(found.joined(separator: "\n"))\n\(self.yaml)")
  }
}

@Suite("what is wrong with a file")
struct ProblemTests {
  static let shape: [Fault] = [
    Fault("", "a.yaml: the file is empty: listeners and routes are needed"),
    Fault("# nothing\n\n", "a.yaml: the file is empty: listeners and routes are needed"),
    Fault("hello", "a.yaml:1: keys and values are expected, \"hello\" is one value"),
    Fault("[1]", "a.yaml:1: keys and values are expected, a list is given"),
    Fault("workers: 1\nlisteners: [\n", "a.yaml:3: not YAML: …"),
    Fault("workers: 1\n\tlisteners: 1\n", "a.yaml:2: not YAML: …"),
    Fault("workers: 1\n---\nworkers: 2\n", "a.yaml:2: not YAML: …"),
    Fault("listeners: *nobody\n", "a.yaml:1: not YAML: …"),
    Fault("a: \"\u{1}\"\n", "a.yaml:1: not YAML: …"),
    Fault(
      "log: {}\nlimits:\n  connections: 1\n  connections: 2\n",
      "a.yaml:3: duplicate key: a mapping that begins here has more than one \"connections\""),
    Fault(
      "{\"workers\": 1, \"workers\": 2}",
      "a.yaml:1: duplicate key: a mapping that begins here has more than one \"workers\""),
    Fault(
      Fixtures.file(top: "? [a]\n: 1"), "a.yaml:1: a key is a word, not a list or a mapping"),
    Fault(Fixtures.file(top: "<<: 5"), "a.yaml:11: <<: \"<<\" merges mappings, nothing else"),
    Fault(
      "log: {}",
      "a.yaml:1: listeners: missing: where connections are accepted",
      "a.yaml:1: routes: missing: which requests are answered, and how"),
  ]

  static let keys: [Fault] = [
    Fault(
      Fixtures.file(top: "worker: 1"), "a.yaml:11: worker: unknown key, did you mean \"workers\"?"),
    Fault(Fixtures.file(top: "cluster: {}"), "a.yaml:11: cluster: unknown key"),
    Fault(Fixtures.file(top: "cluster:\n  redis: x"), "a.yaml:11: cluster: unknown key"),
    Fault(
      Fixtures.file(route: "limits:\n  mesages: { rate: 50/s, brust: 1 }"),
      "a.yaml:9: routes[0].limits.mesages: unknown key, did you mean \"messages\"?"),
    Fault(
      Fixtures.file(route: "auth:\n  jwt:\n    jwks: { uri: http://x }"),
      "a.yaml:10: routes[0].auth.jwt.jwks.uri: unknown key, did you mean \"url\"?",
      "a.yaml:10: routes[0].auth.jwt.jwks: file or url is needed: there would be no keys"),
    Fault(
      Fixtures.file(route: "auth:\n  forward: { url: http://x, follow: true }"),
      "a.yaml:9: routes[0].auth.forward.follow: unknown key"),
    Fault(
      Fixtures.file(listener: "address: 127.0.0.1:1\n    http3: true\n    adress: 1"),
      "a.yaml:3: listeners[0].http3: unknown key, did you mean \"http2\"?",
      "a.yaml:4: listeners[0].adress: unknown key, did you mean \"address\"?"),
    Fault(
      Fixtures.file(upstream: "health_chek: {}\nballance: hash"),
      "a.yaml:11: upstreams[0].health_chek: unknown key, did you mean \"health_check\"?",
      "a.yaml:12: upstreams[0].ballance: unknown key, did you mean \"balance\"?"),
  ]

  static let types: [Fault] = [
    Fault(
      Fixtures.file(top: "workers: \"4\""),
      "a.yaml:11: workers: \"4\" is not a whole number from 1 to 1024 (numbers stand without quotes)"
    ),
    Fault(
      Fixtures.file(top: "workers: 0"), "a.yaml:11: workers: 0 is not a whole number from 1 to 1024"
    ),
    Fault(Fixtures.file(top: "workers: 1.5"), "a.yaml:11: workers: 1.5 is not a whole number …"),
    Fault(
      Fixtures.file(top: "workers: 0x10"), "a.yaml:11: workers: \"0x10\" is not a whole number …"),
    Fault(Fixtures.file(top: "workers: 99999999999999999999"), "a.yaml:11: workers: 9…1024"),
    Fault(
      Fixtures.file(top: "workers: [1]"),
      "a.yaml:11: workers: auto or a whole number from 1 to 1024 is expected, a list is given"),
    Fault(
      Fixtures.file(top: "workers:"),
      "a.yaml:11: workers: there is no value: auto or a whole number from 1 to 1024 is expected …"),
    Fault(
      Fixtures.file(top: "limits:"),
      "a.yaml:11: limits: keys and values are expected, there is no value"),
    Fault(
      Fixtures.file(top: "limits: 5"),
      "a.yaml:11: limits: keys and values are expected, 5 is one value"),
    Fault(
      Fixtures.file(top: "log: { access: \"true\", level: loud, format: jsn }"),
      "a.yaml:11: log.format: \"jsn\" is not one of json, text, did you mean \"json\"?",
      "a.yaml:11: log.level: \"loud\" is not one of …",
      "a.yaml:11: log.access: \"true\" is not true or false (which stand without quotes)"),
    Fault(
      Fixtures.file(top: "log: { access: yes }"),
      "a.yaml:11: log.access: \"yes\" is not true or false"),
    Fault(
      Fixtures.file(top: "shutdown_grace: 30"),
      "a.yaml:11: shutdown_grace: 30 is not a duration (as 250ms, 30s, 5m or 1h)"),
    Fault(
      Fixtures.file(top: "shutdown_grace: 2d"),
      "a.yaml:11: shutdown_grace: \"2d\" is out of range: 0s to 1h"),
    Fault(
      Fixtures.file(top: "drain_over: soon"),
      "a.yaml:11: drain_over: \"soon\" is not a duration (as 250ms, 30s, 5m or 1h)"),
    Fault(
      Fixtures.file(
        upstream: "health_check: { path: healthz, statuses: 2xx, interval: 1ms, healthy_after: 0 }"),
      "a.yaml:11: upstreams[0].health_check.path: \"healthz\" is not a path: …",
      "a.yaml:11: upstreams[0].health_check.statuses: \"2xx\" are no statuses (as 200-399 or 204)",
      "a.yaml:11: upstreams[0].health_check.interval: \"1ms\" is out of range: 100ms to 1h",
      "a.yaml:11: upstreams[0].health_check.healthy_after: 0 is not a whole number from 1 to 100"),
    Fault(
      Fixtures.file(
        upstream: "eject: { for: 0s }\nslow_start: 1ms\nsticky_cookie: { name: \"a b\", ttl: 400d }"
      ),
      "a.yaml:11: upstreams[0].eject.for: \"0s\" is out of range: 1s to 1h",
      "a.yaml:12: upstreams[0].slow_start: \"1ms\" is out of range: 1s to 1h",
      "a.yaml:13: upstreams[0].sticky_cookie.name: \"a b\" is not the name of a cookie",
      "a.yaml:13: upstreams[0].sticky_cookie.ttl: \"400d\" is out of range: 1s to 365d"),
    Fault(
      Fixtures.file(upstream: "balance: hash\nhash_on: cookies:x"),
      "a.yaml:12: upstreams[0].hash_on: \"cookies:x\" is nothing to hash: …"),
    Fault(
      Fixtures.file(top: "limits: { head_size: 64KB, handshake_timeout: 1ms }"),
      "a.yaml:11: limits.handshake_timeout: \"1ms\" is out of range: 100ms to 10m",
      "a.yaml:11: limits.head_size: \"64KB\" is not a size (as 512B, 64KiB or 1MiB)"),
    Fault(
      Fixtures.file(top: "limits: { head_size: 2MiB, queued: 1023KiB }"),
      "a.yaml:11: limits.head_size: \"2MiB\" is out of range: 1KiB to 1MiB",
      "a.yaml:11: limits.queued: \"1023KiB\" is out of range: 1MiB to 1024GiB"),
    Fault(
      Fixtures.file(
        listener: "{ address: 127.0.0.1:1, tls: { certificates: one.crt, minimum_version: 1.2 } }"),
      "a.yaml:2: listeners[0].tls.certificates: a list is expected, \"one.crt\" is one value",
      "a.yaml:2: listeners[0].tls.minimum_version: 1.2 is no text without quotes: one of 1.2, 1.3 is expected"
    ),
    Fault(
      Fixtures.file(top: "trusted_proxies: [10.0.0.1/8, 10.0.0.0/8, host]"),
      "a.yaml:11: trusted_proxies[0]: \"10.0.0.1/8\" is not a block of addresses …",
      "a.yaml:11: trusted_proxies[2]: \"host\" is not a block of addresses …"),
    Fault(
      Fixtures.file(top: "trusted_proxies: []"), "a.yaml:11: trusted_proxies: the list is empty"),
    Fault(
      Fixtures.file(top: "workers: ${W}"),
      "a.yaml:11: workers: the environment variable W is not set"),
    Fault(
      Fixtures.file(top: "log: { level: \"${EMPTY}\" }"), "a.yaml:11: log.level: it is empty: …"),
    Fault(
      Fixtures.file(top: "log: { level: \"${\" }"), "a.yaml:11: log.level: \"${\" has no \"}\" …"),
  ]

  @Test("its shape", arguments: shape)
  func shapes(fault: Fault) { fault.expectProblems() }

  @Test("unknown keys", arguments: keys)
  func unknownKeys(fault: Fault) { fault.expectProblems() }

  @Test("wrong types and amounts", arguments: types)
  func wrongTypes(fault: Fault) { fault.expectProblems() }

  @Test("all that is wrong is said at once, in the order of the file")
  func everythingAtOnce() {
    let yaml = """
      listeners:
        - address: localhost:80
        - {}
      log: { format: xml }
      routes:
        - name: a b
          match: { path: x }
          origins: [example.com]
          idle_timeout: 5
          upstream: nowhere
          extra: 1
      upstreams:
        - name: backend
          servers: [tcp://x]
      """
    let found = Fixtures.problems(yaml).map {
      $0.split(separator: ": ").prefix(2).joined(separator: ": ")
    }
    #expect(
      found == [
        "a.yaml:2: listeners[0].address", "a.yaml:3: listeners[1].address", "a.yaml:4: log.format",
        "a.yaml:6: routes[0].name", "a.yaml:7: routes[0].match.path",
        "a.yaml:8: routes[0].origins[0]", "a.yaml:9: routes[0].idle_timeout",
        "a.yaml:10: routes[0].upstream", "a.yaml:11: routes[0].extra",
        "a.yaml:14: upstreams[0].servers[0]",
      ])
  }

  @Test("aliases of aliases do not multiply without end")
  func aliases() {
    var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...20 {
      let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      yaml += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(Fixtures.problems(yaml) == ["a.yaml:1: more than 200000 values, aliases resolved"])
  }

  @Test("a file that cannot be read")
  func unreadable() {
    for (path, reason) in [("missing.yaml", "no such file"), (".", "it is a directory")] {
      let path = "\(Fixtures.folder)/\(path)"
      #expect {
        try Configuration.load(path: path, environment: [:])
      } throws: { error in
        "\(error)" == "\(path): \(reason)"
      }
    }
  }
}
