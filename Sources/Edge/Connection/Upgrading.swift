internal import Admission
internal import Compression
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import Tunnel
internal import Upstream
internal import WebSocket

/// The request is with a server, whose answer is awaited and checked before the client sees it.
struct Upgrading: ~Copyable {
  private var downstream: ByteStream
  private var server: UpstreamAttempt
  private let outgoing: OutgoingRequest
  private let upgrade: OutgoingUpgrade
  private var interimCount = 0
  private var reader = ResponseReader(headByteCountMax: Limits.responseHeadByteCountMax)

  init(
    _ downstream: consuming ByteStream, _ server: consuming UpstreamAttempt,
    _ outgoing: OutgoingRequest, _ upgrade: OutgoingUpgrade
  ) {
    self.downstream = downstream
    self.server = server
    self.outgoing = outgoing
    self.upgrade = upgrade
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    if event.token.registration == 0 {
      guard let reason = bench.noteWaiting(&self.downstream, event, isUpgrade: true)
      else {
        return .upgrading(Owned(self))
      }
      return self.abandon(.downstream, reason, &bench)
    }
    guard event.token == self.server.token else { return .upgrading(Owned(self)) }
    self.server.stream.note(event.readiness)
    if event.readiness.contains(.writable), self.server.stream.flush(&bench.scratch) != nil {
      return self.lost("reset", &bench)
    }
    return self.read(&bench)
  }

  /// Takes what stands in the scratch, then what the socket has.
  consuming func read(_ bench: inout Workbench) -> Connection {
    while true {
      do throws(HeadError) {
        if let head = try self.takeHead(&bench) { return self.answered(head, &bench) }
      } catch {
        return self.malformed("The server's answer is no HTTP head.", &bench)
      }
      guard self.interimCount <= Limits.interimAnswerCountMax else {
        return self.malformed("The server sends interim answers without end.", &bench)
      }
      guard self.server.stream.isReadable else { return .upgrading(Owned(self)) }
      switch self.server.stream.receive(&bench.scratch) {
      case .octets, .nothing: continue
      case .ended where bench.scratch.inbound.isEmpty: return self.lost("closed", &bench)
      case .ended: continue
      case .failed(let fault): return self.lost(fault.reason, &bench)
      }
    }
  }

  /// The head that counts, out of what stands in the scratch; `nil` where it is not complete yet.
  private mutating func takeHead(_ bench: inout Workbench) throws(HeadError) -> ResponseHead? {
    while !bench.scratch.inbound.isEmpty {
      let octets = try self.reader.receive(bench.scratch.inbound.octets)
      guard case .head(let head, let consumed) = octets else {
        bench.scratch.inbound.clear()
        return nil
      }
      bench.scratch.inbound.consume(consumed)
      // RFC 9110 §15.2: interim answers precede the one that counts.
      if head.status >= 200 || head.status == 101 { return head }
      self.interimCount += 1
    }
    return nil
  }

  private consuming func answered(
    _ head: ResponseHead, _ bench: inout Workbench
  ) -> Connection {
    guard head.status == 101 else {
      return Relaying.answered(head, self.outgoing, self.downstream, self.server, &bench)
    }
    let response: UpgradeResponse
    do throws(UpgradeFault) {
      response = try UpgradeResponse.verify(head, answering: self.upgrade.request)
    } catch {
      return self.malformed(error.reason, &bench)
    }
    bench.noteAnswer(true, self.server.endpoint, self.outgoing)
    var answer = responseHead101(
      from: head, fallbackSubprotocol: self.upgrade.markerSubprotocol)
    answer.fields.set("X-Request-Id", self.outgoing.exchange.requestID)
    if let rules = self.outgoing.group.rules.stickyCookie,
      let cookie = self.outgoing.affinity.setCookie(
        for: self.server.endpoint, rules, bench.commons.signer)
    {
      answer.fields.append(name: "Set-Cookie", value: cookie)
    }
    if let agreement = self.upgrade.agreement {
      answer.fields.append(
        name: "Sec-WebSocket-Extensions", value: agreement.response.description)
    }
    let terms = TunnelUpgrade(
      usesDeflate: response.usesDeflate, isOffloaded: self.upgrade.agreement != nil,
      pingTag: bench.chance.next(), expiresAt: self.outgoing.exchange.expiresAt)
    return Tunneling.begin(
      Tunneling(self.downstream, self.server, self.outgoing, terms, bench), answer,
      self.outgoing.pipelined, &bench)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    bench.noteFailedAttempt(self.server.endpoint, "answer timed out", self.outgoing)
    return self.refuse(.upstreamTimedOut, &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection {
    self.abandon(.edge, "shutdown", &bench)
  }

  /// The server went away before it answered. Another one may be asked: a handshake has no effect
  /// until it is answered. Not, however, in the middle of an answer.
  private consuming func lost(_ reason: String, _ bench: inout Workbench) -> Connection {
    guard !self.reader.hasReceivedOctets else {
      return self.malformed("The server's answer ended in its head.", &bench)
    }
    let tried = self.server.giveUp(reason, self.outgoing, &bench)
    return Connecting.begin(
      self.outgoing, self.downstream, tried: tried, fault: .upstreamRefused, &bench)
  }

  private consuming func malformed(_ reason: String, _ bench: inout Workbench) -> Connection {
    bench.noteFailedAttempt(self.server.endpoint, reason, self.outgoing)
    return self.refuse(.upstreamMalformed(reason: reason), &bench)
  }

  private consuming func refuse(_ refusal: Refusal, _ bench: inout Workbench) -> Connection {
    self.server.close(&bench)
    return self.outgoing.exchange.refuse(refusal, self.downstream, &bench)
  }

  private consuming func abandon(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    self.server.close(&bench)
    return self.outgoing.exchange.abandon(self.downstream, closer, reason, &bench)
  }
}
