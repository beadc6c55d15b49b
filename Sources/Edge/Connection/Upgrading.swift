internal import Admission
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import WebSocket

/// The request is with a server, whose answer is awaited and checked before the client sees it.
struct Upgrading: ~Copyable {
  private var downstream: ByteStream
  private var server: UpstreamAttempt
  private let upgrade: OutgoingUpgrade
  private var reader = ResponseReader(headByteCountMax: Limits.responseHeadByteCountMax)

  init(
    _ downstream: consuming ByteStream, _ server: consuming UpstreamAttempt,
    _ upgrade: OutgoingUpgrade
  ) {
    self.downstream = downstream
    self.server = server
    self.upgrade = upgrade
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    guard event.token.registration != 0 else {
      self.downstream.note(event.readiness)
      return event.readiness.isGone
        ? self.end(.downstream, "closed", &bench) : .upgrading(self)
    }
    guard event.token == self.server.token else { return .upgrading(self) }
    self.server.stream.note(event.readiness)
    if event.readiness.contains(.writable), self.server.stream.flush(&bench.scratch) != nil {
      return self.lost("reset", &bench)
    }
    bench.scratch.inbound.clear()
    return self.read(&bench)
  }

  /// Takes what stands in the scratch, then what the socket has.
  consuming func read(_ bench: inout Workbench) -> Connection {
    while true {
      while !bench.scratch.inbound.isEmpty {
        do throws(HeadError) {
          let octets = try self.reader.receive(bench.scratch.inbound.octets)
          guard case .head(let head, let consumed) = octets else {
            bench.scratch.inbound.clear()
            break
          }
          bench.scratch.inbound.consume(consumed)
          // RFC 9110 §15.2: interim answers precede the one that counts.
          if head.status >= 200 || head.status == 101 { return self.answered(head, &bench) }
        } catch {
          return self.refuse(
            .upstreamMalformed(reason: "The server's answer is no HTTP head."), &bench)
        }
      }
      guard self.server.stream.isReadable else { return .upgrading(self) }
      switch self.server.stream.receive(&bench.scratch) {
      case .octets, .nothing: continue
      case .ended where bench.scratch.inbound.isEmpty: return self.lost("closed", &bench)
      case .ended: continue
      case .failed(let fault): return self.lost(fault.reason, &bench)
      }
    }
  }

  private consuming func answered(
    _ head: ResponseHead, _ bench: inout Workbench
  ) -> Connection {
    guard head.status == 101 else {
      return Responding.begin(head, self.downstream, self.server, self.upgrade, &bench)
    }
    do throws(UpgradeFault) {
      _ = try UpgradeResponse.verify(head, answering: self.upgrade.request)
    } catch {
      return self.refuse(.upstreamMalformed(reason: error.reason), &bench)
    }
    var answer = responseHead101(
      from: head, fallbackSubprotocol: self.upgrade.markerSubprotocol)
    answer.fields.set("X-Request-Id", self.upgrade.exchange.requestID)
    let tunneling = Tunneling(self.downstream, self.server, self.upgrade)
    return tunneling.begin(answer.serialized(), self.upgrade.pipelined, &bench)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    bench.noteFailedAttempt(self.server.endpoint, "answer timed out", self.upgrade.exchange)
    return self.refuse(.upstreamTimedOut, &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end(.edge, "shutdown", &bench) }

  /// The server went away before it answered. Another one may be asked: a handshake has no effect
  /// until it is answered. Not, however, in the middle of an answer.
  private consuming func lost(_ reason: String, _ bench: inout Workbench) -> Connection {
    bench.noteFailedAttempt(self.server.endpoint, reason, self.upgrade.exchange)
    guard !self.reader.hasReceivedOctets else {
      return self.refuse(
        .upstreamMalformed(reason: "The server's answer ended in its head."), &bench)
    }
    let tried = self.server.tried + [self.server.endpoint]
    self.server.close(&bench)
    return Connecting.begin(
      self.upgrade, self.downstream, tried: tried, fault: .upstreamRefused, &bench)
  }

  private consuming func refuse(_ refusal: Refusal, _ bench: inout Workbench) -> Connection {
    self.server.close(&bench)
    return self.upgrade.exchange.refuse(refusal, self.downstream, &bench)
  }

  private consuming func end(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    let tls = self.downstream.tlsVersion
    self.server.close(&bench)
    self.downstream.close(&bench.scratch)
    self.upgrade.exchange.finish(
      .init(kind: .request, status: 0, closer: closer, reason: reason, tls: tls), bench)
    return bench.closeConnection()
  }
}
