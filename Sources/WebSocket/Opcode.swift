/// What a frame is (RFC 6455 §5.2, §11.8). The reserved ones have no case: they are never let in.
public enum Opcode: UInt8, Sendable, Hashable, CaseIterable {
  /// A further fragment of a message.
  case continuation = 0x0
  /// The first fragment of a message in UTF-8.
  case text = 0x1
  /// The first fragment of a message of octets.
  case binary = 0x2
  /// The closing handshake.
  case close = 0x8
  /// Asks for a pong.
  case ping = 0x9
  /// Answers a ping.
  case pong = 0xA

  /// Whether it is a control frame, which stands alone and may stand between fragments (§5.5).
  public var isControl: Bool { self.rawValue & 0x8 != 0 }
}
