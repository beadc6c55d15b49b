public import Net
import Synchronization

/// How many WebSockets and requests each client has open on each route, and how fast it asks for
/// more.
///
/// One table for the whole process, because a client's connections land on any worker. It is split
/// into shards, each behind a lock that is held for one look-up, once per upgrade or request and once
/// when it ends; nothing here is touched by a message.
public final class ClientQuotas: Sendable {
  /// What a client asks for. Each has a rate of its own.
  public enum Kind: Sendable {
    /// A WebSocket.
    case upgrade
    /// An answer to an ordinary request.
    case request
  }

  /// What became of an attempt to enter.
  public enum OnEnter: Equatable, Sendable {
    /// It counts from now on, until ``ClientQuotas/leave(client:route:rules:)``.
    case entered
    /// The client has all the connections it may have.
    case tooManyConnections
    /// The client asks for this kind of thing too often; after this time the next attempt would pass.
    case tooManyUpgrades(retryAfter: Duration)
  }

  private let shards: [Shard]

  /// An empty table for at most `entryCountMax` pairs of a client and a route. Pairs without a
  /// connection make room for new ones; the number should exceed the process's own limit of
  /// connections, for beyond it strangers are refused.
  public init(entryCountMax: Int = 262_144) {
    let shardCount = 16
    let perShard = max(1, entryCountMax / shardCount)
    self.shards = (0..<shardCount).map { _ in Shard(entryCountMax: perShard) }
  }

  /// Counts one upgrade or request of a client on a route, if the rules let it in.
  ///
  /// A refused attempt costs nothing: neither a connection nor a permit. A client whose address is
  /// not known (`nil`) is not counted.
  public func enter(
    client: IPAddress?, route: String, rules: AdmissionRules, as kind: Kind = .upgrade,
    now: Deadline
  ) -> OnEnter {
    let rate = rules.rate(of: kind)
    guard let client, rules.connectionsPerClient != nil || rate != nil else { return .entered }
    let key = ClientKey(client: client, route: route)
    return self.shard(of: key).table.withLock { table in
      table.enter(key, countMax: rules.connectionsPerClient, kind, rate, now: now)
    }
  }

  /// Takes what had entered out of the count. `rules` are those it entered under.
  public func leave(client: IPAddress?, route: String, rules: AdmissionRules) {
    guard let client, rules.connectionsPerClient != nil else { return }
    let key = ClientKey(client: client, route: route)
    self.shard(of: key).table.withLock { $0.leave(key) }
  }

  /// How many pairs of a client and a route are in the table.
  public var entryCount: Int {
    self.shards.reduce(0) { $0 + $1.table.withLock { $0.entries.count } }
  }

  private func shard(of key: ClientKey) -> Shard {
    // The high bits: the low ones choose the place inside the shard's dictionary.
    self.shards[Int(UInt(bitPattern: key.hashValue) >> 60) % self.shards.count]
  }
}

extension AdmissionRules {
  fileprivate func rate(of kind: ClientQuotas.Kind) -> Rate? {
    switch kind {
    case .upgrade: self.upgradesPerClient
    case .request: self.requestsPerClient
    }
  }
}

/// Who is counted. An IPv6 client owns a /64 as a rule and could else use a fresh address each time.
private struct ClientKey: Hashable {
  let client: IPAddress
  let route: String

  init(client: IPAddress, route: String) {
    self.client = if case .v6 = client { client.masked(to: 64) } else { client }
    self.route = route
  }
}

private final class Shard: Sendable {
  let table: Mutex<QuotaTable>

  init(entryCountMax: Int) { self.table = Mutex(QuotaTable(entryCountMax: entryCountMax)) }
}

/// One shard's entries. Pure: the clock is passed in.
private struct QuotaTable {
  struct Entry {
    var connectionCount = 0
    /// When the bucket of upgrades will be full again, in nanoseconds of the monotonic clock (the
    /// "theoretical arrival time" of the generic cell rate algorithm): its whole state.
    var upgradesFullAt: UInt64 = 0
    /// The same of the bucket of requests.
    var requestsFullAt: UInt64 = 0

    func isIdle(at now: Deadline) -> Bool {
      self.connectionCount == 0 && max(self.upgradesFullAt, self.requestsFullAt) <= now.nanoseconds
    }

    /// Whether no bucket was ever used.
    var isFresh: Bool { self.upgradesFullAt == 0 && self.requestsFullAt == 0 }
  }

  var entries: [ClientKey: Entry] = [:]
  private let entryCountMax: Int
  /// When the table may be searched for idle entries again: a full one would else be walked through
  /// by every stranger.
  private var sweepNotBefore = Deadline(nanoseconds: 0)

  init(entryCountMax: Int) { self.entryCountMax = entryCountMax }

  mutating func enter(
    _ key: ClientKey, countMax: Int?, _ kind: ClientQuotas.Kind, _ rate: Rate?, now: Deadline
  ) -> ClientQuotas.OnEnter {
    var entry = self.entries[key] ?? Entry()
    if let countMax {
      guard entry.connectionCount < countMax else { return .tooManyConnections }
      entry.connectionCount += 1
    }
    if let rate, let wait = entry.takePermit(for: kind, of: rate, now: now) {
      return .tooManyUpgrades(retryAfter: wait)
    }
    guard self.entries[key] != nil || self.hasRoom(at: now) else { return .tooManyConnections }
    self.entries[key] = entry
    return .entered
  }

  mutating func leave(_ key: ClientKey) {
    guard var entry = self.entries[key], entry.connectionCount > 0 else { return }
    entry.connectionCount -= 1
    // A bucket outlives the connection, or closing would be a way to get a fresh one. An entry
    // whose buckets were never used has nothing left to say.
    self.entries[key] = entry.connectionCount == 0 && entry.isFresh ? nil : entry
  }

  private mutating func hasRoom(at now: Deadline) -> Bool {
    if self.entries.count < self.entryCountMax { return true }
    guard now >= self.sweepNotBefore else { return false }
    self.entries = self.entries.filter { !$0.value.isIdle(at: now) }
    self.sweepNotBefore = now.advanced(by: .seconds(1))
    return self.entries.count < self.entryCountMax
  }
}

extension QuotaTable.Entry {
  /// Uses one permit; or, where there is none, says how long until there is one.
  fileprivate mutating func takePermit(
    for kind: ClientQuotas.Kind, of rate: Rate, now: Deadline
  ) -> Duration? {
    switch kind {
    case .upgrade: Self.takePermit(of: rate, &self.upgradesFullAt, now: now)
    case .request: Self.takePermit(of: rate, &self.requestsFullAt, now: now)
    }
  }

  private static func takePermit(
    of rate: Rate, _ bucketFullAt: inout UInt64, now: Deadline
  ) -> Duration? {
    let interval = 1e9 / rate.permitsPerSecond
    let depth = UInt64(clampingNanoseconds: interval * (rate.burst - 1))
    let fullAt = max(bucketFullAt, now.nanoseconds)
    let ahead = fullAt - now.nanoseconds
    guard ahead <= depth else {
      return .nanoseconds(Int64(clamping: ahead - depth))
    }
    let (sum, overflow) = fullAt.addingReportingOverflow(UInt64(clampingNanoseconds: interval))
    bucketFullAt = overflow ? .max : sum
    return nil
  }
}

extension UInt64 {
  /// The whole nanoseconds of a length that is not negative; a century for anything longer.
  fileprivate init(clampingNanoseconds length: Double) {
    self = UInt64(Swift.min(Swift.max(length.rounded(), 0), 3.2e18))
  }
}
