/// How many frames of each kind came from one side.
public struct FrameCounts: Sendable, Hashable {
  /// First frames of messages in UTF-8.
  public var text: UInt64 = 0
  /// First frames of messages of octets.
  public var binary: UInt64 = 0
  /// Further frames of messages.
  public var continuation: UInt64 = 0
  /// Close frames.
  public var close: UInt64 = 0
  /// Pings.
  public var ping: UInt64 = 0
  /// Pongs, those that answer the edge's own pings included.
  public var pong: UInt64 = 0

  /// None of any kind.
  public init() {}

  /// Messages, which their first frames stand for.
  public var messages: UInt64 { self.text &+ self.binary }

  /// Whether there are others than the first frames of messages.
  public var hasOthers: Bool { self.continuation | self.close | self.ping | self.pong != 0 }

  /// The kinds by their names.
  public static var kinds: [(name: String, path: WritableKeyPath<FrameCounts, UInt64>)] {
    [
      ("text", \.text), ("binary", \.binary), ("continuation", \.continuation),
      ("close", \.close), ("ping", \.ping), ("pong", \.pong),
    ]
  }

  /// All of them by the kinds' names.
  public var byKind: [(name: String, count: UInt64)] {
    Self.kinds.map { ($0.name, self[keyPath: $0.path]) }
  }

  mutating func count(_ opcode: Opcode) {
    switch opcode {
    case .text: self.text &+= 1
    case .binary: self.binary &+= 1
    case .continuation: self.continuation &+= 1
    case .close: self.close &+= 1
    case .ping: self.ping &+= 1
    case .pong: self.pong &+= 1
    }
  }
}
