internal import Admission
internal import Net
internal import Signaling

extension Pass {
  /// What somebody was admitted for in a room. docs/rooms.md has the claims. Who was admitted without a
  /// token may do what anybody may.
  ///
  /// - Parameter expiresAt: when the connection ends with the token.
  /// - Returns: `nil` where the token does not permit this room.
  static func permitted(
    by admitted: Admitted, into room: RoomName, client: String, expiresAt: Deadline
  ) -> Pass? {
    var pass = Pass(
      subject: admitted.subject, client: client, expiresAt: expiresAt, expiry: admitted.expiry)
    guard let claims = admitted.claims else { return pass }
    guard claims.permits(room), let peer = claims.peer, let name = claims.peerName else {
      return nil
    }
    pass.peer = peer.id
    pass.name = name.text
    pass.role = claims.text("role").flatMap(Role.init) ?? .guest
    pass.rights = claims.rights
    pass.peerCountMax = claims.peerCountMax
    pass.hasToken = true
    return pass
  }
}

extension Claims {
  /// `room`: a name, a pattern with `*` for any part of a name, or a list of these. Without it, none.
  fileprivate func permits(_ room: RoomName) -> Bool {
    self.texts("room").contains { isMatch(room.description.utf8[...], $0.utf8[...]) }
  }

  /// `can`: a list of words, or one text of them with spaces or commas.
  fileprivate var rights: Rights {
    let words = self.texts("can").flatMap { $0.split { $0 == " " || $0 == "," } }
    return Rights(words.compactMap { Rights(word: String($0)) })
  }

  /// `peer`: an id; `nil` where it says one that is none.
  fileprivate var peer: (id: PeerID?, Void)? {
    guard let text = self.text("peer") else { return (nil, ()) }
    return PeerID(text).map { ($0, ()) }
  }

  /// `name`; `nil` where it says one that may not be.
  fileprivate var peerName: (text: String?, Void)? {
    guard let text = self.text("name") else { return (nil, ()) }
    return (try? PeerName.checked(text)).map { ($0, ()) }
  }

  /// `max_peers`: a whole number from 1.
  fileprivate var peerCountMax: Int? {
    guard case .integer(let count)? = self.values["max_peers"], count >= 1 else { return nil }
    return Int(clamping: count)
  }

  private func texts(_ claim: String) -> [String] {
    switch self.values[claim] {
    case .text(let text): [text]
    case .list(let list): list.compactMap { if case .text(let text) = $0 { text } else { nil } }
    default: []
    }
  }
}

/// Whether a name is one that a pattern means, in which `*` stands for any run of characters.
private func isMatch(
  _ name: Substring.UTF8View.SubSequence, _ pattern: Substring.UTF8View.SubSequence
) -> Bool {
  var (name, pattern) = (name, pattern)
  // Where the last star stood, and what of the name was left there.
  var retry: (name: Substring.UTF8View.SubSequence, pattern: Substring.UTF8View.SubSequence)?
  while let octet = name.first {
    if let wanted = pattern.first, wanted == octet {
      name = name.dropFirst()
      pattern = pattern.dropFirst()
    } else if pattern.first == UInt8(ascii: "*") {
      pattern = pattern.dropFirst()
      retry = (name, pattern)
    } else if let last = retry {
      name = last.name.dropFirst()
      pattern = last.pattern
      retry = (name, pattern)
    } else {
      return false
    }
  }
  return pattern.allSatisfy { $0 == UInt8(ascii: "*") }
}
