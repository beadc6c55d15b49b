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
    let group = upgrade.route.group
    let attemptCountMax = min(group.rules.retries + 1, Limits.attemptCountMax)
    while tried.count < attemptCountMax,
      let endpoint = group.pick(avoiding: tried, using: &bench.chance)
    {
      upgrade.exchange.tried(endpoint)
      do throws(StreamFault) {
        let server = try UpstreamAttempt(to: endpoint, for: upgrade, tried: tried, &bench)
        let phase = Connecting(downstream: downstream, server: server, upgrade: upgrade)
        return .connecting(Owned(phase))
      } catch {
        endpoint.end()
        bench.noteFailedAttempt(endpoint, error.reason, upgrade.exchange)
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
    if let fault = self.server.stream.send(self.upgrade.octets, &bench.scratch) {
      return self.tryNext(after: fault.reason, .upstreamRefused, &bench)
    }
    bench.arm(self.upgrade.exchange.arrival.token, after: Limits.upgradeTimeout)
    return Upgrading(self.downstream, self.server, self.upgrade).read(&bench)
  }

  private consuming func tryNext(
    after reason: String, _ fault: Refusal, _ bench: inout Workbench
  ) -> Connection {
    let tried = self.server.giveUp(reason, self.upgrade.exchange, &bench)
    return Self.begin(self.upgrade, self.downstream, tried: tried, fault: fault, &bench)
  }

  private consuming func abandon(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    self.server.close(&bench)
    return self.upgrade.exchange.abandon(self.downstream, closer, reason, &bench)
  }
}

/// A connection to one endpoint, from the first packet on. Counts as load of the endpoint.
struct UpstreamAttempt: ~Copyable {
  var stream: ByteStream
  let endpoint: Endpoint
  /// The endpoints that were tried before it.
  let tried: [Endpoint]
  /// What its events carry.
  let token: Token
  private let usesTLS: Bool
  private var isConnected = false

  /// - Throws: what can be told at once; the endpoint's load is the caller's to give back then.
  init(
    to endpoint: Endpoint, for upgrade: OutgoingUpgrade, tried: [Endpoint],
    _ bench: inout Workbench
  ) throws(StreamFault) {
    self.endpoint = endpoint
    self.tried = tried
    self.token = upgrade.exchange.arrival.token.registered(as: UInt8(tried.count + 1))
    self.usesTLS = endpoint.url.scheme == .wss
    self.stream = try Self.connect(endpoint, upgrade, self.token, &bench)
    bench.commons.occupancy.upstreamBegan()
    bench.arm(self.token, after: upgrade.route.group.rules.connectTimeout)
  }

  private static func connect(
    _ endpoint: Endpoint, _ upgrade: OutgoingUpgrade, _ token: Token, _ bench: inout Workbench
  ) throws(StreamFault) -> ByteStream {
    var tls: TLSConnection?
    if endpoint.url.scheme == .wss, let context = upgrade.route.group.rules.tls {
      do throws(TLSFault) {
        tls = try TLSConnection(connecting: context, host: endpoint.host, over: bench.scratch.wire)
      } catch { throw .tls(error) }
    }
    do throws(Errno) {
      let socket = try Socket.connecting(to: endpoint.address)
      return try Self.registered(ByteStream(socket, tls: tls), token, &bench)
    } catch { throw .socket(error) }
  }

  private static func registered(
    _ stream: consuming ByteStream, _ token: Token, _ bench: inout Workbench
  ) throws(Errno) -> ByteStream {
    do throws(Errno) {
      try stream.register(with: bench.loop, as: token)
      return stream
    } catch {
      stream.close(&bench.scratch)
      throw error
    }
  }

  /// How far the connection is.
  enum OnEvent {
    case pending
    case connected
    case failed(StreamFault)
  }

  mutating func handle(_ event: Event, _ bench: inout Workbench) -> OnEvent {
    self.stream.note(event.readiness)
    if !self.isConnected {
      guard !event.readiness.isDisjoint(with: [.writable, .failed]) else { return .pending }
      if let fault = self.stream.connectFault() { return .failed(.socket(fault)) }
      self.isConnected = true
    } else if event.readiness.contains(.writable), let fault = self.stream.flush(&bench.scratch) {
      return .failed(fault)
    }
    return self.usesTLS ? self.handshake(&bench) : .connected
  }

  private mutating func handshake(_ bench: inout Workbench) -> OnEvent {
    repeat {
      bench.scratch.inbound.clear()
      switch self.stream.handshake(&bench.scratch) {
      case .pending: continue
      case .done: return .connected
      case .ended:
        return .failed(.tls(TLSFault(reason: "the server closed during the handshake")))
      case .failed(let fault): return .failed(fault)
      }
    } while self.stream.isReadable
    return .pending
  }

  /// Closes after a failure, and gives the endpoints that have failed the request so far.
  consuming func giveUp(
    _ reason: String, _ exchange: Exchange, _ bench: inout Workbench
  ) -> [Endpoint] {
    bench.noteFailedAttempt(self.endpoint, reason, exchange)
    let tried = self.tried + [self.endpoint]
    self.close(&bench)
    return tried
  }

  /// The stream alone, for a tunnel: the endpoint's load is the tunnel's to give back.
  consuming func intoStream() -> ByteStream { self.stream }

  consuming func close(_ bench: inout Workbench) {
    self.endpoint.end()
    bench.commons.occupancy.upstreamEnded()
    self.stream.close(&bench.scratch)
  }
}

extension Workbench {
  /// An operator wants to know which server fails, also when another one helped out.
  func noteFailedAttempt(_ endpoint: Endpoint, _ reason: String, _ exchange: Exchange) {
    self.commons.log.warning(
      "upstream attempt failed",
      metadata: [
        "upstream": "\(endpoint.label)", "reason": "\(reason)",
        "request_id": "\(exchange.requestID)",
      ])
  }
}
