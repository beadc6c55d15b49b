public import WebSocket

/// What an `error` message says went wrong. docs/rooms-protocol.md has the table.
public enum ErrorCode: String, Sendable, CaseIterable {
  case badMessage = "bad_message"
  case tooLarge = "too_large"
  case forbidden
  case noSuchPeer = "no_such_peer"
  case rateLimited = "rate_limited"
  case notInRoom = "not_in_room"
  case tokenRefused = "token_refused"
  case wrongPassword = "wrong_password"
  case kicked
  case banned
  case noSuchRoom = "no_such_room"
  case closed
  case flooding
  case roomFull = "room_full"
  case roomLocked = "room_locked"
  case overloaded

  /// The code of the close frame that follows; `nil` where the connection goes on.
  public var closeCode: CloseCode? {
    switch self {
    case .badMessage, .tooLarge, .forbidden, .noSuchPeer, .rateLimited, .notInRoom: nil
    case .tokenRefused: .tokenRefused
    case .wrongPassword: .wrongPassword
    case .kicked: .kicked
    case .banned: .banned
    case .noSuchRoom: .noSuchRoom
    case .closed: .roomClosed
    case .flooding: .flooding
    case .roomFull: .roomFull
    case .roomLocked: .roomLocked
    case .overloaded: .overloaded
    }
  }
}

/// The codes of the rooms protocol: 4000 to 4099 ask the client to stay away, 4100 to 4199 to come back
/// later, 4200 to 4299 to come back at once.
extension CloseCode {
  /// A newer connection has taken the peer's place.
  public static let moved = CloseCode(rawValue: 4000)
  /// The token does not permit this.
  public static let tokenRefused = CloseCode(rawValue: 4001)
  /// The password is not the room's.
  public static let wrongPassword = CloseCode(rawValue: 4002)
  /// A moderator or an operator has removed the peer.
  public static let kicked = CloseCode(rawValue: 4003)
  /// The same, for a time.
  public static let banned = CloseCode(rawValue: 4004)
  /// There is no such room, and the peer may not open it.
  public static let noSuchRoom = CloseCode(rawValue: 4005)
  /// An operator has closed the room.
  public static let roomClosed = CloseCode(rawValue: 4006)
  /// Messages came too fast.
  public static let flooding = CloseCode(rawValue: 4008)
  /// The room has all the peers that it may have.
  public static let roomFull = CloseCode(rawValue: 4100)
  /// A moderator has locked the room.
  public static let roomLocked = CloseCode(rawValue: 4101)
  /// There is too much of something.
  public static let overloaded = CloseCode(rawValue: 4102)
  /// The announced first message did not come.
  public static let noJoin = CloseCode(rawValue: 4103)
  /// What was missed is not there any more: join afresh.
  public static let resumeAfresh = CloseCode(rawValue: 4200)
  /// The server is about to stop, or the route is gone.
  public static let draining = CloseCode(rawValue: 4201)
}
