internal import Net

/// What moderators and operators do.
extension Room {
  mutating func kick(
    _ peer: PeerID, _ reason: String, _ ban: Duration?, by seat: Int, _ moment: Moment,
    _ turn: inout RoomTurn
  ) throws(MessageFault) {
    try self.require(.moderate, of: seat)
    guard let target = self.seats[peer] else {
      throw .noSuchPeer(peer)
    }
    guard target != seat else {
      throw MessageFault(.badMessage, "Who wants to go says \"leave\".")
    }
    self.remove(target, reason, ban, moment, &turn)
  }

  /// Removes a peer, and keeps it out for a time where that is asked for.
  mutating func remove(
    _ seat: Int, _ reason: String, _ ban: Duration?, _ moment: Moment, _ turn: inout RoomTurn
  ) {
    guard let pass = self.member(seat)?.pass else { return }
    if let ban { self.ban(pass, until: moment.now.advanced(by: ban)) }
    self.dismiss(
      seat, .kicked, ban == nil ? .kicked : .banned,
      reason.isEmpty ? "A moderator removed this peer." : reason, retryAfter: ban, moment, &turn)
  }

  mutating func change(
    _ meta: ClientMessage.Change<[UInt8]>, _ count: Int?, by seat: Int, _ moment: Moment
  ) throws(MessageFault) {
    try self.require(.moderate, of: seat)
    self.meta = meta.applied(to: self.meta) ?? []
    // More than the route allows has no effect.
    if let count { self.chosenPeerCountMax = count }
    self.note(.room, moment)
  }

  mutating func promote(
    _ peer: PeerID, _ role: Role, by seat: Int, _ moment: Moment
  ) throws(MessageFault) {
    try self.require(.moderate, of: seat)
    guard let target = self.seats[peer] else {
      throw .noSuchPeer(peer)
    }
    self.members[target].role = role
    self.members[target].isPromoted = true
    self.note(.updated(peer), moment)
  }

  /// Ends the room for all its peers.
  mutating func close(_ words: String, _ moment: Moment, _ turn: inout RoomTurn) {
    for seat in self.members.indices where !self.members[seat].isVacant {
      self.dismiss(seat, .kicked, .closed, words, moment, &turn)
    }
  }
}
