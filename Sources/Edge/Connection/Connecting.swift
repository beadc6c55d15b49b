internal import Admission
internal import Logging
internal import Net
internal import TLS
internal import Telemetry
internal import Transport
internal import Upstream

/// A connection to a server is being made, TLS included. The client has seen nothing yet, so that
/// another server can be tried.
struct Connecting: ~Copyable {
  private var downstream: ByteStream
  private var server: UpstreamAttempt
  private let upgrade: OutgoingUpgrade

  /// Picks a server and begins to connect; goes on to the next one for as long as one fails at once.
  ///
  /// - Parameters:
  ///   - tried: the endpoints that have failed this request.
  ///   - fault: what the client is told if no further server may be tried.
  static func begin(
    _ upgrade: OutgoingUpgrade, _ downstream: consuming ByteStream, tried: [Endpoint],
    fault: Refusal?, _ bench: inout Workbench
  ) -> Connection {
    var (tried, fault) = (tried, fault)
    let group = upgrade.group
    let attemptCountMax = min(group.rules.retries + 1, Limits.attemptCountMax)
    while tried.count < attemptCountMax,
      let endpoint = group.pick(
        avoiding: tried, preferring: upgrade.affinity.preference, now: bench.now,
        using: &bench.chance)
    {
      upgrade.exchange.tried(endpoint)
      do throws(StreamFault) {
        let server = try UpstreamAttempt(to: endpoint, for: upgrade, tried: tried, &bench)
        let phase = Connecting(downstream: downstream, server: server, upgrade: upgrade)
        return .connecting(Owned(phase))
      } catch {
        endpoint.end()
        bench.noteFailedAttempt(endpoint, error.reason, upgrade)
        tried.append(endpoint)
        fault =
          error.isExhaustion
          ? .overloaded(retryAfter: Limits.retryAfter) : .upstreamRefused
      }
    }
    let refusal = fault ?? .noHealthyServer(retryAfter: Limits.retryAfter)
    return upgrade.exchange.refuse(refusal, downstream, &bench)
  }

  private init(
    downstream: consuming ByteStream, server: consuming UpstreamAttempt, upgrade: OutgoingUpgrade
  ) {
    self.downstream = downstream
    self.server = server
    self.upgrade = upgrade
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    if event.token.registration == 0 {
      guard let reason = bench.noteWaiting(&self.downstream, event) else {
        return .connecting(Owned(self))
      }
      return self.abandon(.downstream, reason, &bench)
    }
    guard event.token == self.server.token else { return .connecting(Owned(self)) }
    switch self.server.handle(event, &bench) {
    case .pending: return .connecting(Owned(self))
    case .connected: return self.connected(&bench)
    case .failed(let fault): return self.tryNext(after: fault.reason, .upstreamRefused, &bench)
    }
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    self.tryNext(after: "connect timed out", .upstreamTimedOut, &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection {
    self.abandon(.edge, "shutdown", &bench)
  }

  private consuming func connected(_ bench: inout Workbench) -> Connection {
    bench.meter.connected(
      self.upgrade.group.rules.name, in: bench.now.duration(since: self.server.beganAt))
    if let fault = self.server.stream.send(self.upgrade.octets, &bench.scratch) {
      return self.tryNext(after: fault.reason, .upstreamRefused, &bench)
    }
    bench.arm(self.upgrade.exchange.arrival.token, after: Limits.upgradeTimeout)
    return Upgrading(self.downstream, self.server, self.upgrade).read(&bench)
  }

  private consuming func tryNext(
    after reason: String, _ fault: Refusal, _ bench: inout Workbench
  ) -> Connection {
    let tried = self.server.giveUp(reason, self.upgrade, &bench)
    return Self.begin(self.upgrade, self.downstream, tried: tried, fault: fault, &bench)
  }

  private consuming func abandon(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    self.server.close(&bench)
    return self.upgrade.exchange.abandon(self.downstream, closer, reason, &bench)
  }
}

/// A connection to one endpoint on behalf of a client. Counts as load of the endpoint.
struct UpstreamAttempt: ~Copyable {
  private var dial: Dial
  let endpoint: Endpoint
  /// The endpoints that were tried before it.
  let tried: [Endpoint]
  /// What its events carry.
  let token: Token
  let beganAt: Deadline

  /// - Throws: what can be told at once; the endpoint's load is the caller's to give back then.
  init(
    to endpoint: Endpoint, for upgrade: OutgoingUpgrade, tried: [Endpoint],
    _ bench: inout Workbench
  ) throws(StreamFault) {
    self.endpoint = endpoint
    self.tried = tried
    self.token = upgrade.exchange.arrival.token.registered(as: UInt8(tried.count + 1))
    self.beganAt = bench.now
    let rules = upgrade.group.rules
    self.dial = try Dial(endpoint, rules.tls, as: self.token, bench.loop, &bench.scratch)
    bench.commons.occupancy.upstreamBegan()
    bench.arm(self.token, after: rules.connectTimeout)
  }

  /// The stream to the server.
  var stream: ByteStream {
    _read { yield self.dial.stream }
    _modify { yield &self.dial.stream }
  }

  mutating func handle(_ event: Event, _ bench: inout Workbench) -> Dial.OnEvent {
    self.dial.handle(event, &bench.scratch)
  }

  /// Closes after a failure, and gives the endpoints that have failed the request so far.
  consuming func giveUp(
    _ reason: String, _ upgrade: OutgoingUpgrade, _ bench: inout Workbench
  ) -> [Endpoint] {
    bench.noteFailedAttempt(self.endpoint, reason, upgrade)
    let tried = self.tried + [self.endpoint]
    self.close(&bench)
    return tried
  }

  /// The stream alone, for a tunnel: the endpoint's load is the tunnel's to give back.
  consuming func intoStream() -> ByteStream { self.dial.intoStream() }

  consuming func close(_ bench: inout Workbench) {
    self.endpoint.end()
    bench.commons.occupancy.upstreamEnded()
    self.dial.close(&bench.scratch)
  }
}

extension Workbench {
  /// An operator wants to know which server fails, also when another one helped out.
  func noteFailedAttempt(_ endpoint: Endpoint, _ reason: String, _ upgrade: OutgoingUpgrade) {
    self.snapshot.log.warning(
      "upstream attempt failed",
      metadata: [
        "upstream": "\(endpoint.label)", "reason": "\(reason)",
        "request_id": "\(upgrade.exchange.requestID)",
      ])
    self.noteAnswer(false, endpoint, upgrade)
  }

  /// What a client's attempt says about the server.
  func noteAnswer(_ isGood: Bool, _ endpoint: Endpoint, _ upgrade: OutgoingUpgrade) {
    let rules = upgrade.group.rules
    let metadata: Logger.Metadata = [
      "upstream": "\(endpoint.label)", "group": "\(rules.name)",
    ]
    switch endpoint.noteAttempt(isGood, rules: rules.eject, now: self.now) {
    case .ejected: self.snapshot.log.warning("server ejected", metadata: metadata)
    case .readmitted: self.snapshot.log.notice("server readmitted", metadata: metadata)
    case .becameHealthy, .becameUnhealthy, nil: break
    }
  }
}
