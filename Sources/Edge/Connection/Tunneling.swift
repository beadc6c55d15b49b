internal import Configuration
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel
internal import Upstream
internal import WebSocket

/// Octets go both ways between the client and a server. What is to be done is the ``Tunnel``'s to
/// say; this does it. The hot path of the whole program: nothing in here allocates for a message.
///
///     event ─▶ flush ─▶ pump ─▶ receive ─▶ judge ─▶ pass ─▶ settle (frames of our own, ends, timer)
///                         └───▶ splice ──────────────▲
struct Tunneling: ~Copyable {
  /// The client's, and the server's.
  var streams: OwnedPair<ByteStream>
  var tunnel: Tunnel
  /// Octets that were received and wait: the beginning of a header, or what came too fast.
  var held = Pair<[UInt8]>(both: [])
  /// Whether what is held can be judged without more.
  var isHeldReady = Pair(both: false)
  /// Where the edge compresses for the client.
  var offload: Owned<Offload>?
  /// Whether large payloads go from socket to socket.
  let splices: Bool
  private let route: Route
  let meter: TrafficMeter
  let exchange: Exchange
  let endpoint: Endpoint
  private let token: Token
  private let upstreamRegistration: UInt8
  /// When the timer fires, and whether it has to be looked at again.
  private var armedAt = Deadline.never
  var needsArming = true
  /// The kernel's or OpenSSL's words about a side that broke.
  private var faultReason: String?

  init(
    _ downstream: consuming ByteStream, _ server: consuming UpstreamAttempt,
    _ outgoing: OutgoingRequest, _ settled: TunnelUpgrade, _ bench: borrowing Workbench
  ) {
    self.exchange = outgoing.exchange
    self.endpoint = server.endpoint
    self.token = outgoing.exchange.arrival.token
    self.upstreamRegistration = server.token.registration
    self.tunnel = Tunnel(outgoing.route.terms, settled, now: bench.now)
    self.route = outgoing.route
    self.meter = bench.meter(of: outgoing.route)
    let agreement = outgoing.upgrade?.agreement
    self.offload = agreement.map { Owned(Offload($0, outgoing.route.terms.rules)) }
    let upstream = server.intoStream()
    self.splices = downstream.isPlain && upstream.isPlain && agreement == nil
    self.streams = OwnedPair(downstream, upstream)
  }

  /// - Parameters:
  ///   - answer: the client's 101. What the server sent behind its own stands in the scratch.
  ///   - pipelined: what the client sent behind its request.
  static func begin(
    _ tunneling: consuming Tunneling, _ answer: ResponseHead, _ pipelined: [UInt8],
    _ bench: inout Workbench
  ) -> Connection {
    var phase = Owned(tunneling)
    let goesOn = phase.value.begin(answer, pipelined, &bench)
    return goesOn ? .tunneling(phase) : phase.take().close(&bench)
  }

  private mutating func begin(
    _ answer: ResponseHead, _ pipelined: [UInt8], _ bench: inout Workbench
  ) -> Bool {
    // The deadline of the phase before: the tunnel's own is set below.
    bench.wheel.disarm(Int(self.token.slot))
    self.meter.begun.raise()
    bench.noteUpgrade(self.exchange)
    self.catchUp(&bench)
    if let fault = self[.downstream].answer(answer, &bench.scratch) {
      self.failed(.downstream, fault, &bench)
    }
    self.forward(from: .upstream, &bench)
    if !pipelined.isEmpty {
      bench.scratch.inbound.clear()
      bench.scratch.inbound.append(pipelined.span)
      self.forward(from: .downstream, &bench)
    }
    self.pump(from: .upstream, &bench)
    self.pump(from: .downstream, &bench)
    return self.settle(&bench)
  }

  /// One of the sockets is ready. Whether the tunnel goes on; if not, ``close(_:)`` must follow.
  mutating func handle(_ event: Event, _ bench: inout Workbench) -> Bool {
    let side: Side
    switch event.token.registration {
    case 0: side = .downstream
    case self.upstreamRegistration: side = .upstream
    // Of an attempt that was given up before the tunnel began.
    default: return true
    }
    self[side].note(event.readiness)
    if event.readiness.contains(.writable), self[side].queuedByteCount > 0 {
      self.flush(towards: side, &bench)
    }
    self.pump(from: side, &bench)
    if event.readiness.contains(.failed) { self.noteLostStream(side, &bench) }
    return self.settle(&bench)
  }

  /// A stream of HTTP/2 may break behind its end, which no receive would tell of any more.
  private mutating func noteLostStream(_ side: Side, _ bench: inout Workbench) {
    guard self.tunnel.hasEnded(side), let fault = self[side].streamFault(bench.scratch) else {
      return
    }
    self.failed(side, fault, &bench)
  }

  /// The timer has fired. Whether the tunnel goes on.
  mutating func deadlinePassed(_ bench: inout Workbench) -> Bool {
    self.armedAt = .never
    self.needsArming = true
    self.noteUntaken(bench)
    while true {
      switch self.tunnel.deadlinePassed(now: bench.now) {
      case .nothing: return self.settle(&bench)
      case .ping(let side): self.insertFrames(towards: side, &bench)
      case .ending:
        self.insertFrames(towards: .downstream, &bench)
        self.insertFrames(towards: .upstream, &bench)
      case .resume(let side):
        self.meter.throttledNanoseconds.raise(by: self.tunnel.throttledNanoseconds)
        self.tunnel.throttledNanoseconds = 0
        self.pump(from: side, &bench)
      case .cut: return false
      }
    }
  }

  /// It is this tunnel's turn to be closed at `deadline`.
  mutating func close(at deadline: Deadline, because cause: Cause, _ bench: inout Workbench) {
    self.tunnel.drains(at: deadline, because: cause)
    self.arm(&bench)
  }

  /// What was decided while the client was being admitted holds for its tunnel, too.
  private mutating func catchUp(_ bench: inout Workbench) {
    if let until = bench.departure.closesUntil {
      self.tunnel.drains(at: until, because: .shutdown)
    } else if !bench.snapshot.has(self.route), let cause = self.adopt(&bench) {
      let wait = bench.snapshot.drainOver * Double.random(in: 0..<1, using: &bench.chance)
      self.tunnel.drains(at: bench.now.advanced(by: wait), because: cause)
    }
  }

  /// Another configuration holds: its terms, where it has a place for this tunnel. Why it has to end
  /// otherwise.
  mutating func adopt(_ bench: inout Workbench) -> Cause? {
    switch bench.snapshot.fate(ofTunnelOn: self.route, to: self.endpoint) {
    case .ends(let cause): return cause
    case .stays(let route):
      // What an earlier configuration had decided may be void.
      self.tunnel.drains(at: .never, because: .shutdown)
      self.tunnel.adopt(route.terms, now: bench.now)
      self.offload?.value.adopt(route.terms.rules)
      self.arm(&bench)
      return nil
    }
  }

  /// The grace is over. ``close(_:)`` must follow.
  mutating func cut(_ bench: inout Workbench) {
    self.tunnel.close(.shutdown, now: bench.now)
    _ = self.settle(&bench)
  }

  /// Since when the slower peer has taken nothing of what waits for it.
  mutating func stalledSince(_ bench: borrowing Workbench) -> Deadline? {
    self.noteUntaken(bench)
    return Side.allCases.compactMap { side in
      self.tunnel.stalledSince(side)?.spared(self.tunnel.hasTaken(side))
    }.min()
  }

  /// Gives back what waits for the slower peer, which is cut off. Whether the tunnel goes on.
  mutating func shed(_ bench: inout Workbench) -> Bool {
    let clientSince = self.tunnel.stalledSince(.downstream) ?? .never
    let serverSince = self.tunnel.stalledSince(.upstream) ?? .never
    let side = clientSince <= serverSince ? Side.downstream : .upstream
    self.tunnel.close(.shed(side), now: bench.now)
    self[side].discardQueue(&bench.scratch)
    self[side].resetOnClose()
    self.tunnel.failed(side, now: bench.now)
    return self.settle(&bench)
  }
}

// MARK: - Ends

extension Tunneling {
  mutating func ended(_ side: Side, _ bench: inout Workbench) {
    self.held[side] = []
    self.tunnel.ended(side, now: bench.now)
  }

  mutating func failed(_ side: Side, _ fault: StreamFault, _ bench: inout Workbench) {
    if self.faultReason == nil { self.faultReason = fault.reason }
    self[side].discardQueue(&bench.scratch)
    self.tunnel.failed(side, now: bench.now)
  }

  /// Puts in what the edge itself has to say, ends what has to end, and sets the timer. Whether the
  /// tunnel goes on: it is over when both directions have ended and nothing is left to send.
  private mutating func settle(_ bench: inout Workbench) -> Bool {
    if self.tunnel.isCalm {
      if self.needsArming { self.arm(&bench) }
      return true
    }
    if self.tunnel.isEnding { self.settleEnd(&bench) }
    for side in Side.allCases where self.tunnel.hasFrames(towards: side) {
      self.insertFrames(towards: side, &bench)
    }
    if self.needsArming { self.arm(&bench) }
    return !self.tunnel.isOver || self[.downstream].queuedByteCount > 0
      || self[.upstream].queuedByteCount > 0
  }

  /// Looks at how much waits for slow peers, the kernel's part included.
  private mutating func noteUntaken(_ bench: borrowing Workbench) {
    for side in Side.allCases where self[side].queuedByteCount > 0 {
      self.tunnel.untaken(self[side].untakenByteCount(), towards: side, now: bench.now)
    }
  }

  private mutating func settleEnd(_ bench: inout Workbench) {
    self.needsArming = true
    self.noteUntaken(bench)
    // A side may have been paused for one that is gone, and no event would tell of its octets.
    self.pump(from: .downstream, &bench)
    self.pump(from: .upstream, &bench)
    for side in Side.allCases {
      self.insertFrames(towards: side, &bench)
      guard self.tunnel.mayEnd(side), !self.isUnderWay(towards: side) else { continue }
      // A socket that is about to be closed need not be told of its end.
      if self.tunnel.isOver, self[side].isPlain { continue }
      if let fault = self[side].end(&bench.scratch) { self.failed(side, fault, &bench) }
    }
  }

  /// Sends the edge's own frames, where they may stand.
  mutating func insertFrames(towards side: Side, _ bench: inout Workbench) {
    guard !self.isUnderWay(towards: side) else { return }
    while let frame = self.tunnel.takeFrame(towards: side, now: bench.now) {
      self.needsArming = true
      let octets = frame.octets(pingTag: self.tunnel.pingTag, towards: side)
      if let fault = self[side].send(octets, &bench.scratch) {
        return self.failed(side, fault, &bench)
      }
      self.queued(towards: side, &bench)
    }
  }

  /// Whether octets for this side are where nothing can be put behind them.
  private func isUnderWay(towards side: Side) -> Bool {
    let isReframing = self.isReframing(from: side.other)
    return isReframing || self[side].pipedByteCount > 0
  }

  /// Sets the timer, where something is due before it fires.
  private mutating func arm(_ bench: inout Workbench) {
    self.needsArming = false
    let next = self.tunnel.nextDeadline
    guard next < self.armedAt else { return }
    self.armedAt = next
    bench.wheel.arm(Int(self.token.slot), at: next)
  }

  /// Writes the record and lets both sockets go.
  consuming func close(_ bench: inout Workbench) -> Connection {
    self.record(bench)
    self.endpoint.end()
    bench.commons.occupancy.upstreamEnded()
    let isStream = self[.downstream].isCarried
    self.streams.takeEach { (stream: consuming ByteStream) in stream.close(&bench.scratch) }
    return bench.closedConnection(isStream: isStream)
  }

  private borrowing func record(_ bench: borrowing Workbench) {
    let cause = self.tunnel.cause ?? .shutdown
    let faultReason = self.faultReason
    let closer = cause.closer.map(\.closer) ?? .edge
    let code = self.tunnel.closeCode.rawValue
    self.meter.ended(.init(reason: cause.reason, closer: closer, closeCode: code))
    let frames = AccessRecord.Frames(
      inboundMessageCount: self.tunnel.messageCount(from: .downstream),
      outboundMessageCount: self.tunnel.messageCount(from: .upstream),
      closeCode: code, detail: cause.detail ?? faultReason)
    self.exchange.finish(
      .init(
        kind: .tunnel, status: 101, closer: closer, reason: cause.reason,
        tls: self[.downstream].tlsVersion,
        inboundByteCount: self.tunnel.octetCount(from: .downstream),
        outboundByteCount: self.tunnel.octetCount(from: .upstream), frames: frames), bench)
  }

  /// Goes to the end of the worker's line, once.
  mutating func waitForTurn(_ side: Side, _ bench: inout Workbench) {
    guard !self[side].waitsForTurn else { return }
    self[side].waitsForTurn = true
    let registration = side == .downstream ? 0 : self.upstreamRegistration
    bench.unfinished.append(self.token.registered(as: registration))
  }
}

extension Side {
  fileprivate var closer: AccessRecord.Closer { self == .downstream ? .downstream : .upstream }
}

extension Tunnel.OwnFrame {
  /// The frame as it goes to one side: a server gets it masked (RFC 6455 §5.3).
  fileprivate func octets(pingTag: UInt64, towards side: Side) -> [UInt8] {
    let maskKey = side == .upstream ? UInt32.random(in: .min ... .max) : nil
    var octets: [UInt8] = []
    switch self {
    case .close(let payload): payload.writeFrame(into: &octets, maskKey: maskKey)
    case .ping:
      let count = FrameCursor.pingTagByteCount
      FrameHeader(opcode: .ping, payloadByteCount: UInt64(count), maskKey: maskKey)
        .write(into: &octets)
      let key = UInt64(maskKey ?? 0)
      let payload = pingTag ^ (key << 32 | key)
      for place in 1...count {
        octets.append(UInt8(truncatingIfNeeded: payload >> UInt64(8 * (count - place))))
      }
    }
    return octets
  }
}
