import Admission
import Testing
import Tunnel

@testable import Configuration

@Suite("what routes say about their tunnels")
struct TunnelTests {
  /// The rules of a route with these lines.
  private static func rules(_ lines: String) throws -> TunnelRules {
    let configuration = try Fixtures.parse(Fixtures.file(route: lines))
    return try #require(configuration.routes.first).tunnel
  }

  @Test("every key")
  func whole() throws {
    let routes = try Fixtures.parse(wholeExample).routes
    #expect(
      routes[0].tunnel
        == TunnelRules(
          messageByteCountMax: 1_048_576,
          messages: .init(perSecond: 50, burst: 100, excess: .close, from: .both),
          bytes: .init(perSecond: 1_048_576, burst: 4_194_304, excess: .close, from: .server),
          heartbeat: .init(interval: .seconds(20), timeout: .seconds(5), to: .both),
          idleTimeout: .seconds(1200), stallTimeout: .seconds(15), lifetimeMax: .seconds(86_400),
          compression: .offload))
    #expect(routes[3].tunnel == TunnelRules(heartbeat: nil, compression: .off))
  }

  @Test("without any there is a heartbeat, two deadlines, and no limit")
  func defaults() throws {
    let rules = try Self.rules("")
    #expect(rules.messageByteCountMax == nil && rules.messages == nil && rules.bytes == nil)
    #expect(
      rules.heartbeat == .init(interval: .seconds(25), timeout: .seconds(10), to: .client))
    #expect(rules.idleTimeout == .seconds(600))
    #expect(rules.stallTimeout == .seconds(30))
    #expect(rules.lifetimeMax == nil)
    #expect(rules.compression == .pass)
  }

  @Test("limits are the client's and slow it down where they say no more")
  func limitDefaults() throws {
    let rules = try Self.rules("limits: { messages: { rate: 5/s }, bytes: { rate: 1MiB/s } }")
    #expect(rules.messages == .init(perSecond: 5, burst: 5, excess: .throttle, from: .client))
    #expect(
      rules.bytes == .init(perSecond: 0x1p20, burst: 0x1p18, excess: .throttle, from: .client))
  }

  @Test(
    "without a burst, what a second allows of messages, and at least one",
    arguments: [("50/s", 50), ("120/m", 2), ("6/m", 1), ("1/h", 1)] as [(String, Double)])
  func messageBurst(rate: String, burst: Double) throws {
    #expect(try Self.rules("limits: { messages: { rate: \(rate) } }").messages?.burst == burst)
  }

  @Test(
    "without a burst, what a quarter of a second allows of octets, and at least 64 KiB",
    arguments: [
      ("1GiB/s", 0x1p28), ("256KiB/s", 65_536), ("260KiB/s", 66_560), ("255KiB/s", 65_536),
      ("240MiB/m", 0x1p20), ("1B/h", 65_536),
    ])
  func byteBurst(rate: String, burst: Double) throws {
    #expect(try Self.rules("limits: { bytes: { rate: \(rate) } }").bytes?.burst == burst)
  }

  @Test("a heartbeat with one key has the others' defaults", arguments: ["{}", "{ to: server }"])
  func heartbeatDefaults(text: String) throws {
    let peers: TunnelRules.Peers = text == "{}" ? .client : .server
    #expect(try Self.rules("heartbeat: \(text)").heartbeat == .init(to: peers))
  }

  @Test(
    "off is a word, with quotes, without them, and from a variable",
    arguments: ["off", "\"off\"", "'off'", "${HEARTBEAT:-off}"])
  func off(text: String) throws {
    let rules = try Self.rules("heartbeat: \(text)\ncompression: \(text)")
    #expect(rules == TunnelRules(heartbeat: nil, compression: .off))
  }

  @Test("what is at the ends of the ranges")
  func bounds() throws {
    #expect(
      try Self.rules(
        """
        heartbeat: { interval: 1h, timeout: 10m }
        idle_timeout: 1s
        stall_timeout: 1h
        max_lifetime: 30d
        limits:
          message_size: 1B
          messages: { rate: 1/h, burst: 1 }
          bytes: { rate: 1B/h, burst: 1KiB }
        """)
        == TunnelRules(
          messageByteCountMax: 1, messages: .init(perSecond: 1.0 / 3600, burst: 1),
          bytes: .init(perSecond: 1.0 / 3600, burst: 1024),
          heartbeat: .init(interval: .seconds(3600), timeout: .seconds(600)),
          idleTimeout: .seconds(1), stallTimeout: .seconds(3600),
          lifetimeMax: .seconds(30 * 86_400)))
  }

  @Test("every worker can hold what one slow tunnel has waiting, also by default")
  func shares() throws {
    for top in ["workers: 1024", "workers: 8\nlimits: { queued: 1MiB }"] {
      #expect(Fixtures.problems(Fixtures.file(top: top)) == [])
    }
  }

  static let faults: [Fault] = [
    Fault(
      Fixtures.file(route: "heartbeat: { interval: 999ms, timeout: 11m, to: all, every: 1s }"),
      "a.yaml:8: routes[0].heartbeat.every: unknown key",
      "a.yaml:8: routes[0].heartbeat.interval: \"999ms\" is out of range: 1s to 1h",
      "a.yaml:8: routes[0].heartbeat.timeout: \"11m\" is out of range: 1s to 10m",
      "a.yaml:8: routes[0].heartbeat.to: \"all\" is not one of client, server, both"),
    Fault(
      Fixtures.file(route: "heartbeat: 25s\ncompression: on"),
      "a.yaml:8: routes[0].heartbeat: `off` or keys and values are expected, \"25s\" is one value",
      "a.yaml:9: routes[0].compression: \"on\" is not one of pass, off, offload…"),
    Fault(
      Fixtures.file(route: "heartbeat: false\ncompression: false"),
      "a.yaml:8: routes[0].heartbeat: `off` or keys and values are expected, false is one value",
      "a.yaml:9: routes[0].compression: false is no text without quotes: one of pass, off, offload "
        + "is expected"),
    Fault(
      Fixtures.file(route: "heartbeat:\ncompression: offlaod"),
      "a.yaml:8: routes[0].heartbeat: there is no value: `off` or keys and values is expected (…)",
      "a.yaml:9: routes[0].compression: \"offlaod\" is not one of pass, off, offload, did you mean "
        + "\"offload\"?"),
    Fault(
      Fixtures.file(route: "heartbeat: [25s]"),
      "a.yaml:8: routes[0].heartbeat: keys and values are expected, a list is given"),
    Fault(
      Fixtures.file(route: "idle_timeout: 8d\nstall_timeout: 61m\nmax_lifetime: 31d"),
      "a.yaml:8: routes[0].idle_timeout: \"8d\" is out of range: 1s to 7d",
      "a.yaml:9: routes[0].stall_timeout: \"61m\" is out of range: 1s to 1h",
      "a.yaml:10: routes[0].max_lifetime: \"31d\" is out of range: 1s to 30d"),
    Fault(
      Fixtures.file(route: "stall_timeout: 0s\nmax_lifetime: never"),
      "a.yaml:8: routes[0].stall_timeout: \"0s\" is out of range: 1s to 1h",
      "a.yaml:9: routes[0].max_lifetime: \"never\" is not a duration (as 250ms, 30s, 5m or 1h)"),
  ]

  static let limits: [Fault] = [
    Fault(
      Fixtures.file(route: "limits: { message_size: 0B }"),
      "a.yaml:8: routes[0].limits.message_size: \"0B\" is out of range: 1B to 1024GiB"),
    Fault(
      Fixtures.file(route: "limits: { message_size: 1MB }"),
      "a.yaml:8: routes[0].limits.message_size: \"1MB\" is not a size (as 512B, 64KiB or 1MiB)"),
    Fault(
      Fixtures.file(
        route:
          "limits:\n  messages: { rate: 1KiB/s, burst: 0, exceed: drop, from: peer, form: both }"),
      "a.yaml:9: routes[0].limits.messages.form: unknown key, did you mean \"from\"?",
      "a.yaml:9: routes[0].limits.messages.rate: \"1KiB/s\" is not a rate (N/s, N/m or N/h)",
      "a.yaml:9: routes[0].limits.messages.burst: 0 is not a whole number from 1 to 1000000",
      "a.yaml:9: routes[0].limits.messages.exceed: \"drop\" is not one of throttle, close",
      "a.yaml:9: routes[0].limits.messages.from: \"peer\" is not one of client, server, both"),
    Fault(
      Fixtures.file(route: "limits:\n  bytes: { rate: 50/s, burst: 1023B, exceed: throtle }"),
      "a.yaml:9: routes[0].limits.bytes.rate: \"50/s\" is not a rate of octets (as 64KiB/s, 1MiB/m "
        + "or 1GiB/h)",
      "a.yaml:9: routes[0].limits.bytes.burst: \"1023B\" is out of range: 1KiB to 1GiB",
      "a.yaml:9: routes[0].limits.bytes.exceed: \"throtle\" is not one of throttle, close, did you "
        + "mean \"throttle\"?"),
    Fault(
      Fixtures.file(route: "limits:\n  bytes: { rate: 0B/s, burst: 100 }"),
      "a.yaml:9: routes[0].limits.bytes.rate: \"0B/s\" is not a rate of octets …",
      "a.yaml:9: routes[0].limits.bytes.burst: 100 is not a size (as 512B, 64KiB or 1MiB)"),
    Fault(
      Fixtures.file(route: "limits:\n  messages: {}\n  bytes: 1MiB/s"),
      "a.yaml:9: routes[0].limits.messages.rate: missing",
      "a.yaml:10: routes[0].limits.bytes: keys and values are expected, \"1MiB/s\" is one value"),
    Fault(
      Fixtures.file(top: "workers: 9\nlimits:\n  queued: 1MiB"),
      "a.yaml:13: limits.queued: contradiction: each of the 9 workers needs 128KiB of it"),
    Fault(
      Fixtures.file(
        route: "auth:\n  jwt: { jwks: { file: jwks.json }, on_expiry: closes }"),
      "a.yaml:9: routes[0].auth.jwt.on_expiry: \"closes\" is not one of close, ignore, did you "
        + "mean \"close\"?"),
  ]

  @Test("what is wrong with times, heartbeats and compression", arguments: faults)
  func faultyTimes(fault: Fault) { fault.expectProblems() }

  @Test("what is wrong with limits and expiries", arguments: limits)
  func faultyLimits(fault: Fault) { fault.expectProblems() }
}
