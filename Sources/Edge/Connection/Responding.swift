internal import Admission
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel

/// A server answered the upgrade with something else than 101: a login page, a redirect, a 401. The
/// client gets it as it is, body included, and no tunnel.
struct Responding: ~Copyable {
  private var downstream: ByteStream
  private var server: UpstreamAttempt
  private let exchange: Exchange
  private let status: Int
  private var body: BodyCursor
  private var byteCount: UInt64 = 0

  static func begin(
    _ head: ResponseHead, _ downstream: consuming ByteStream, _ server: consuming UpstreamAttempt,
    _ upgrade: OutgoingUpgrade, _ bench: inout Workbench
  ) -> Connection {
    let body: BodyCursor
    do throws(HeadError) {
      body = try BodyCursor(response: head, toMethod: "GET")
    } catch {
      server.close(&bench)
      let refusal = Refusal.upstreamMalformed(reason: error.reason)
      return upgrade.exchange.refuse(refusal, downstream, &bench)
    }
    var answer = head.forwardedClosing()
    answer.fields.set("X-Request-Id", upgrade.exchange.requestID)
    bench.arm(upgrade.exchange.arrival.token, after: Limits.responseTimeout)
    let fault = downstream.send(answer.serialized(), &bench.scratch)
    let phase = Responding(
      downstream: downstream, server: server, exchange: upgrade.exchange, status: head.status,
      body: body)
    return fault == nil ? phase.read(&bench) : phase.end(.downstream, "reset", &bench)
  }

  private init(
    downstream: consuming ByteStream, server: consuming UpstreamAttempt, exchange: Exchange,
    status: Int, body: BodyCursor
  ) {
    self.downstream = downstream
    self.server = server
    self.exchange = exchange
    self.status = status
    self.body = body
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    if event.token.registration == 0 {
      self.downstream.note(event.readiness)
      if event.readiness.contains(.failed) { return self.end(.downstream, "reset", &bench) }
      if event.readiness.contains(.writable), self.downstream.queuedByteCount > 0 {
        guard self.downstream.flush(&bench.scratch) == nil else {
          return self.end(.downstream, "reset", &bench)
        }
        bench.arm(self.exchange.arrival.token, after: Limits.responseTimeout)
      }
    } else if event.token == self.server.token {
      self.server.stream.note(event.readiness)
    }
    return self.read(&bench)
  }

  /// Passes the body on for as long as there is some, the client takes it and the turn lasts.
  private consuming func read(_ bench: inout Workbench) -> Connection {
    var receives = 0
    while !self.body.isComplete {
      if let ended = self.forward(&bench) {
        return self.end(ended.closer, ended.reason, &bench)
      }
      guard !self.body.isComplete, self.server.stream.isReadable,
        self.downstream.queuedByteCount <= Watermarks.standard.highByteCount
      else { break }
      guard receives < Limits.receivesPerTurnMax else {
        if !self.server.stream.waitsForTurn { bench.unfinished.append(self.server.token) }
        self.server.stream.waitsForTurn = true
        break
      }
      receives += 1
      switch self.server.stream.receive(&bench.scratch) {
      case .octets, .nothing: continue
      case .ended:
        _ = self.forward(&bench)
        return self.serverEnded(&bench)
      case .failed(let fault): return self.end(.upstream, fault.reason, &bench)
      }
    }
    return self.body.isComplete ? self.complete(&bench) : .responding(Owned(self))
  }

  /// Sends the part of the scratch that belongs to the body; what is wrong where that fails.
  private mutating func forward(
    _ bench: inout Workbench
  ) -> (closer: AccessRecord.Closer, reason: String)? {
    guard !bench.scratch.inbound.isEmpty else { return nil }
    bench.arm(self.exchange.arrival.token, after: Limits.responseTimeout)
    do throws(HeadError) {
      let count = try self.body.advance(bench.scratch.inbound.octets)
      // What follows a complete body belongs to nobody.
      bench.scratch.inbound.truncate(to: count)
      self.byteCount &+= UInt64(count)
    } catch {
      return (.upstream, error.reason)
    }
    return self.downstream.sendInbound(&bench.scratch) == nil ? nil : (.downstream, "reset")
  }

  private consuming func serverEnded(_ bench: inout Workbench) -> Connection {
    self.body.endsAtClose || self.body.isComplete
      ? self.complete(&bench) : self.end(.upstream, "closed inside the body", &bench)
  }

  private consuming func complete(_ bench: inout Workbench) -> Connection {
    self.record(.upstream, "answered", bench)
    self.server.close(&bench)
    return Closing(self.downstream, self.exchange.arrival.token).begin(&bench)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    self.end(.edge, "timed out", &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end(.edge, "shutdown", &bench) }

  /// The answer breaks off, and the client must not take it for complete.
  private consuming func end(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    self.record(closer, reason, bench)
    self.server.close(&bench)
    if self.body.endsAtClose { self.downstream.resetOnClose() }
    self.downstream.close(&bench.scratch)
    return bench.closeConnection()
  }

  private borrowing func record(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: borrowing Workbench
  ) {
    self.exchange.finish(
      .init(
        kind: .request, status: self.status, closer: closer, reason: reason,
        tls: self.downstream.tlsVersion, outboundByteCount: self.byteCount), bench)
  }
}
