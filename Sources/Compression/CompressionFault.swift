public import WebSocket

/// Why a stream of frames cannot go on. The object that threw it is of no use any more.
public enum CompressionFault: Error, Equatable, Hashable, Sendable, CaseIterable {
  /// The message has more octets than allowed once it is inflated.
  case messageTooBig
  /// The octets of a message are no deflate stream (RFC 7692 §7.2.2), or stop in the middle of one.
  case corrupt
  /// There is no memory for the window.
  case outOfMemory

  /// The code of the close frame that answers it.
  public var closeCode: CloseCode {
    switch self {
    case .messageTooBig: .messageTooBig
    case .corrupt: .invalidPayload
    case .outOfMemory: .internalError
    }
  }

  /// The cause in a few words: they fit into a close frame.
  public var reason: String {
    switch self {
    case .messageTooBig: "inflated message too large"
    case .corrupt: "compressed octets malformed"
    case .outOfMemory: "no memory to compress"
    }
  }
}

/// What a call of `transform` waits for.
public enum Progress: Sendable, Equatable {
  /// The input is used up, and nothing is left to be written.
  case needsInput
  /// The output is as good as full: send it, clear it and call again with what is left of the
  /// input, be that nothing.
  case needsRoom
}
