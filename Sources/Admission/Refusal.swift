public import HTTP

/// A request that is answered with a status and a reason instead of a tunnel.
///
/// The constructors are the rows of one table, so that a cause has one status wherever it is met. A
/// reason is a sentence for the client and the log; it quotes nothing that the client sent.
public struct Refusal: Error, Sendable, Equatable {
  /// A field of the answer that belongs to this refusal.
  public struct Field: Sendable, Hashable {
    /// The field's name.
    public let name: String
    /// The field's value.
    public let value: String

    /// A field with a name and a value.
    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// The status code, 400 to 599.
  public let status: Int
  /// One machine word, such as `origin_not_allowed`.
  public let error: String
  /// One plain sentence.
  public let reason: String
  /// What the status asks for: Retry-After, WWW-Authenticate, Allow, Upgrade and the like.
  public let fields: [Field]
  /// What the client is shown; `nil` for the error and the reason.
  public let body: [UInt8]?

  /// A refusal of a cause that has no row here.
  public init(
    status: Int, error: String, reason: String, fields: [Field] = [], body: [UInt8]? = nil
  ) {
    self.status = status
    self.error = error
    self.reason = reason
    self.fields = fields
    self.body = body
  }
}

// The request itself.
extension Refusal {
  /// The head breaks a rule of HTTP, or a limit: 400, 414, 431, 501 or 505.
  public static func head(_ error: HeadError) -> Refusal {
    Refusal(status: error.status, error: Self.word(forStatus: error.status), reason: error.reason)
  }

  /// The request is no WebSocket upgrade, or a broken one (RFC 6455 §4.2): 400, 405 or 426, with
  /// the fields that say what would be one.
  public static func upgrade(
    status: Int, reason: String, fields: [(name: String, value: String)] = []
  ) -> Refusal {
    Refusal(
      status: status, error: Self.word(forStatus: status), reason: reason,
      fields: fields.map { Field(name: $0.name, value: $0.value) })
  }

  /// The head was not complete in time.
  public static let headTimedOut = Refusal(
    status: 408, error: "head_timed_out", reason: "The request head did not arrive in time.")

  /// The content was not complete in time.
  public static let bodyTimedOut = Refusal(
    status: 408, error: "body_timed_out", reason: "The request's content did not arrive in time.")

  /// The content is longer than the route takes.
  public static let bodyTooLarge = Refusal(
    status: 413, error: "body_too_large",
    reason: "The request's content is longer than is taken here.")

  /// The content breaks a rule of its framing.
  public static func malformedBody(_ error: HeadError) -> Refusal {
    Refusal(status: 400, error: "malformed_body", reason: error.reason)
  }

  /// The method is not one of those that are answered here (RFC 9110 §15.5.6).
  public static func methodNotAllowed(allow methods: [String]) -> Refusal {
    Refusal(
      status: 405, error: Self.word(forStatus: 405), reason: "This method is not answered here.",
      fields: [Field(name: "Allow", value: methods.joined(separator: ", "))])
  }

  /// No route answers for this host and path.
  public static let noRoute = Refusal(
    status: 404, error: "no_route", reason: "No route answers for this host and path.")

  private static func word(forStatus status: Int) -> String {
    switch status {
    case 405: "method_not_allowed"
    case 408: "head_timed_out"
    case 414: "target_too_long"
    case 426: "upgrade_required"
    case 431: "head_too_large"
    case 501: "not_implemented"
    case 505: "version_not_supported"
    default: "bad_request"
    }
  }
}

// Who asks.
extension Refusal {
  /// The origin is not one that the route lists.
  public static let originNotAllowed = Refusal(
    status: 403, error: "origin_not_allowed", reason: "This origin may not connect here.")

  /// The route wants an origin, and there is none.
  public static let originRequired = Refusal(
    status: 403, error: "origin_required", reason: "The Origin field is required here.")

  /// No token was sent. RFC 6750 §3.1: then the challenge carries no error.
  public static let missingToken = Refusal(
    status: 401, error: "missing_token", reason: "A token is required here and none was sent.",
    fields: [Field(name: "WWW-Authenticate", value: "Bearer")])

  /// The token is malformed, forged, expired or not valid yet.
  public static func badToken(reason: String) -> Refusal {
    Refusal(
      status: 401, error: "invalid_token", reason: reason,
      fields: [Self.challenge(error: "invalid_token", description: reason)])
  }

  /// No API key was sent, and the route takes nothing else.
  public static let missingKey = Refusal(
    status: 401, error: "missing_api_key", reason: "An API key is required here and none was sent.",
    fields: [Self.keyChallenge])

  /// The API key is none of those that the route knows.
  public static let badKey = Refusal(
    status: 401, error: "invalid_api_key", reason: "The API key is not known.",
    fields: [Self.keyChallenge])

  /// The token is authentic and does not permit this.
  public static func notPermitted(reason: String) -> Refusal {
    Refusal(
      status: 403, error: "not_permitted", reason: reason,
      fields: [Self.challenge(error: "insufficient_scope", description: reason)])
  }

  /// The token cannot be judged for now. Not 401: the token may be good.
  public static func verifierUnavailable(reason: String, retryAfter: Duration) -> Refusal {
    Refusal(
      status: 503, error: "verifier_unavailable", reason: reason,
      fields: [Self.retry(after: retryAfter)])
  }

  /// RFC 9110 §11.6.1 asks for a challenge with every 401; no scheme is registered for API keys.
  private static let keyChallenge = Field(name: "WWW-Authenticate", value: "ApiKey")

  /// RFC 6750 §3: the description has printable ASCII without `"` and `\`.
  private static func challenge(error: String, description: String) -> Field {
    let safe = description.unicodeScalars.map { scalar -> Character in
      switch scalar {
      case "\"", "\\": "'"
      case " "..."~": Character(scalar)
      default: "?"
      }
    }
    let value = "Bearer error=\"\(error)\", error_description=\"\(String(safe))\""
    return Field(name: "WWW-Authenticate", value: value)
  }
}

// How much.
extension Refusal {
  /// The client has as many connections on the route as it may have.
  public static func tooManyConnections(retryAfter: Duration) -> Refusal {
    Refusal(
      status: 429, error: "too_many_connections",
      reason: "This client has as many connections open as it may have.",
      fields: [Self.retry(after: retryAfter)])
  }

  /// The client asks for upgrades faster than it may.
  public static func tooManyUpgrades(retryAfter: Duration) -> Refusal {
    Refusal(
      status: 429, error: "too_many_upgrades", reason: "This client connects too often.",
      fields: [Self.retry(after: retryAfter)])
  }

  /// The client sends requests faster than it may.
  public static func tooManyRequests(retryAfter: Duration) -> Refusal {
    Refusal(
      status: 429, error: "too_many_requests", reason: "This client sends requests too often.",
      fields: [Self.retry(after: retryAfter)])
  }

  /// The process is at one of its limits.
  public static func overloaded(retryAfter: Duration) -> Refusal {
    Refusal(
      status: 503, error: "overloaded", reason: "The server is at its limit of connections.",
      fields: [Self.retry(after: retryAfter)])
  }

  /// The process is about to stop.
  public static func draining(retryAfter: Duration) -> Refusal {
    Refusal(
      status: 503, error: "draining", reason: "The server is shutting down.",
      fields: [Self.retry(after: retryAfter)])
  }

  /// RFC 9110 §10.2.3: whole seconds, here rounded up and at least one.
  private static func retry(after delay: Duration) -> Field {
    let (seconds, attoseconds) = delay.components
    let whole = attoseconds > 0 && seconds < .max ? seconds + 1 : seconds
    return Field(name: "Retry-After", value: String(max(1, whole)))
  }
}

// The backend.
extension Refusal {
  /// No server of the group can be tried.
  public static func noHealthyServer(retryAfter: Duration) -> Refusal {
    Refusal(
      status: 503, error: "no_healthy_server", reason: "No server is available for this route.",
      fields: [Self.retry(after: retryAfter)])
  }

  /// No server took the connection, or its TLS handshake failed.
  public static let upstreamRefused = Refusal(
    status: 502, error: "upstream_refused", reason: "The server behind this route refused.")

  /// The server's answer is not one that may be passed on; `reason` says what is wrong with it.
  public static func upstreamMalformed(reason: String) -> Refusal {
    Refusal(status: 502, error: "upstream_malformed", reason: reason)
  }

  /// The server took too long to connect or to answer.
  public static let upstreamTimedOut = Refusal(
    status: 504, error: "upstream_timed_out",
    reason: "The server behind this route did not answer in time.")
}
