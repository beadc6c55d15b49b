public import Net

/// Whether an endpoint may be picked: what probes and attempts of clients have shown. Pure: the
/// clock is passed in.
///
///     by probes     healthy ──unhealthyAfter failures in a row──▶ unhealthy
///                   unhealthy ──healthyAfter successes in a row──▶ healthy
///
///     by attempts   admitted ──consecutiveFailures──▶ ejected ──duration──▶ on trial
///                   on trial ──consecutiveFailures──▶ ejected for twice as long
///                   ejected or on trial ──a good attempt──▶ admitted
///
/// The two do not touch each other: a server may answer its probes and fail its clients. One that
/// was never probed counts as healthy.
public struct Health: Sendable, Equatable {
  /// What a pick goes by.
  public enum Standing: Sendable, Equatable {
    /// It may be picked.
    case healthy
    /// It failed its clients lately and is picked only where nobody else is left.
    case ejected
    /// It failed its probes and is never picked.
    case unhealthy
  }

  /// What an event changed, for the log.
  public enum Change: Sendable, Equatable {
    /// Enough good probes in a row.
    case becameHealthy
    /// Enough failed probes in a row.
    case becameUnhealthy
    /// Enough failed attempts in a row.
    case ejected(until: Deadline)
    /// A good attempt during an ejection, or the first one after it.
    case readmitted
  }

  /// An ejection is at most this many times as long as the rules say.
  public static let ejectionFactorMax = 8
  /// What an endpoint that has just come, or come back, takes of its weight.
  public static let shareMin = 0.1

  private var isUnhealthy = false
  /// Probes in a row that speak against `isUnhealthy`.
  private var contraryProbeCount = 0
  private var failedAttemptCount = 0
  /// When the last ejection ends or ended; `nil` once a good attempt has followed it.
  private var ejectedUntil: Deadline?
  /// What the next ejection's duration is multiplied with.
  private var ejectionFactor = 1
  /// When it was added, found healthy again or readmitted; `nil` for one that was there from the
  /// beginning.
  private var warmingSince: Deadline?

  /// An endpoint of which nothing is known.
  ///
  /// - Parameter warmingSince: when it was added to a group that others serve already.
  public init(warmingSince: Deadline? = nil) { self.warmingSince = warmingSince }
}

extension Health {
  /// Takes the result of one probe.
  public mutating func probed(
    _ succeeded: Bool, rules: HealthRules, now: Deadline
  ) -> Change? {
    guard succeeded == self.isUnhealthy else {
      self.contraryProbeCount = 0
      return nil
    }
    self.contraryProbeCount += 1
    let needed = succeeded ? rules.healthyAfter : rules.unhealthyAfter
    guard self.contraryProbeCount >= needed else { return nil }
    self.contraryProbeCount = 0
    self.isUnhealthy = !succeeded
    if succeeded { self.warmingSince = now }
    return succeeded ? .becameHealthy : .becameUnhealthy
  }

  /// Takes the result of one client's attempt.
  ///
  /// - Parameter rules: `nil` where nobody is ejected: failures are not counted then.
  public mutating func attempted(
    _ succeeded: Bool, rules: EjectionRules?, now: Deadline
  ) -> Change? {
    if succeeded { return self.attemptSucceeded(now) }
    return rules.flatMap { self.attemptFailed($0, now) }
  }

  private mutating func attemptSucceeded(_ now: Deadline) -> Change? {
    self.failedAttemptCount = 0
    guard let until = self.ejectedUntil else { return nil }
    // Slow start counts from the end of the ejection, which this attempt may have brought forward.
    let end = min(until, now)
    self.warmingSince = max(self.warmingSince ?? end, end)
    self.ejectedUntil = nil
    self.ejectionFactor = 1
    return .readmitted
  }

  private mutating func attemptFailed(_ rules: EjectionRules, _ now: Deadline) -> Change? {
    // Attempts that began before the ejection, or for want of anybody else, do not lengthen it.
    if let until = self.ejectedUntil, now < until { return nil }
    self.failedAttemptCount += 1
    guard self.failedAttemptCount >= rules.consecutiveFailures else { return nil }
    // In steps, as the product of a long duration could overflow and the sum stops at `never`.
    let until = (0..<self.ejectionFactor).reduce(now) { point, _ in
      point.advanced(by: rules.duration)
    }
    self.failedAttemptCount = 0
    self.ejectedUntil = until
    self.ejectionFactor = min(2 * self.ejectionFactor, Self.ejectionFactorMax)
    return .ejected(until: until)
  }

  /// Forgets what probes have shown.
  mutating func forgetProbes() {
    self.isUnhealthy = false
    self.contraryProbeCount = 0
  }

  /// Forgets what attempts have shown.
  mutating func forgetAttempts() {
    self.failedAttemptCount = 0
    self.ejectedUntil = nil
    self.ejectionFactor = 1
  }
}

extension Health {
  /// What a pick goes by at this moment. An ejection ends by itself.
  ///
  /// - Parameter rules: the group's. What they do not ask for (any longer) counts for nothing:
  ///   without probes nobody would notice a recovery. `nil` for whatever is known.
  public func standing(now: Deadline, under rules: GroupRules? = nil) -> Standing {
    let (heedsProbes, heedsAttempts) =
      rules.map { ($0.healthCheck != nil, $0.eject != nil) } ?? (true, true)
    if heedsProbes, self.isUnhealthy { return .unhealthy }
    if heedsAttempts, let until = self.ejectedUntil, now < until { return .ejected }
    return .healthy
  }

  /// How much of its weight an endpoint takes, 0.1 to 1: a server that has just started is slow
  /// until its caches are warm. The share grows evenly over `slowStart` since the endpoint was
  /// added, found healthy again or let in after an ejection. Says nothing about whether it may be
  /// picked.
  ///
  /// - Parameter slowStart: `nil` where everybody takes the whole weight at once.
  public func share(now: Deadline, slowStart: Duration?) -> Double {
    guard let slowStart, slowStart > .zero,
      let since = [self.warmingSince, self.ejectedUntil].compactMap({ $0 }).max()
    else { return 1 }
    let progress = now.duration(since: since) / slowStart
    return min(Self.shareMin + (1 - Self.shareMin) * progress, 1)
  }
}
