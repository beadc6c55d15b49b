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
  private let outgoing: OutgoingRequest

  /// Picks a server and begins to connect; goes on to the next one for as long as one fails at once.
  ///
  /// - Parameters:
  ///   - tried: the endpoints that have failed this request.
  ///   - fault: what the client is told if no further server may be tried.
  ///   - mayReuse: whether a connection may be taken that an earlier request has left.
  static func begin(
    _ outgoing: OutgoingRequest, _ downstream: consuming ByteStream, tried: [Endpoint],
    fault: Refusal?, mayReuse: Bool = true, _ bench: inout Workbench
  ) -> Connection {
    var (tried, fault) = (tried, fault)
    let group = outgoing.group
    let attemptCountMax = min(group.rules.retries + 1, Limits.attemptCountMax)
    while tried.count < attemptCountMax,
      let endpoint = group.pick(
        avoiding: tried, preferring: outgoing.affinity.preference, now: bench.now,
        using: &bench.chance)
    {
      outgoing.exchange.tried(endpoint)
      if mayReuse,
        let server = UpstreamAttempt.reuse(endpoint, for: outgoing, tried: tried, &bench)
      {
        return Relaying.begin(outgoing, downstream, server, &bench)
      }
      do throws(StreamFault) {
        let server = try UpstreamAttempt.dial(endpoint, for: outgoing, tried: tried, &bench)
        let phase = Connecting(downstream: downstream, server: server, outgoing: outgoing)
        return .connecting(Owned(phase))
      } catch {
        endpoint.end()
        bench.noteFailedAttempt(endpoint, error.reason, outgoing)
        tried.append(endpoint)
        fault =
          error.isExhaustion
          ? .overloaded(retryAfter: Limits.retryAfter) : .upstreamRefused
      }
    }
    let refusal = fault ?? .noHealthyServer(retryAfter: Limits.retryAfter)
    return outgoing.exchange.refuse(refusal, downstream, &bench)
  }

  private init(
    downstream: consuming ByteStream, server: consuming UpstreamAttempt, outgoing: OutgoingRequest
  ) {
    self.downstream = downstream
    self.server = server
    self.outgoing = outgoing
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    if event.token.registration == 0 {
      let isUpgrade = self.outgoing.upgrade != nil
      guard let reason = bench.noteWaiting(&self.downstream, event, isUpgrade: isUpgrade) else {
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
      self.outgoing.group.rules.name, in: bench.now.duration(since: self.server.beganAt))
    guard let upgrade = self.outgoing.upgrade else {
      return Relaying.begin(self.outgoing, self.downstream, self.server, &bench)
    }
    if let fault = self.server.stream.send(self.outgoing.octets, &bench.scratch) {
      return self.tryNext(after: fault.reason, .upstreamRefused, &bench)
    }
    bench.arm(self.outgoing.exchange.arrival.token, after: Limits.upgradeTimeout)
    return Upgrading(self.downstream, self.server, self.outgoing, upgrade).read(&bench)
  }

  private consuming func tryNext(
    after reason: String, _ fault: Refusal, _ bench: inout Workbench
  ) -> Connection {
    let tried = self.server.giveUp(reason, self.outgoing, &bench)
    return Self.begin(self.outgoing, self.downstream, tried: tried, fault: fault, &bench)
  }

  private consuming func abandon(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    self.server.close(&bench)
    return self.outgoing.exchange.abandon(self.downstream, closer, reason, &bench)
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
  /// Its place in the worker's pool; `nil` for a connection that serves one client alone.
  private let place: Token?
  /// Whether an earlier request has left it.
  let isReused: Bool

  /// - Throws: what can be told at once; the endpoint's load is the caller's to give back then.
  static func dial(
    _ endpoint: Endpoint, for outgoing: OutgoingRequest, tried: [Endpoint],
    _ bench: inout Workbench
  ) throws(StreamFault) -> UpstreamAttempt {
    let token = outgoing.exchange.arrival.token.registered(as: UInt8(tried.count + 1))
    var place: Token?
    if outgoing.isPoolable { place = bench.servers.open(to: endpoint, for: token) }
    let rules = outgoing.group.rules
    let preface = rules.proxyProtocol.map { outgoing.exchange.arrival.proxyHeader($0) }
    do throws(StreamFault) {
      let dial = try Dial(
        endpoint, rules.tls, preface: preface, as: place ?? token, bench.loop, &bench.scratch)
      bench.commons.occupancy.upstreamBegan()
      bench.arm(token, after: rules.connectTimeout)
      return UpstreamAttempt(
        dial: dial, endpoint: endpoint, tried: tried, token: token, beganAt: bench.now,
        place: place, isReused: false)
    } catch {
      if let place { bench.servers.closed(place) }
      throw error
    }
  }

  /// A connection that an earlier request has left; `nil` where there is none.
  static func reuse(
    _ endpoint: Endpoint, for outgoing: OutgoingRequest, tried: [Endpoint],
    _ bench: inout Workbench
  ) -> UpstreamAttempt? {
    let token = outgoing.exchange.arrival.token.registered(as: UInt8(tried.count + 1))
    guard outgoing.isPoolable, let idle = bench.servers.take(to: endpoint, for: token) else {
      return nil
    }
    bench.meter.reusedServers.raise()
    let place = idle.token
    return UpstreamAttempt(
      dial: Dial(connected: idle.stream), endpoint: endpoint, tried: tried, token: token,
      beganAt: bench.now, place: place, isReused: true)
  }

  private init(
    dial: consuming Dial, endpoint: Endpoint, tried: [Endpoint], token: Token,
    beganAt: Deadline, place: Token?, isReused: Bool
  ) {
    self.dial = dial
    self.endpoint = endpoint
    self.tried = tried
    self.token = token
    self.beganAt = beganAt
    self.place = place
    self.isReused = isReused
  }

  /// Octets that the server has not taken yet.
  var queuedByteCount: Int { self.dial.stream.queuedByteCount }

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
    _ reason: String, _ outgoing: OutgoingRequest, _ bench: inout Workbench
  ) -> [Endpoint] {
    bench.noteFailedAttempt(self.endpoint, reason, outgoing)
    let tried = self.tried + [self.endpoint]
    self.close(&bench)
    return tried
  }

  /// The stream alone, for a tunnel: the endpoint's load is the tunnel's to give back.
  consuming func intoStream() -> ByteStream { self.dial.intoStream() }

  consuming func close(_ bench: inout Workbench) {
    self.endpoint.end()
    bench.commons.occupancy.upstreamEnded()
    if let place = self.place { bench.servers.closed(place) }
    self.dial.close(&bench.scratch)
  }

  /// Leaves the connection for another request, where nothing stands on it that nobody has asked for.
  consuming func keep(
    for timeout: Duration, countMax: Int, _ bench: inout Workbench
  ) {
    guard let place = self.place, timeout > .zero, self.dial.isClean(&bench.scratch) else {
      return self.close(&bench)
    }
    self.endpoint.end()
    let closedCount = bench.servers.give(
      self.dial.intoStream(), as: place, until: bench.now.advanced(by: timeout),
      countMax: countMax, &bench.scratch)
    for _ in 0..<closedCount { bench.commons.occupancy.upstreamEnded() }
  }
}

extension OutgoingRequest {
  /// Whether the connection to the server may serve others before and after this client.
  fileprivate var isPoolable: Bool { self.upgrade == nil && self.group.rules.keepAlive != nil }
}

extension Workbench {
  /// An operator wants to know which server fails, also when another one helped out.
  func noteFailedAttempt(_ endpoint: Endpoint, _ reason: String, _ outgoing: OutgoingRequest) {
    self.snapshot.log.warning(
      "upstream attempt failed",
      metadata: [
        "upstream": "\(endpoint.label)", "reason": "\(reason)",
        "request_id": "\(outgoing.exchange.requestID)",
      ])
    self.noteAnswer(false, endpoint, outgoing)
  }

  /// What a client's attempt says about the server.
  func noteAnswer(_ isGood: Bool, _ endpoint: Endpoint, _ outgoing: OutgoingRequest) {
    guard let rules = outgoing.group.rules.eject,
      let change = endpoint.noteAttempt(isGood, rules: rules, now: self.now)
    else { return }
    let metadata: Logger.Metadata = [
      "upstream": "\(endpoint.label)", "group": "\(outgoing.group.rules.name)",
    ]
    switch change {
    case .ejected: self.snapshot.log.warning("server ejected", metadata: metadata)
    case .readmitted: self.snapshot.log.notice("server readmitted", metadata: metadata)
    case .becameHealthy, .becameUnhealthy: break
    }
  }
}
