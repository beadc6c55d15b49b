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
    return .admitting(Owned(self))
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
    if let reason = bench.noteWaiting(&self.downstream, event) {
      return self.admission.exchange.abandon(self.downstream, .downstream, reason, &bench)
    }
    return .admitting(Owned(self))
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    let refusal = Refusal.verifierUnavailable(
      reason: "The token could not be verified in time.", retryAfter: Limits.retryAfter)
    return self.admission.exchange.refuse(refusal, self.downstream, &bench)
  }

  consuming func cut(_ bench: inout Workbench) -> Connection {
    self.admission.exchange.abandon(self.downstream, .edge, "shutdown", &bench)
  }
}
