internal import Admission
internal import Configuration
internal import HTTP
internal import Logging
internal import Net
internal import Telemetry
internal import Transport

/// A verifier judges the client's token on another thread, or a service its request. The client is not
/// read meanwhile: what it sends waits in the kernel.
struct Admitting: ~Copyable {
  /// Who is asked.
  enum Judge {
    case verifier(JWTRule)
    case service(ForwardRule)
  }

  private var downstream: ByteStream
  private let admission: PendingAdmission
  private let judge: Judge

  private init(
    _ downstream: consuming ByteStream, _ admission: PendingAdmission, _ judge: Judge
  ) {
    self.downstream = downstream
    self.admission = admission
    self.judge = judge
  }

  /// Goes on from what an examination found.
  static func proceed(
    _ found: Examination, _ downstream: consuming ByteStream, _ admission: PendingAdmission,
    _ bench: inout Workbench
  ) -> Connection {
    switch found {
    case .admit(let admitted): return admission.admitted(admitted, downstream, &bench)
    case .verify(let token, let rule):
      return Self(downstream, admission, .verifier(rule)).ask(rule, about: token, &bench)
    case .ask(let rule): return Self(downstream, admission, .service(rule)).ask(rule, &bench)
    case .refuse(let refusal): return admission.exchange.refuse(refusal, downstream, &bench)
    }
  }

  private consuming func ask(
    _ rule: JWTRule, about bearer: String, _ bench: inout Workbench
  ) -> Connection {
    self.wait(Limits.verdictTimeout, &bench) { .token(await rule.verifier.verify(bearer)) }
  }

  private consuming func ask(_ rule: ForwardRule, _ bench: inout Workbench) -> Connection {
    let question = self.admission.question(bench)
    return self.wait(rule.timeout, &bench) { .forward(await rule.ask(question)) }
  }

  private consuming func wait(
    _ timeout: Duration, _ bench: inout Workbench,
    for judgement: @escaping @Sendable () async -> Judgement
  ) -> Connection {
    let (token, mailbox) = (self.admission.exchange.arrival.token, bench.mailbox)
    bench.arm(token, after: timeout)
    Task.detached { mailbox.post(.judged(token, await judgement())) }
    return .admitting(Owned(self))
  }

  consuming func judged(_ judgement: Judgement, _ bench: inout Workbench) -> Connection {
    let found: Examination
    switch (judgement, self.judge) {
    case (.token(let verdict), .verifier(let rule)):
      let forward = self.admission.route.rules.admission.credentials?.forward
      found = Admission.judge(verdict, rule: rule, otherwise: forward)
    case (.forward(let answer), .service(let rule)):
      if case .failure(let fault) = answer { self.note(fault, rule, bench) }
      found = Admission.judge(answer, rule: rule)
    // Nobody else was asked.
    case (.token, .service), (.forward, .verifier): return .admitting(Owned(self))
    }
    return Self.proceed(found, self.downstream, self.admission, &bench)
  }

  /// The client is told that there is no answer, and an operator why.
  private borrowing func note(
    _ fault: WebFault, _ rule: ForwardRule, _ bench: borrowing Workbench
  ) {
    bench.snapshot.log.warning(
      "no answer of the authorization service",
      metadata: [
        "url": "\(rule.url)", "reason": "\(fault)",
        "request_id": "\(self.admission.exchange.requestID)",
      ])
  }

  consuming func handle(_ event: Event, _ bench: inout Workbench) -> Connection {
    let isUpgrade = self.admission.purpose.upgrade != nil
    if let reason = bench.noteWaiting(&self.downstream, event, isUpgrade: isUpgrade) {
      return self.admission.exchange.abandon(self.downstream, .downstream, reason, &bench)
    }
    return .admitting(Owned(self))
  }

  consuming func deadlinePassed(_ bench: inout Workbench) -> Connection {
    switch self.judge {
    // It comes a moment late: what asks it has the same limit.
    case .service: return self.judged(.forward(.failure(.timedOut)), &bench)
    case .verifier:
      let refusal = Refusal.verifierUnavailable(
        reason: "The token could not be verified in time.", retryAfter: Limits.retryAfter)
      return self.admission.exchange.refuse(refusal, self.downstream, &bench)
    }
  }

  consuming func cut(_ bench: inout Workbench) -> Connection {
    self.admission.exchange.abandon(self.downstream, .edge, "shutdown", &bench)
  }
}
