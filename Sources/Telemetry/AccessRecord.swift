public import Logging
internal import Net

/// What became of one request or one tunnel: a line of the access log.
public struct AccessRecord: Sendable {
  /// Which of them it is.
  public enum Kind: String, Sendable {
    /// It was answered with a status and ended with that.
    case request
    /// It was upgraded and carried octets.
    case tunnel
    /// It was upgraded and belonged to a peer of a room.
    case peer
  }

  /// Who ended it.
  public enum Closer: String, Sendable {
    case downstream
    case upstream
    case edge
  }

  /// A request or a tunnel: the record's message.
  public var kind: Kind
  /// What `X-Request-Id` said to the client and the server.
  public var requestID: String
  /// The number of the trace, the same in every system that the request came through; `nil` where
  /// traces are not kept.
  public var traceID: String?
  /// Name of the route, where one matched.
  public var route: String?
  /// The client's address, behind trusted proxies; where unknown, the peer.
  public var client: String
  /// Who the token speaks for.
  public var subject: String?
  /// The server, where one was reached or tried.
  public var upstream: String?
  /// The room, where it belonged to a peer.
  public var room: String?
  /// The peer's id there, where it got one.
  public var peer: String?
  /// The request's method, where its head was read.
  public var method: String?
  /// The request's host without the port, in lower case.
  public var host: String?
  /// The target with tokens taken out.
  public var target: String?
  /// What the client was answered; 0 where the connection ended before an answer.
  public var status: Int
  /// Octets from the client to the server, in clear, behind the heads.
  public var inboundByteCount: UInt64 = 0
  /// Octets from the server to the client, in clear, behind the heads.
  public var outboundByteCount: UInt64 = 0
  /// From the accept of the connection to the end.
  public var duration: Duration
  /// Who ended it.
  public var closer: Closer
  /// Why it ended: one word, or one sentence.
  public var reason: String
  /// The machine word of a refusal, such as `origin_not_allowed`.
  public var error: String?
  /// The version of TLS, `nil` for a plain connection.
  public var tls: String?
  /// The version of HTTP that the client spoke: 1.0, 1.1 or 2; `nil` where its head was not read.
  public var http: String?
  /// What is known of a tunnel's frames; `nil` for a request.
  public var frames: Frames?

  /// What a tunnel's frames came to.
  public struct Frames: Sendable, Equatable {
    /// Messages from the client to the server.
    public var inboundMessageCount: UInt64
    /// Messages from the server to the client.
    public var outboundMessageCount: UInt64
    /// The first close frame's code, whoever sent it; 1005 where it had none, 1006 without a frame.
    public var closeCode: UInt16
    /// More about the reason.
    public var detail: String?

    /// Counts, a code and perhaps a detail.
    public init(
      inboundMessageCount: UInt64, outboundMessageCount: UInt64, closeCode: UInt16,
      detail: String? = nil
    ) {
      self.inboundMessageCount = inboundMessageCount
      self.outboundMessageCount = outboundMessageCount
      self.closeCode = closeCode
      self.detail = detail
    }
  }

  /// A record with what every one has; the rest is set where it is known.
  public init(
    kind: Kind, requestID: String, client: String, status: Int, duration: Duration,
    closer: Closer, reason: String
  ) {
    self.kind = kind
    self.requestID = requestID
    self.client = client
    self.status = status
    self.duration = duration
    self.closer = closer
    self.reason = reason
  }

  /// The keys in the order in which they are written.
  static let keys = [
    "request_id", "trace_id", "route", "client", "subject", "method", "host", "target", "status",
    "upstream", "room", "peer",
    "octets_in", "octets_out", "messages_in", "messages_out", "duration_ms", "closed_by", "reason",
    "detail", "close_code", "error", "http", "tls",
  ]

  static func rank(of one: String, before two: String) -> Bool {
    let last = Self.keys.count
    let ranks = (Self.keys.firstIndex(of: one) ?? last, Self.keys.firstIndex(of: two) ?? last)
    return ranks.0 == ranks.1 ? one < two : ranks.0 < ranks.1
  }

  /// The record's fields as swift-log takes them.
  public var metadata: Logger.Metadata {
    let tenths = (self.duration.milliseconds * 10).rounded() / 10
    var metadata: Logger.Metadata = [
      "request_id": .string(self.requestID),
      "client": .string(self.client),
      "status": .stringConvertible(self.status),
      "octets_in": .stringConvertible(self.inboundByteCount),
      "octets_out": .stringConvertible(self.outboundByteCount),
      "duration_ms": .stringConvertible(tenths),
      "closed_by": .string(self.closer.rawValue),
      "reason": .string(self.reason),
    ]
    let texts = [
      "route": self.route, "subject": self.subject, "upstream": self.upstream,
      "method": self.method, "host": self.host, "target": self.target, "tls": self.tls,
      "http": self.http,
      "error": self.error, "detail": self.frames?.detail, "trace_id": self.traceID,
      "room": self.room, "peer": self.peer,
    ]
    for (key, text) in texts { if let text { metadata[key] = .string(text) } }
    if let frames = self.frames {
      metadata["messages_in"] = .stringConvertible(frames.inboundMessageCount)
      metadata["messages_out"] = .stringConvertible(frames.outboundMessageCount)
      metadata["close_code"] = .stringConvertible(frames.closeCode)
    }
    return metadata
  }
}

/// The access log: writes a record where it is asked for, and costs one comparison where it is not.
public struct AccessLog: Sendable {
  private let logger: Logger
  private let isOn: Bool

  /// - Parameter isOn: whether the configuration asks for an access log.
  public init(_ logger: Logger, isOn: Bool) {
    self.logger = logger
    self.isOn = isOn
  }

  /// Writes the record that `make` builds, unless nobody wants it.
  public func write(_ make: () -> AccessRecord) {
    guard self.isOn, self.logger.logLevel <= .info else { return }
    let record = make()
    self.logger.info("\(record.kind.rawValue)", metadata: record.metadata)
  }
}
