public import WebSocket

/// What ended a peer's connection from this side.
public enum SessionEnding: Equatable, Sendable {
  /// The room's word.
  case room(CloseCode, words: String)
  /// The client sent a close frame.
  case closed(CloseCode?)
  /// The client broke the rules of framing.
  case violation(FrameViolation)
  /// A text message that is not UTF-8.
  case notUTF8
  /// A binary message.
  case binary
  /// A message beyond all measure.
  case endless
  /// Messages came too fast.
  case flooding
  /// The first message did not come.
  case noJoin
  /// More waits for the client than may, or it takes nothing of it.
  case outbox, stall
  /// It does not answer a ping.
  case heartbeat
  /// It has lived as long as it may.
  case lifetime
  /// The edge stops, or has no such route any more: a word of the access log says which.
  case draining(reason: String)
  /// An operator closes it.
  case operatorClose(CloseCode, words: String)

  /// What the client is told.
  public var payload: ClosePayload {
    switch self {
    case .room(let code, let words), .operatorClose(let code, let words):
      ClosePayload(code: code, reason: words)
    case .closed(let code): ClosePayload(code: code ?? .normalClosure)
    case .violation(let violation):
      ClosePayload(code: violation.closeCode, reason: violation.reason)
    case .notUTF8: ClosePayload(code: .invalidPayload, reason: "text that is not UTF-8")
    case .binary: ClosePayload(code: .unsupportedType, reason: "messages are text here")
    case .endless: ClosePayload(code: .messageTooBig, reason: "you sent too large a message")
    case .flooding: ClosePayload(code: .flooding, reason: "you sent too many messages")
    case .noJoin: ClosePayload(code: .noJoin, reason: "the announced join did not come")
    case .outbox, .stall:
      ClosePayload(code: .overloaded, reason: "you took nothing for too long")
    case .heartbeat: ClosePayload(code: .goingAway, reason: "you did not answer a ping")
    case .lifetime:
      ClosePayload(code: .draining, reason: "the connection has lived as long as it may")
    case .draining: ClosePayload(code: .draining, reason: "the server stops: come back")
    }
  }

  /// The word of the access log.
  public var reason: String {
    switch self {
    case .room: "room"
    case .closed: "closed"
    case .violation, .notUTF8, .binary: "protocol_error"
    case .endless: "message_size"
    case .flooding: "message_rate"
    case .noJoin: "no_join"
    case .outbox: "outbox"
    case .stall: "stall"
    case .heartbeat: "heartbeat"
    case .lifetime: "lifetime"
    case .draining(let reason): reason
    case .operatorClose: "operator"
    }
  }

  /// What the access log says beside ``reason``.
  public var detail: String? {
    switch self {
    case .room(_, let words): words.isEmpty ? nil : words
    case .violation(let violation): violation.reason
    case .notUTF8: "text that is not UTF-8"
    case .binary: "a binary message"
    default: nil
    }
  }
}
