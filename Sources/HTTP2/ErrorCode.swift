/// Why a stream or a connection ends (RFC 9113 §7). Codes that are not known here are kept as they
/// are, and mean the same as ``internalError``.
public struct ErrorCode: RawRepresentable, Hashable, Sendable {
  /// The code as it stands in a frame.
  public let rawValue: UInt32

  /// The code with this number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// NO_ERROR: ended as it was meant to.
  public static let noError = ErrorCode(rawValue: 0x0)
  /// PROTOCOL_ERROR: what came breaks a rule that has no code of its own.
  public static let protocolError = ErrorCode(rawValue: 0x1)
  /// INTERNAL_ERROR: the fault is the sender's own.
  public static let internalError = ErrorCode(rawValue: 0x2)
  /// FLOW_CONTROL_ERROR: more came than the window allowed.
  public static let flowControlError = ErrorCode(rawValue: 0x3)
  /// SETTINGS_TIMEOUT: settings were not acknowledged in time.
  public static let settingsTimeout = ErrorCode(rawValue: 0x4)
  /// STREAM_CLOSED: a frame came for a stream that was half-closed.
  public static let streamClosed = ErrorCode(rawValue: 0x5)
  /// FRAME_SIZE_ERROR: a frame has a length that it cannot have.
  public static let frameSizeError = ErrorCode(rawValue: 0x6)
  /// REFUSED_STREAM: nothing was done with the request, which may be repeated.
  public static let refusedStream = ErrorCode(rawValue: 0x7)
  /// CANCEL: the stream is no longer needed.
  public static let cancel = ErrorCode(rawValue: 0x8)
  /// COMPRESSION_ERROR: the state of field compression is lost.
  public static let compressionError = ErrorCode(rawValue: 0x9)
  /// CONNECT_ERROR: what a CONNECT request led to was reset.
  public static let connectError = ErrorCode(rawValue: 0xA)
  /// ENHANCE_YOUR_CALM: the peer does what may be excessive load.
  public static let enhanceYourCalm = ErrorCode(rawValue: 0xB)
  /// INADEQUATE_SECURITY: TLS is weaker than HTTP/2 wants it.
  public static let inadequateSecurity = ErrorCode(rawValue: 0xC)
  /// HTTP_1_1_REQUIRED: the request is to be made with HTTP/1.1.
  public static let http11Required = ErrorCode(rawValue: 0xD)

  private static let names = [
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
  ]
}

extension ErrorCode: CustomStringConvertible {
  /// The name of RFC 9113 §7, or the number where there is none.
  public var description: String {
    guard let place = Int(exactly: self.rawValue), Self.names.indices.contains(place) else {
      return "error code \(self.rawValue)"
    }
    return Self.names[place]
  }
}
