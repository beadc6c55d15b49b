internal import Admission
internal import Net
internal import Telemetry
internal import Transport

/// A verifier judges the client's token on another thread. The client is not read meanwhile: what
/// it sends waits in the kernel.
struct Admitting: ~Copyable {
  private var downstream: ByteStream
  private let admission: PendingAdmission
  private let rule: JWTRule

  init(_ downstream: consuming ByteStream, _ admission: PendingAdmission, _ rule: JWTRule) {
    self.downstream = downstream
    self.admission = admission
    self.rule = rule
  }

  consuming func begin(_ bearer: String, _ bench: inout Workbench) -> Connection {
    let token = self.admission.exchange.arrival.token
    bench.arm(token, after: Limits.verdictTimeout)
    let (verifier, mailbox) = (self.rule.verifier, bench.mailbox)
    Task.detached {
      let verdict = await verifier.verify(bearer)
      mailbox.post(.verdict(token, verdict))
    }
    return .admitting(self)
  }

  consuming func judged(_ verdict: Verdict, _ bench: inout Workbench) -> Connection {
    switch judge(verdict, rule: self.rule) {
    case .admit(let admitted):
      return self.admission.admitted(admitted, self.downstream, &bench)
    case .refuse(let refusal):
      return self.admission.exchange.refuse(refusal, self.downstream, &bench)
    case .verify:
      preconditionFailure("a verdict asks for no further verdict")
    }
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    self.downstream.note(event.readiness)
    guard !event.readiness.isGone else { return self.end(.downstream, "closed", &bench) }
    return .admitting(self)
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    let refusal = Refusal.verifierUnavailable(
      reason: "The token could not be verified in time.", retryAfter: Limits.retryAfter)
    return self.admission.exchange.refuse(refusal, self.downstream, &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection { self.end(.edge, "shutdown", &bench) }

  private consuming func end(
    _ closer: AccessRecord.Closer, _ reason: String, _ bench: inout Workbench
  ) -> Connection {
    let tls = self.downstream.tlsVersion
    self.downstream.close(&bench.scratch)
    self.admission.exchange.finish(
      .init(kind: .request, status: 0, closer: closer, reason: reason, tls: tls), bench)
    return bench.closeConnection()
  }
}
