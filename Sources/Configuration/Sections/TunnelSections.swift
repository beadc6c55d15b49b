import Tunnel

/// The keys of a limit on what peers send.
enum RateLimitKeys: String, CodingKey, CaseIterable { case rate, burst, exceed, from }

/// `routes[].limits.messages`
struct MessageLimitSection: Decodable {
  let limit: TunnelRules.RateLimit

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, RateLimitKeys.self)
    // Without a burst, what a second allows may come at once.
    self.limit = try section.limit(
      perSecond: section.required(.rate)?.permitsPerSecond(),
      burst: section[.burst]?.integer(in: 1...1_000_000), burstWithoutOne: { max(1, $0) })
  }
}

/// `routes[].limits.bytes`
struct ByteLimitSection: Decodable {
  let limit: TunnelRules.RateLimit

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, RateLimitKeys.self)
    // Without a burst, what a quarter of a second allows may come at once, and no less than one
    // receive brings. Under 1 KiB every few frames would wait.
    self.limit = try section.limit(
      perSecond: section.required(.rate)?.bytesPerSecond(),
      burst: section[.burst]?.byteCount(in: 1 << 10...1 << 30),
      burstWithoutOne: { max(64 * 1024, $0 / 4) })
  }
}

extension Section<RateLimitKeys> {
  /// The limit with a rate and a burst that were read already.
  ///
  /// - Throws: ``Refused`` where there is no rate, which was recorded then.
  fileprivate func limit(
    perSecond: Double?, burst: Int?, burstWithoutOne: (Double) -> Double
  ) throws(Refused) -> TunnelRules.RateLimit {
    let excess = self[.exceed]?.choice(TunnelRules.RateLimit.Excess.self)
    let peers = self[.from]?.choice(TunnelRules.Peers.self)
    guard let perSecond else { throw Refused() }
    var limit = TunnelRules.RateLimit(
      perSecond: perSecond, burst: burst.map(Double.init) ?? burstWithoutOne(perSecond))
    if let excess { limit.excess = excess }
    if let peers { limit.from = peers }
    return limit
  }
}

extension Entry {
  /// When peers are asked whether they are alive; `nil` for the word `off`.
  func heartbeat() -> TunnelRules.Heartbeat? {
    guard self.writtenScalar != nil else { return self.part(HeartbeatSection.self)?.heartbeat }
    // A word like any other: the flags of YAML 1.1 are none here.
    guard let scalar = self.scalar("`off` or keys and values"), scalar.characters != "off" else {
      return nil
    }
    self.refuse("`off` or keys and values are expected, \(self.kind)")
    return nil
  }
}

/// `routes[].heartbeat`, where it is not off.
struct HeartbeatSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case interval, timeout, to }

  let heartbeat: TunnelRules.Heartbeat

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var heartbeat = TunnelRules.Heartbeat()
    if let interval = section[.interval]?.duration(in: .seconds(1) ... .seconds(3600)) {
      heartbeat.interval = interval
    }
    if let timeout = section[.timeout]?.duration(in: .seconds(1) ... .seconds(600)) {
      heartbeat.timeout = timeout
    }
    if let peers = section[.to]?.choice(TunnelRules.Peers.self) { heartbeat.to = peers }
    self.heartbeat = heartbeat
  }
}
