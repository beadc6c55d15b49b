internal import HTTP
internal import Net

/// The body of a request on its way to the server.
struct RequestPassage {
  /// The client's framing; `nil` where HTTP/2 frames, and ends the body with the stream.
  var reader: BodyReader?
  var writer: BodyWriter
  private(set) var isComplete: Bool
  /// Octets of content that passed.
  var byteCount: UInt64 = 0
  /// Whether octets were taken from the client that no other server can be sent.
  var hasTakenContent = false

  init(_ outgoing: OutgoingRequest) {
    self.reader = outgoing.asked.body
    self.writer = BodyWriter(outgoing.asked.framing)
    self.isComplete = !outgoing.asked.hasContent
  }

  mutating func completed() { self.isComplete = true }

  /// Whether the server takes no more of it: the answer is all that matters then.
  private(set) var isBrokenOff = false

  mutating func breakOff() { self.isBrokenOff = true }
}

/// The answer on its way to the client.
struct AnswerPassage: ~Copyable {
  private(set) var status = 0
  var reader = ResponseReader(headByteCountMax: Limits.responseHeadByteCountMax)
  var interimCount = 0
  private(set) var body: BodyReader?
  var writer = BodyWriter(.none)
  var byteCount: UInt64 = 0
  /// Whether the client's connection may carry another request.
  private(set) var persists = false
  /// Whether the server's may, and for how long it says that it waits.
  private var serverPersists = false
  private(set) var idleTimeout: Duration?
  /// Whether the server has sent more than its answer.
  var hasSurplus = false

  /// Whether the head has gone to the client.
  var hasBegun: Bool { self.body != nil }

  /// Whether the server has said anything.
  var hasOctets: Bool { self.hasBegun || self.reader.hasReceivedOctets || self.interimCount > 0 }

  /// Whether nothing is left of it on the server's connection.
  var leavesServerClean: Bool {
    self.serverPersists && !self.hasSurplus && self.body?.isComplete == true
  }

  /// The head has come, as the server sent it.
  mutating func begin(_ head: borrowing ResponseHead, _ body: BodyReader) {
    self.status = head.status
    self.serverPersists = head.keepsConnection && !body.endsAtClose
    self.idleTimeout = head.keepAliveTimeout
    self.body = body
  }

  /// The head goes on.
  mutating func goOn(_ framing: BodyFraming, persists: Bool) {
    self.writer = BodyWriter(framing)
    self.persists = persists
  }

  /// Takes the server's framing out of what stands in the buffer.
  mutating func read(_ buffer: inout Buffer) throws(HeadError) -> (content: Int, rest: Int) {
    guard var body = self.body.take() else { return (0, 0) }
    defer { self.body = body }
    return try body.read(&buffer)
  }

  /// The fields that came behind a complete body.
  mutating func takeTrailers() -> Fields { self.body?.takeTrailers() ?? Fields() }
}

extension ResponseHead {
  /// How long a server says that it keeps its connection without a request; less, since a request
  /// takes some time to arrive.
  fileprivate var keepAliveTimeout: Duration? {
    for token in self.fields.tokens("keep-alive") {
      let parts = token.split(separator: "=")
      guard parts.count == 2, parts[0].lowercased() == "timeout", let seconds = UInt16(parts[1])
      else { continue }
      return .seconds(max(0, Int(seconds) - 1))
    }
    return nil
  }
}
