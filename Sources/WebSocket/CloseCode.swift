/// Why a WebSocket is closed (RFC 6455 §7.4 and the IANA registry that it founded).
public struct CloseCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt16

  /// Any number, whether it may be sent or not: see ``mayAppearOnWire``.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The purpose has been fulfilled.
  public static let normalClosure = CloseCode(rawValue: 1000)
  /// The end point goes: a server shuts down, a browser leaves the page.
  public static let goingAway = CloseCode(rawValue: 1001)
  /// The peer broke the protocol.
  public static let protocolError = CloseCode(rawValue: 1002)
  /// Messages of this type are not taken.
  public static let unsupportedType = CloseCode(rawValue: 1003)
  /// Never sent: says that a close frame had no code.
  public static let noStatusReceived = CloseCode(rawValue: 1005)
  /// Never sent: says that the connection ended without a close frame.
  public static let abnormalClosure = CloseCode(rawValue: 1006)
  /// The content contradicts the type of the message: text that is not UTF-8.
  public static let invalidPayload = CloseCode(rawValue: 1007)
  /// A rule of this place was broken.
  public static let policyViolation = CloseCode(rawValue: 1008)
  /// The message is larger than can be taken.
  public static let messageTooBig = CloseCode(rawValue: 1009)
  /// The server did not accept an extension that the client needs.
  public static let mandatoryExtension = CloseCode(rawValue: 1010)
  /// The server cannot go on.
  public static let internalError = CloseCode(rawValue: 1011)
  /// The server restarts: connect again after a random time.
  public static let serviceRestart = CloseCode(rawValue: 1012)
  /// The server has too much to do: connect again later, elsewhere.
  public static let tryAgainLater = CloseCode(rawValue: 1013)
  /// A gateway got a wrong answer from its server.
  public static let badGateway = CloseCode(rawValue: 1014)
  /// Never sent: says that the TLS handshake failed.
  public static let tlsHandshakeFailure = CloseCode(rawValue: 1015)

  /// Whether a close frame may carry the code (§7.4.1, §7.4.2).
  ///
  ///     0...999      no      not used
  ///     1000...1003  yes
  ///     1004         no      reserved
  ///     1005, 1006   no      name what was not received
  ///     1007...1014  yes
  ///     1015         no      names what was not received
  ///     1016...2999  no      for later versions of the protocol
  ///     3000...3999  yes     registered by libraries and frameworks
  ///     4000...4999  yes     private
  ///     5000...      no
  public var mayAppearOnWire: Bool {
    switch self.rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }

  /// The number as text.
  public var description: String { String(self.rawValue) }
}
