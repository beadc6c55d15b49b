/// Why the head or the framing of a message is refused. One case per cause.
///
/// What one reader takes for one message and another for two is how requests are smuggled
/// (RFC 9112 §11.2), so that whatever the grammar does not allow is an error here.
public enum HeadError: Error, Equatable, Hashable, Sendable, CaseIterable {
  /// The first octet cannot begin a message: TLS on a plain port, or another protocol.
  case notHTTP
  /// The request line is not `method SP target SP version` (RFC 9112 §3).
  case malformedRequestLine
  /// The method is longer than any that is known (RFC 9112 §3.1).
  case methodTooLong
  /// The target is longer than the limit.
  case targetTooLong
  /// The target is in none of the forms that are answered (RFC 9112 §3.2).
  case malformedTarget
  /// The major version is not 1.
  case unsupportedVersion
  /// The status line is not `version SP status SP reason` (RFC 9112 §4).
  case malformedStatusLine
  /// A carriage return without a line feed behind it (RFC 9112 §2.2).
  case bareCarriageReturn
  /// A line feed without a carriage return before it (RFC 9112 §2.2).
  case bareLineFeed
  /// A line that begins with a space or tab (RFC 9112 §5.2).
  case foldedField
  /// A field line that begins with a colon.
  case emptyFieldName
  /// An octet in a field name that is not one of a token, or a line without a colon.
  case malformedFieldName
  /// A space or tab between a field's name and the colon (RFC 9112 §5.1).
  case whitespaceBeforeColon
  /// A NUL or another control octet in a field value (RFC 9110 §5.5).
  case controlInFieldValue
  /// The head is longer than the limit.
  case headTooLarge
  /// The head has more field lines than ``RequestReader/fieldCountMax``.
  case tooManyFields
  /// HTTP/1.1 without a Host field (RFC 9112 §3.2).
  case missingHost
  /// More than one Host field (RFC 9112 §3.2).
  case repeatedHost
  /// The Host field or the target's authority is not `host [":" port]`.
  case malformedHost
  /// The Host field and the authority in the target name different places (RFC 9112 §3.2.2).
  case conflictingHost
  /// Content-Length is not a plain number, or too large a one (RFC 9110 §8.6).
  case malformedLength
  /// Content-Length is there more than once with different values (RFC 9112 §6.3).
  case conflictingLengths
  /// Content-Length and Transfer-Encoding in one message (RFC 9112 §6.3).
  case lengthAndTransferEncoding
  /// A Transfer-Encoding that does not end in exactly one `chunked`, or one in HTTP/1.0
  /// (RFC 9112 §6.1).
  case unsupportedTransferEncoding
  /// The chunks of a body do not have the form of RFC 9112 §7.1.
  case malformedChunk
  /// The method of HTTP/2 is not a token (RFC 9110 §9.1).
  case malformedMethod
  /// A pseudo-field of HTTP/2 that a request does not have (RFC 9113 §8.3).
  case unknownPseudoField
  /// A pseudo-field that is there twice (RFC 9113 §8.3).
  case repeatedPseudoField
  /// A pseudo-field behind a field, in trailers, or in a request of another method (RFC 9113 §8.3,
  /// RFC 8441 §4).
  case misplacedPseudoField
  /// A request of HTTP/2 without a pseudo-field that it must have (RFC 9113 §8.3.1).
  case missingPseudoField
  /// White space at an end of a field value of HTTP/2 (RFC 9113 §8.2.1).
  case whitespaceAroundValue
  /// A field in HTTP/2 that belongs to a connection of HTTP/1.1 (RFC 9113 §8.2.2).
  case connectionField
  /// CONNECT to a host in HTTP/2 (RFC 9113 §8.5): nothing tunnels to arbitrary places here.
  case unsupportedConnect

  /// The status that a client's message is answered with: 400, 414, 431, 501 or 505.
  public var status: Int {
    switch self {
    case .targetTooLong: 414
    case .headTooLarge, .tooManyFields: 431
    case .methodTooLong, .unsupportedConnect: 501
    case .unsupportedVersion: 505
    default: 400
    }
  }

  /// The cause in one sentence, for the client and for the log. Repeats nothing that was sent.
  public var reason: String {
    switch self {
    case .notHTTP: "The first octet cannot begin an HTTP/1.1 message."
    case .malformedRequestLine: "The request line is malformed."
    case .methodTooLong: "The method is not one that is known here."
    case .targetTooLong: "The request target is too long."
    case .malformedTarget: "The request target is malformed."
    case .unsupportedVersion: "The HTTP version is not 1.1 or 1.0."
    case .malformedStatusLine: "The status line is malformed."
    default: self.fieldReason
    }
  }

  private var fieldReason: String {
    switch self {
    case .bareCarriageReturn: "A carriage return is not followed by a line feed."
    case .bareLineFeed: "A line feed does not follow a carriage return."
    case .foldedField: "A field line begins with white space."
    case .emptyFieldName: "A field line has no name."
    case .malformedFieldName: "A field name has a character that none may have."
    case .whitespaceBeforeColon: "White space stands between a field name and the colon."
    case .controlInFieldValue: "A control character stands in a field value or a reason."
    case .headTooLarge: "The head of the message is too large."
    case .tooManyFields: "The head of the message has too many fields."
    default: self.framingReason
    }
  }

  private var framingReason: String {
    switch self {
    case .missingHost: "The Host field is missing."
    case .repeatedHost: "The Host field is repeated."
    case .malformedHost: "The Host field is malformed."
    case .conflictingHost: "The Host field contradicts the request target."
    case .malformedLength: "Content-Length is not a number that can be used."
    case .conflictingLengths: "Content-Length is repeated with different values."
    case .lengthAndTransferEncoding: "Content-Length and Transfer-Encoding exclude each other."
    case .unsupportedTransferEncoding: "Transfer-Encoding is not one that is supported."
    case .malformedChunk: "The chunks of the body are malformed."
    default: self.blockReason
    }
  }

  private var blockReason: String {
    switch self {
    case .malformedMethod: "The method is not a token."
    case .unknownPseudoField: "A pseudo-field is not one of a request."
    case .repeatedPseudoField: "A pseudo-field is repeated."
    case .misplacedPseudoField: "A pseudo-field stands where it must not."
    case .missingPseudoField: "A pseudo-field is missing."
    case .whitespaceAroundValue: "White space stands at an end of a field value."
    case .connectionField: "A field belongs to a connection of HTTP/1.1."
    default: "CONNECT tunnels nowhere from here."
    }
  }
}
