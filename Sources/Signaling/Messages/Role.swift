/// What a peer is to the others.
public enum Role: String, Sendable, CaseIterable {
  /// Who has no part in it.
  case guest
  /// Who belongs to it.
  case member
  /// Whose room it is.
  case host
}

/// What a peer may do.
public struct Rights: OptionSet, Sendable, Hashable {
  /// The bits.
  public let rawValue: UInt8

  /// Rights by their bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Send to one peer.
  public static let signal = Rights(rawValue: 1)
  /// Send to all others.
  public static let broadcast = Rights(rawValue: 2)
  /// Change its own name and meta.
  public static let update = Rights(rawValue: 4)
  /// Remove peers, lock the room, change it and the roles of others.
  public static let moderate = Rights(rawValue: 8)

  /// What anybody may who needs no token.
  public static let everybody: Rights = [.signal, .broadcast, .update]

  /// The rights by the words that tokens and messages have for them.
  static let words: [(word: String, right: Rights)] = [
    ("signal", .signal), ("broadcast", .broadcast), ("update", .update), ("moderate", .moderate),
  ]

  /// The right that this word stands for.
  public init?(word: String) {
    guard let found = Self.words.first(where: { $0.word == word }) else { return nil }
    self = found.right
  }
}
