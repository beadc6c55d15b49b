public import Net
public import WebSocket

/// When something happens: by the clock that measures, and by the one that peers know.
public struct Moment: Sendable {
  /// The monotonic clock's reading.
  public var now: Deadline
  /// Seconds since 1970.
  public var unixSeconds: Int64

  /// A moment by both clocks.
  public init(now: Deadline, unixSeconds: Int64) {
    self.now = now
    self.unixSeconds = unixSeconds
  }
}

/// A peer's connection: the worker that holds it, and its token there.
public struct PeerSocket: Hashable, Sendable {
  /// The worker's number.
  public var worker: Int
  /// Names the connection on that worker.
  public var token: Token

  /// A connection of a worker.
  public init(worker: Int, token: Token) {
    self.worker = worker
    self.token = token
  }
}

/// What a peer was admitted for.
public struct Pass: Sendable, Equatable {
  /// The id that its token fixes; `nil` where it may have any.
  public var peer: PeerID?
  /// The name that its token gives it.
  public var name: String?
  /// What it is to the others.
  public var role: Role
  /// What it may do.
  public var rights: Rights
  /// Peers that the room may have where this one opens it.
  public var peerCountMax: Int?
  /// Who its token speaks for.
  public var subject: String?
  /// Its address, for records and bans.
  public var client: String
  /// Whether it showed a token.
  public var hasToken: Bool
  /// When the token ends, by the clock that measures.
  public var expiresAt: Deadline
  /// The same in seconds since 1970; `nil` for never.
  public var expiry: Int64?

  /// A pass; without more, that of somebody who needs no token.
  public init(
    peer: PeerID? = nil, name: String? = nil, role: Role = .member, rights: Rights = .everybody,
    peerCountMax: Int? = nil, subject: String? = nil, client: String = "", hasToken: Bool = false,
    expiresAt: Deadline = .never, expiry: Int64? = nil
  ) {
    self.peer = peer
    self.name = name
    self.role = role
    self.rights = rights
    self.peerCountMax = peerCountMax
    self.subject = subject
    self.client = client
    self.hasToken = hasToken
    self.expiresAt = expiresAt
    self.expiry = expiry
  }

  /// What a ban holds for: who the token speaks for, or else the address.
  var banKey: String { self.subject.map { "sub:\($0)" } ?? "client:\(self.client)" }
}

/// Somebody who wants to come into a room.
public struct Newcomer: Sendable {
  /// Its connection.
  public var socket: PeerSocket
  /// What it says of itself.
  public var greeting: Greeting
  /// What it was admitted for.
  public var pass: Pass
  /// What its id is made of where it has none.
  public var chance: UInt64
  /// Whether the process has room for another room, and for another peer.
  public var mayOpenRoom: Bool
  /// Whether this client may be in one more room, where it is not in this one.
  public var mayAddPeer: Bool

  /// A newcomer with a connection, a greeting and a pass.
  public init(
    socket: PeerSocket, greeting: Greeting, pass: Pass, chance: UInt64, mayOpenRoom: Bool = true,
    mayAddPeer: Bool = true
  ) {
    self.socket = socket
    self.greeting = greeting
    self.pass = pass
    self.chance = chance
    self.mayOpenRoom = mayOpenRoom
    self.mayAddPeer = mayAddPeer
  }
}

/// What happens to a peer that has a place.
public enum PeerEvent: Sendable {
  /// It said something.
  case message(Incoming)
  /// It said something that cannot be understood.
  case fault(MessageFault)
  /// Everything up to this number has arrived.
  case confirmed(UInt64)
  /// It has a fresh token.
  case renewed(Pass, id: [UInt8])
  /// Its fresh token is not taken.
  case tokenRefused(words: String)
  /// It ended the connection on purpose.
  case left
  /// Its connection is gone.
  case lost
}

/// What an event leads to.
public enum RoomAction: Sendable {
  /// A newcomer has a place, and this id.
  case admitted(PeerSocket, PeerID)
  /// A message goes out.
  case send(PeerSocket, Outgoing)
  /// A connection ends, behind an `error` message where there is one.
  case close(PeerSocket, CloseCode, words: String, error: Outgoing?)
  /// Something happened that others are told.
  case notice(RoomNotice)
}

/// Why a peer has no place any more.
public enum PeerDeparture: String, Sendable, CaseIterable {
  /// It left.
  case closed
  /// It did not come back in time.
  case timeout
  /// It was removed.
  case kicked
  /// It came anew under the same id.
  case moved
  /// Its token ended, or was refused.
  case expired
}

/// Something that happened in a room, for whoever keeps books.
public struct RoomNotice: Sendable, Equatable {
  /// What happened.
  public enum Kind: Sendable, Equatable {
    case roomOpened
    case roomClosed
    case peerJoined(PeerNotice)
    case peerLeft(PeerNotice, PeerDeparture)
  }

  /// The room.
  public var room: RoomName
  /// What happened.
  public var kind: Kind

  /// Something that happened.
  public init(room: RoomName, kind: Kind) {
    self.room = room
    self.kind = kind
  }
}

/// A peer, for whoever keeps books.
public struct PeerNotice: Sendable, Equatable {
  /// Its id.
  public var id: PeerID
  /// Its name.
  public var name: String?
  /// What it is to the others.
  public var role: Role
  /// Who its token speaks for.
  public var subject: String?
  /// Its address.
  public var client: String
}
