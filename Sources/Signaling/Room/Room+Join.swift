internal import Net
internal import WebSocket

/// How peers come in.
extension Room {
  /// Somebody wants to come in, or back. Its seat; `nil` where it may not, which it is told.
  mutating func join(
    _ newcomer: Newcomer, _ moment: Moment, _ turn: inout RoomTurn
  ) -> Int? {
    let claim = self.claim(of: newcomer)
    if let claim, let sequence = newcomer.greeting.sequence, let seat = self.seats[claim.peer],
      self.members[seat].nonce == claim.nonce
    {
      return self.resume(seat, from: sequence, newcomer, moment, &turn)
    }
    let id = newcomer.pass.peer ?? claim?.peer ?? self.freshID(newcomer.chance)
    let ghost = self.seats[id]
    if let refusal = self.refusal(of: newcomer, replaces: ghost != nil, moment) {
      turn.counts.refusals += 1
      turn.refuse(refusal, newcomer.socket)
      return nil
    }
    if let ghost {
      if let socket = self.members[ghost].socket { turn.close(socket, .moved, Self.movedWords) }
      self.unseat(ghost, because: .moved, moment, &turn)
    }
    return self.admit(newcomer, as: id, moment, &turn)
  }

  private static let movedWords = "a newer connection has taken the place"

  /// Who the newcomer has shown that it was.
  private func claim(of newcomer: Newcomer) -> (peer: PeerID, nonce: UInt64)? {
    guard let text = newcomer.greeting.resume,
      let claim = self.terms.signer.open(text, room: self.name),
      newcomer.pass.peer == nil || newcomer.pass.peer == claim.peer
    else { return nil }
    // A token that speaks for somebody else does not get the place.
    guard let seat = self.seats[claim.peer], let member = self.member(seat) else { return claim }
    return member.pass.subject == newcomer.pass.subject ? claim : nil
  }

  private func freshID(_ chance: UInt64) -> PeerID {
    var (chance, id) = (SplitMix(seed: chance), PeerID(chance: chance))
    while self.seats[id] != nil { id = PeerID(chance: chance.next()) }
    return id
  }

  /// Why somebody may not come in; `nil` where it may.
  ///
  /// - Parameter replaces: whether it has a place already, which it takes anew.
  func refusal(
    of newcomer: Newcomer, replaces: Bool, _ moment: Moment
  ) -> RoomRefusal? {
    if let password = self.terms.rules.rules(of: self.name).password,
      newcomer.greeting.password != password
    {
      return RoomRefusal(.wrongPassword, "The room has a password, and this is not it.")
    }
    if let left = self.banLeft(newcomer.pass, now: moment.now) {
      return RoomRefusal(.banned, "A moderator keeps this peer out.", retryAfter: left)
    }
    guard !replaces else { return nil }
    if self.isLocked { return RoomRefusal(.roomLocked, "The room is locked.") }
    if self.peerCount >= self.peerCountMax {
      return RoomRefusal(.roomFull, "The room has \(self.peerCountMax) peers, as many as it may.")
    }
    return newcomer.mayAddPeer ? nil : .tooMany
  }

  private mutating func admit(
    _ newcomer: Newcomer, as id: PeerID, _ moment: Moment, _ turn: inout RoomTurn
  ) -> Int {
    let member = Member(
      id: id, nonce: newcomer.chance, pass: newcomer.pass, greeting: newcomer.greeting,
      socket: newcomer.socket, now: moment.now)
    let seat = self.seat(member)
    self.note(.joined(id), moment)
    self.members[seat].seenVersion = self.version
    turn.counts.joins += 1
    turn.notice(RoomNotice(room: self.name, kind: .peerJoined(member.notice)))
    self.welcome(seat, isResumed: false, moment, &turn)
    self.tellIfDue(moment, &turn)
    return seat
  }

  private mutating func resume(
    _ seat: Int, from sequence: UInt64, _ newcomer: Newcomer, _ moment: Moment,
    _ turn: inout RoomTurn
  ) -> Int? {
    guard self.members[seat].outbox.reaches(back: sequence) else {
      turn.counts.resumesAfresh += 1
      turn.close(newcomer.socket, .resumeAfresh, "too much was missed: join afresh")
      return nil
    }
    turn.counts.resumesWon += 1
    if let old = self.members[seat].socket, old != newcomer.socket {
      turn.close(old, .moved, Self.movedWords)
    }
    self.members[seat].socket = newcomer.socket
    self.members[seat].awayUntil = .never
    self.members[seat].outbox.confirm(sequence)
    self.members[seat].seenVersion = self.version
    self.renew(seat, newcomer.pass, moment)
    self.welcome(seat, isResumed: true, moment, &turn)
    for missed in self.members[seat].outbox.messages(after: sequence) {
      turn.actions.append(.send(newcomer.socket, missed))
    }
    return seat
  }

  /// What a fresh token says holds from now on. Its role, too, where it is another one than before: what
  /// a moderator has said about the old one stays.
  mutating func renew(_ seat: Int, _ pass: Pass, _ moment: Moment) {
    guard let member = self.member(seat) else { return }
    self.members[seat].pass = pass
    self.wake(at: pass.expiresAt)
    let isRenamed = pass.name != nil && pass.name != member.name
    let isAnother = pass.role != member.pass.role
    if isRenamed { self.members[seat].name = pass.name }
    if isAnother {
      self.members[seat].role = pass.role
      self.members[seat].isPromoted = false
    }
    if isRenamed || isAnother { self.note(.updated(member.id), moment) }
  }

  private mutating func welcome(
    _ seat: Int, isResumed: Bool, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    guard let member = self.member(seat), let socket = member.socket else { return }
    turn.actions.append(.admitted(socket, member.id))
    let servers = self.servers(for: seat, member.id, moment, &turn)
    var message: [UInt8] = []
    message.write("\"type\":\"welcome\",\"peer\":\"")
    message.append(contentsOf: member.id.description.utf8)
    message.write("\",\"resume\":\"")
    let resume = self.terms.signer.seal(member.id, nonce: member.nonce, room: self.name)
    message.append(contentsOf: resume.utf8)
    message.write("\",\"resumed\":")
    message.write(flag: isResumed)
    message.write(",\"seq\":")
    message.write(number: member.outbox.sequence)
    message.write(",\"room\":{\"name\":\"")
    message.append(contentsOf: self.name.description.utf8)
    message.write("\",\"version\":")
    message.write(number: self.version)
    self.writeState(into: &message)
    message.write("},\"role\":\"")
    message.append(contentsOf: member.role.rawValue.utf8)
    message.write("\",\"can\":")
    let rights = Rights.words.filter { member.rights.contains($0.right) }
    message.write(list: rights) { $1.write(string: $0.word) }
    self.writeRoster(for: member.id, into: &message)
    message.append(UInt8(ascii: ","))
    servers.write(into: &message)
    self.writeTerms(member, into: &message)
    message.append(UInt8(ascii: "}"))
    self.send(message, to: seat, &turn)
  }

  private func writeRoster(for reader: PeerID, into message: inout [UInt8]) {
    message.write(",\"peers\":")
    let others = self.members.lazy.filter { !$0.isVacant && $0.id != reader }
    message.write(list: others) { other, message in
      message.append(UInt8(ascii: "{"))
      other.write(for: reader, into: &message)
      message.append(UInt8(ascii: "}"))
    }
  }

  private func writeTerms(_ member: Member, into message: inout [UInt8]) {
    let limits = self.terms.limits
    if let expiry = member.pass.expiry {
      message.write(",\"expires_at\":")
      message.write(number: expiry)
    }
    message.write(",\"limits\":{\"message_size\":")
    message.write(number: limits.messageByteCountMax)
    if let rate = limits.messagesPerSecond {
      message.write(",\"messages_per_second\":")
      message.append(contentsOf: "\(rate)".utf8)
    }
    message.append(UInt8(ascii: "}"))
    if let heartbeat = limits.heartbeat {
      message.write(",\"heartbeat\":")
      message.write(number: heartbeat.wholeMilliseconds)
    }
  }
}

/// Why somebody may not come in.
struct RoomRefusal {
  let code: ErrorCode
  let words: String
  let retryAfter: Duration?

  init(_ code: ErrorCode, _ words: String, retryAfter: Duration? = nil) {
    self.code = code
    self.words = words
    self.retryAfter = retryAfter
  }

  /// The process, or the client, has as many as may be.
  static let tooMany = RoomRefusal(
    .overloaded, "There are as many rooms or peers as there may be, here or of this client.")
}

extension RoomTurn {
  /// Ends a connection that has no place.
  mutating func refuse(_ refusal: RoomRefusal, _ socket: PeerSocket) {
    guard let code = refusal.code.closeCode else { return }
    let error = Outgoing.error(refusal.code, refusal.words, retryAfter: refusal.retryAfter)
    self.actions.append(.close(socket, code, words: refusal.words, error: error))
  }

  /// Ends a connection whose code says it all.
  mutating func close(_ socket: PeerSocket, _ code: CloseCode, _ words: String) {
    self.actions.append(.close(socket, code, words: words, error: nil))
  }
}

extension Duration {
  /// As messages say it, rounded up.
  var wholeMilliseconds: UInt64 {
    let (whole, rest) = self.clampedNanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return whole + (rest == 0 ? 0 : 1)
  }
}
