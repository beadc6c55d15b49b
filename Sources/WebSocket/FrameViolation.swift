/// How a peer broke the framing (RFC 6455 §5).
public enum FrameViolation: Error, Equatable, Hashable, Sendable, CaseIterable {
  /// Opcode 3...7 or 11...15 (§5.2).
  case reservedOpcode
  /// A reserved bit is set that no extension gave a meaning (§5.2).
  case reservedBits
  /// A close, ping or pong in fragments (§5.5).
  case fragmentedControl
  /// A close, ping or pong with more than 125 octets (§5.5).
  case controlTooLong
  /// A length that a shorter form could have said (§5.2).
  case lengthNotMinimal
  /// A 64-bit length with its top bit set (§5.2).
  case lengthTooLarge
  /// A client's frame without a mask (§5.1).
  case unmasked
  /// A server's frame with a mask (§5.1).
  case masked
  /// A continuation outside of a message (§5.4).
  case unexpectedContinuation
  /// A new message inside of one (§5.4).
  case expectedContinuation
  /// A close frame with one octet, or with a code that may not be sent (§5.5.1, §7.4).
  case badCloseCode
  /// A close frame whose reason is not UTF-8 (§5.5.1).
  case badCloseReason

  /// The code of the close frame that answers it.
  public var closeCode: CloseCode {
    self == .badCloseReason ? .invalidPayload : .protocolError
  }

  /// The cause in a few words: they fit into a close frame.
  public var reason: String {
    switch self {
    case .reservedOpcode: "reserved opcode"
    case .reservedBits: "reserved bit set"
    case .fragmentedControl: "fragmented control frame"
    case .controlTooLong: "control frame over 125 octets"
    case .lengthNotMinimal: "length not in its shortest form"
    case .lengthTooLarge: "length with its top bit set"
    case .unmasked: "frame not masked"
    case .masked: "frame masked"
    case .unexpectedContinuation: "continuation without a message"
    case .expectedContinuation: "new message inside a message"
    case .badCloseCode: "malformed close code"
    case .badCloseReason: "close reason not UTF-8"
    }
  }
}
