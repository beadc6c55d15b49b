internal import Configuration
internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel
internal import Upstream

/// Octets go both ways between the client and a server. What is to be done is the ``Tunnel``'s to
/// say; this does it. The hot path of the whole program: nothing in here allocates for a message.
struct Tunneling: ~Copyable {
  private var downstream: ByteStream
  private var upstream: ByteStream
  private var tunnel = Tunnel()
  private let exchange: Exchange
  private let endpoint: Endpoint
  private let token: Token
  private let upstreamRegistration: UInt8
  /// When octets last came from either side.
  private var lastActivity = Deadline(nanoseconds: 0)
  /// What the peers had still to take at the last deadline.
  private var untakenByteCount = Int.max
  /// Who ended the tunnel first, and how.
  private var cause: Cause?

  private struct Cause {
    let closer: AccessRecord.Closer
    let reason: String
  }

  init(
    _ downstream: consuming ByteStream, _ server: consuming UpstreamAttempt,
    _ upgrade: OutgoingUpgrade
  ) {
    self.downstream = downstream
    self.exchange = upgrade.exchange
    self.endpoint = server.endpoint
    self.token = upgrade.exchange.arrival.token
    self.upstreamRegistration = server.token.registration
    self.upstream = server.intoStream()
  }

  /// - Parameters:
  ///   - answer: the client's 101. What the server sent behind its own stands in the scratch.
  ///   - pipelined: what the client sent behind its request.
  consuming func begin(
    _ answer: [UInt8], _ pipelined: [UInt8], _ bench: inout Workbench
  ) -> Connection {
    self.lastActivity = bench.now
    bench.arm(self.token, after: self.silenceMax)
    if let fault = self.downstream.send(answer, &bench.scratch) {
      self.failed(.downstream, fault, &bench)
    }
    self.forward(from: .upstream, &bench)
    _ = self.tunnel.queued(self.downstream.queuedByteCount, towards: .downstream)
    if !pipelined.isEmpty,
      self.tunnel.received(pipelined.count, from: .downstream) == .forward
    {
      if let fault = self.upstream.send(pipelined, &bench.scratch) {
        self.failed(.upstream, fault, &bench)
      }
      _ = self.tunnel.queued(self.upstream.queuedByteCount, towards: .upstream)
    }
    self.pump(from: .upstream, &bench)
    self.pump(from: .downstream, &bench)
    return self.settle(&bench)
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    let side: Side
    switch event.token.registration {
    case 0: side = .downstream
    case self.upstreamRegistration: side = .upstream
    // Of an attempt that was given up before the tunnel began.
    default: return .tunneling(self)
    }
    self[side].note(event.readiness)
    if event.readiness.contains(.writable), self[side].queuedByteCount > 0 {
      self.flush(towards: side, &bench)
    }
    self.pump(from: side, &bench)
    return self.settle(&bench)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    // A peer that takes octets is as alive as one that sends some.
    let untaken = self.downstream.untakenByteCount() + self.upstream.untakenByteCount()
    if untaken > 0, untaken < self.untakenByteCount { self.lastActivity = bench.now }
    self.untakenByteCount = untaken
    let end = self.lastActivity.advanced(by: self.silenceMax)
    guard end <= bench.now else {
      bench.wheel.arm(Int(self.token.slot), at: end)
      return .tunneling(self)
    }
    return self.tunnel.survivor == nil ? self.end("idle_timeout", &bench) : self.close(&bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end("shutdown", &bench) }
}

// MARK: - Octets

extension Tunneling {
  /// How long both sides may neither send nor take anything.
  private var silenceMax: Duration {
    let configured = self.exchange.route?.rules.idleTimeout ?? .seconds(600)
    return self.tunnel.hasAnyEnded ? min(configured, Limits.halfClosedTimeout) : configured
  }

  /// The stream to one side, in place.
  private subscript(side: Side) -> ByteStream {
    _read {
      switch side {
      case .downstream: yield self.downstream
      case .upstream: yield self.upstream
      }
    }
    _modify {
      switch side {
      case .downstream: yield &self.downstream
      case .upstream: yield &self.upstream
      }
    }
  }

  /// Carries octets from one side to the other for as long as there are some, the other side has
  /// room, and the turn lasts.
  private mutating func pump(from side: Side, _ bench: inout Workbench) {
    var receives = 0
    while self[side].isReadable, self.tunnel.mayRead(side) {
      guard receives < Limits.receivesPerTurnMax else { return self.waitForTurn(side, &bench) }
      receives &+= 1
      bench.scratch.inbound.clear()
      switch self[side].receive(&bench.scratch) {
      case .octets: self.forward(from: side, &bench)
      case .nothing: continue
      case .ended:
        self.forward(from: side, &bench)
        self.ended(side, &bench)
      case .failed(let fault):
        // What was opened before the fault is good.
        self.forward(from: side, &bench)
        self.failed(side, fault, &bench)
      }
    }
  }

  /// Goes to the end of the worker's line, once.
  private mutating func waitForTurn(_ side: Side, _ bench: inout Workbench) {
    guard !self[side].waitsForTurn else { return }
    self[side].waitsForTurn = true
    let registration = side == .downstream ? 0 : self.upstreamRegistration
    bench.unfinished.append(self.token.registered(as: registration))
  }

  /// Sends what stands in the scratch to the other side, from where it is.
  private mutating func forward(from side: Side, _ bench: inout Workbench) {
    guard !bench.scratch.inbound.isEmpty else { return }
    self.lastActivity = bench.now
    switch self.tunnel.received(bench.scratch.inbound.count, from: side) {
    case .drop: bench.scratch.inbound.clear()
    case .forward:
      if let fault = self[side.other].sendInbound(&bench.scratch) {
        return self.failed(side.other, fault, &bench)
      }
      _ = self.tunnel.queued(self[side.other].queuedByteCount, towards: side.other)
    }
  }

  /// A slow peer takes octets again.
  private mutating func flush(towards side: Side, _ bench: inout Workbench) {
    let before = self[side].queuedByteCount
    if let fault = self[side].flush(&bench.scratch) { return self.failed(side, fault, &bench) }
    let count = self[side].queuedByteCount
    if count < before { self.lastActivity = bench.now }
    if case .resume(let source) = self.tunnel.queued(count, towards: side) {
      self.pump(from: source, &bench)
    }
  }
}

// MARK: - Ends

extension Tunneling {
  private mutating func ended(_ side: Side, _ bench: inout Workbench) {
    self.note(Cause(closer: side.closer, reason: "closed"))
    self.perform(self.tunnel.ended(side), &bench)
    bench.arm(self.token, after: self.silenceMax)
  }

  private mutating func failed(_ side: Side, _ fault: StreamFault, _ bench: inout Workbench) {
    self.note(Cause(closer: side.closer, reason: fault.reason))
    self[side].discardQueue(&bench.scratch)
    self.perform(self.tunnel.failed(side), &bench)
    bench.arm(self.token, after: self.silenceMax)
  }

  private mutating func perform(_ action: Tunnel.OnEnd, _ bench: inout Workbench) {
    guard case .end(let side) = action else { return }
    if let fault = self[side].end(&bench.scratch) { self.failed(side, fault, &bench) }
  }

  private mutating func note(_ cause: Cause) {
    if self.cause == nil { self.cause = cause }
  }

  /// Goes on, or closes when both directions have ended and nothing is left to send.
  private consuming func settle(_ bench: inout Workbench) -> Connection {
    // It may have been paused for the side that broke, and no event would tell of its octets.
    if let survivor = self.tunnel.survivor { self.pump(from: survivor, &bench) }
    guard self.tunnel.isOver, self.downstream.queuedByteCount == 0,
      self.upstream.queuedByteCount == 0
    else { return .tunneling(self) }
    return self.close(&bench)
  }

  /// The edge ends the tunnel.
  private consuming func end(_ reason: String, _ bench: inout Workbench) -> Connection {
    self.note(Cause(closer: .edge, reason: reason))
    _ = self.downstream.end(&bench.scratch)
    _ = self.upstream.end(&bench.scratch)
    return self.close(&bench)
  }

  private consuming func close(_ bench: inout Workbench) -> Connection {
    self.exchange.finish(
      .init(
        kind: .tunnel, status: 101, closer: self.cause?.closer ?? .edge,
        reason: self.cause?.reason ?? "closed", tls: self.downstream.tlsVersion,
        inboundByteCount: self.tunnel.octetCount(from: .downstream),
        outboundByteCount: self.tunnel.octetCount(from: .upstream)), bench)
    self.endpoint.end()
    bench.commons.occupancy.upstreamEnded()
    self.upstream.close(&bench.scratch)
    self.downstream.close(&bench.scratch)
    return bench.closeConnection()
  }
}

extension Side {
  fileprivate var closer: AccessRecord.Closer { self == .downstream ? .downstream : .upstream }
}
