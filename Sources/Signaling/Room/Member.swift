internal import Net

/// One peer of a room, and what is kept for it.
struct Member: Sendable {
  /// What a seat holds on which nobody sits.
  static let vacant = Member(
    id: PeerID(chance: 0), nonce: 0, pass: Pass(rights: []), greeting: Greeting(), socket: nil,
    now: Deadline(nanoseconds: 0), isVacant: true)

  /// Whether nobody sits here.
  let isVacant: Bool
  let id: PeerID
  /// Tells this life of the id from earlier ones.
  let nonce: UInt64
  var pass: Pass
  /// Its address when it came in.
  private let client: String
  var name: String?
  /// A JSON object; empty for none.
  var meta: [UInt8]
  var role: Role
  /// Its connection; `nil` while it is away.
  var socket: PeerSocket?
  /// When its place is given up; `.never` while it is not away.
  var awayUntil = Deadline.never
  var outbox = Outbox()
  /// The version of the room that it knows.
  var seenVersion: UInt64 = 0
  /// When it is told new TURN credentials; `.never` where there are none.
  var iceAt = Deadline.never
  let joinedAt: Deadline
  /// What its relayed messages begin with: shared by all of them.
  let signalHead: [UInt8]
  let broadcastHead: [UInt8]

  init(
    id: PeerID, nonce: UInt64, pass: Pass, greeting: Greeting, socket: PeerSocket?, now: Deadline,
    isVacant: Bool = false
  ) {
    self.isVacant = isVacant
    self.id = id
    self.nonce = nonce
    self.pass = pass
    self.client = pass.client
    self.name = pass.name ?? greeting.name
    self.meta = greeting.meta
    self.role = pass.role
    self.socket = socket
    self.joinedAt = now
    self.signalHead = Array("\"type\":\"signal\",\"from\":\"\(id)\",".utf8)
    self.broadcastHead = Array("\"type\":\"broadcast\",\"from\":\"\(id)\",".utf8)
  }

  /// What it may do: its token's word, and what a moderator gave it by making it a host.
  var rights: Rights {
    self.role == .host && self.isPromoted
      ? self.pass.rights.union(.moderate) : self.pass.rights
  }

  /// Whether its role is a moderator's doing.
  var isPromoted = false

  /// Whether there is nobody to send to for now.
  var isAway: Bool { self.socket == nil }

  var notice: PeerNotice {
    PeerNotice(
      id: self.id, name: self.name, role: self.role, subject: self.pass.subject,
      client: self.client)
  }

  /// Appends the members of an object that tell others of it, without braces.
  ///
  /// - Parameter reader: who is told: it learns whether it is the polite one; `nil` to leave that out.
  func write(for reader: PeerID?, into octets: inout [UInt8]) {
    octets.write("\"peer\":\"")
    octets.append(contentsOf: self.id.description.utf8)
    octets.append(UInt8(ascii: "\""))
    if let name = self.name {
      octets.write(",\"name\":")
      octets.write(string: name)
    }
    octets.write(",\"role\":\"")
    octets.append(contentsOf: self.role.rawValue.utf8)
    octets.append(UInt8(ascii: "\""))
    if !self.meta.isEmpty {
      octets.write(",\"meta\":")
      octets.append(contentsOf: self.meta)
    }
    guard let reader else { return }
    octets.write(",\"polite\":")
    octets.write(flag: reader < self.id)
  }
}
