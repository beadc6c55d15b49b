internal import Net
internal import WebSocket

/// One room: who is in it, what they are told of each other, and what passes between them. A value
/// without clock, descriptor or chance: events and moments come in, actions go out.
///
///     newcomer ──join──▶ member ──lost──▶ away ──resume──▶ member
///                          │                └──the window is over──▶ gone (left: timeout)
///                          └──leave, kick, expiry, a newer one──────▶ gone
struct Room: ~Copyable {
  /// The longest ban, in seconds: a week.
  static let banSecondsMax = 604_800
  /// Bans that a room remembers; beyond it the one that ends first is forgotten.
  static let banCountMax = 256
  /// For how long changes are gathered once the first one was told.
  static let presenceInterval = Duration.milliseconds(50)

  let name: RoomName
  var terms: RoomTerms
  /// By seat: a peer keeps its own for as long as it is in the room.
  var members: [Member] = []
  var seats: [PeerID: Int] = [:]
  private var freeSeats: [Int] = []

  var isLocked = false
  /// A JSON object; empty for none.
  var meta: [UInt8] = []
  /// What a moderator or the opener's token said.
  var chosenPeerCountMax: Int?
  private(set) var bans: [String: Deadline] = [:]

  /// How often the room has changed.
  private(set) var version: UInt64 = 0
  /// The last of these changes, up to the present version, that somebody has not been told.
  var changes: [RoomChange] = []
  var toldAt: Deadline?
  let openedAt: Deadline
  /// Since when nobody is in it.
  private(set) var emptySince: Deadline?
  /// When it has to be looked at, at the latest.
  private(set) var wakeAt = Deadline.never
  /// When its timer fires, as far as whoever keeps the room has set it.
  var armedAt = Deadline.never

  init(_ name: RoomName, _ terms: RoomTerms, openedBy pass: Pass, now: Deadline) {
    self.name = name
    self.terms = terms
    self.openedAt = now
    self.chosenPeerCountMax = pass.peerCountMax
  }

  /// Peers that have a place.
  var peerCount: Int { self.seats.count }

  /// Peers that may have one.
  var peerCountMax: Int {
    let most = self.terms.rules.rules(of: self.name).peerCountMax ?? RoomRules.peerCountLimit
    return min(most, self.chosenPeerCountMax ?? most)
  }

  /// Whether nobody has been in it for as long as it is kept.
  func isOver(now: Deadline) -> Bool {
    guard let emptySince = self.emptySince else { return false }
    return emptySince.advanced(by: self.terms.rules.emptyRoomTTL) <= now
  }

  /// Other terms hold from now on, also for how long it is kept where nobody is in it.
  mutating func adopt(_ terms: RoomTerms) {
    let earlier = self.terms.rules
    self.terms = terms
    if terms.rules.turn != earlier.turn || terms.rules.stunURLs != earlier.stunURLs {
      // Now: whoever is there is told of the other servers.
      for seat in self.members.indices { self.members[seat].iceAt = Deadline(nanoseconds: 0) }
      self.wake(at: Deadline(nanoseconds: 0))
    }
    if let emptySince = self.emptySince {
      self.wake(at: emptySince.advanced(by: terms.rules.emptyRoomTTL))
    }
  }

  /// Places of those who are away are kept until then at least.
  mutating func keepPlaces(until deadline: Deadline) {
    for seat in self.members.indices where self.members[seat].awayUntil != .never {
      self.members[seat].awayUntil = max(self.members[seat].awayUntil, deadline)
    }
  }

  /// It is to be looked at by then.
  mutating func wake(at deadline: Deadline) { self.wakeAt = min(self.wakeAt, deadline) }
}

// MARK: - Seats

extension Room {
  /// The member on a seat; `nil` where nobody sits. What is asked of a member often is read in place:
  /// a copy of it costs a dozen references.
  func member(_ seat: Int) -> Member? {
    self.members[seat].isVacant ? nil : self.members[seat]
  }

  /// Gives a new member a seat.
  mutating func seat(_ member: Member) -> Int {
    self.emptySince = nil
    let seat = self.freeSeats.popLast() ?? self.members.count
    if seat == self.members.count { self.members.append(.vacant) }
    self.wake(at: min(member.iceAt, member.pass.expiresAt))
    self.seats[member.id] = seat
    self.members[seat] = member
    return seat
  }

  /// Takes a member's seat away; the others will be told.
  mutating func unseat(
    _ seat: Int, because departure: PeerDeparture, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    guard let member = self.member(seat) else { return }
    self.members[seat] = .vacant
    self.seats[member.id] = nil
    self.freeSeats.append(seat)
    self.note(.left(member.id, departure), moment)
    turn.counts.departures += 1
    turn.notice(RoomNotice(room: self.name, kind: .peerLeft(member.notice, departure)))
    guard self.seats.isEmpty else { return }
    self.emptySince = moment.now
    self.changes = []
    self.wake(at: moment.now.advanced(by: self.terms.rules.emptyRoomTTL))
  }

  /// Remembers a change until everybody was told.
  mutating func note(_ change: RoomChange, _ moment: Moment) {
    self.version += 1
    self.changes.append(change)
    let toldAt = self.toldAt ?? Deadline(nanoseconds: 0)
    self.wake(at: max(moment.now, toldAt.advanced(by: Self.presenceInterval)))
  }

  /// Keeps somebody out for a time.
  mutating func ban(_ pass: Pass, until deadline: Deadline) {
    if self.bans.count >= Self.banCountMax, let first = self.bans.min(by: { $0.value < $1.value }) {
      self.bans[first.key] = nil
    }
    self.bans[pass.banKey] = deadline
  }

  /// For how long somebody is still kept out; `nil` for not at all.
  func banLeft(_ pass: Pass, now: Deadline) -> Duration? {
    guard let until = self.bans[pass.banKey], until > now else { return nil }
    return until.duration(since: now)
  }
}

// MARK: - Time

extension Room {
  /// Does what is due, and says in ``wakeAt`` when it has to be looked at again.
  mutating func deadlinePassed(_ moment: Moment, _ turn: inout RoomTurn) {
    for seat in self.members.indices {
      guard let member = self.member(seat) else { continue }
      if member.awayUntil <= moment.now {
        turn.counts.resumesLapsed += 1
        self.unseat(seat, because: .timeout, moment, &turn)
      } else if member.pass.expiresAt <= moment.now {
        self.dismiss(
          seat, .expired, .tokenRefused, "The token has expired.", moment, &turn)
      } else if member.iceAt <= moment.now, !member.isAway {
        self.renewCredentials(seat, moment, &turn)
      }
    }
    self.tellIfDue(moment, &turn)
    self.wakeAt = self.nextWake()
  }

  private func nextWake() -> Deadline {
    var next = Deadline.never
    for member in self.members where !member.isVacant {
      next = min(next, member.awayUntil, member.pass.expiresAt)
      if !member.isAway { next = min(next, member.iceAt) }
    }
    if !self.changes.isEmpty, let toldAt = self.toldAt {
      next = min(next, toldAt.advanced(by: Self.presenceInterval))
    }
    if let since = self.emptySince {
      next = min(next, since.advanced(by: self.terms.rules.emptyRoomTTL))
    }
    return next
  }

  private mutating func renewCredentials(
    _ seat: Int, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    guard let id = self.member(seat)?.id else { return }
    let servers = self.servers(for: seat, id, moment, &turn)
    var message: [UInt8] = []
    message.write("\"type\":\"ice\",")
    servers.write(into: &message)
    message.append(UInt8(ascii: "}"))
    self.send(message, to: seat, &turn)
  }

  /// The ICE servers for a peer, of whose credentials half the lifetime begins.
  mutating func servers(
    for seat: Int, _ id: PeerID, _ moment: Moment, _ turn: inout RoomTurn
  ) -> ICEServers {
    let servers = ICEServers(rules: self.terms.rules, peer: id, unixSeconds: moment.unixSeconds)
    turn.counts.credentialsMinted += UInt64(servers.credentialCount)
    let iceAt = self.terms.rules.turn.map { moment.now.advanced(by: $0.ttl / 2) } ?? .never
    self.members[seat].iceAt = iceAt
    self.wake(at: iceAt)
    return servers
  }
}

/// What holds for the rooms of one route on one worker: one object, which they share.
final class RoomTerms: Sendable {
  let rules: RoomRules
  let signer: ResumeSigner
  let limits: PeerLimits

  init(_ rules: RoomRules, _ signer: ResumeSigner, _ limits: PeerLimits) {
    self.rules = rules
    self.signer = signer
    self.limits = limits
  }
}

/// What a peer is told of the limits that it is held to.
public struct PeerLimits: Sendable, Equatable {
  /// Octets of a message.
  public var messageByteCountMax: Int
  /// Messages a second; `nil` for any number.
  public var messagesPerSecond: Double?
  /// After which silence a connection is asked whether it lives; `nil` for never.
  public var heartbeat: Duration?

  /// Limits of a route.
  public init(messageByteCountMax: Int, messagesPerSecond: Double?, heartbeat: Duration?) {
    self.messageByteCountMax = messageByteCountMax
    self.messagesPerSecond = messagesPerSecond
    self.heartbeat = heartbeat
  }
}

/// What one event leads to, and what it counts for.
struct RoomTurn {
  var actions: [RoomAction] = []
  var counts = RoomCounts()

  mutating func notice(_ notice: RoomNotice) { self.actions.append(.notice(notice)) }
}

/// What happened in the rooms of a route. Numbers only grow.
public struct RoomCounts: Sendable, Equatable {
  /// Peers that came in, without those that resumed.
  public var joins: UInt64 = 0
  /// Peers that were refused.
  public var refusals: UInt64 = 0
  /// Peers that went, for whatever reason.
  public var departures: UInt64 = 0
  /// Places that were taken again.
  public var resumesWon: UInt64 = 0
  /// Places whose window went by.
  public var resumesLapsed: UInt64 = 0
  /// Attempts that had missed more than is kept.
  public var resumesAfresh: UInt64 = 0
  /// Directed messages by kind, in the order of ``SignalKind/allCases``.
  public var signals = [UInt64](repeating: 0, count: SignalKind.allCases.count)
  /// Messages to all others, as they came in.
  public var broadcasts: UInt64 = 0
  /// Messages of both kinds, as they went out.
  public var deliveries: UInt64 = 0
  /// Directed messages to nobody.
  public var undelivered: UInt64 = 0
  /// Messages that wait for somebody who is away.
  public var held: UInt64 = 0
  /// Messages that were refused by an `error`.
  public var faults: UInt64 = 0
  /// TURN credentials that were made.
  public var credentialsMinted: UInt64 = 0
  /// Rooms that were opened.
  public var roomsOpened: UInt64 = 0
  /// Rooms that were closed.
  public var roomsClosed: UInt64 = 0

  /// Nothing yet.
  public init() {}

  /// Rooms that there are, empty ones included.
  public var roomCount: Int { Int(self.roomsOpened - self.roomsClosed) }
  /// Peers that have a place.
  public var peerCount: Int { Int(self.joins - self.departures) }
}
