public import HTTP

/// What an examination of a request found. Pure: no clock, no I/O, no key.
public enum Examination: Sendable {
  /// It may go on to the backend.
  case admit(Admitted)
  /// It carries a token on which the rule's verifier has to judge; see ``judge(_:rule:otherwise:)``.
  case verify(token: String, rule: JWTRule)
  /// A service has to judge it; see ``ForwardRule``.
  case ask(ForwardRule)
  /// It is answered with a refusal.
  case refuse(Refusal)
}

/// Who was let in, and on what ground.
public struct Admitted: Sendable {
  /// The ground on which a request was let in.
  public enum Method: String, Sendable {
    /// The route asks for nothing.
    case none
    /// A JSON Web Token.
    case jwt
    /// An API key.
    case apiKey = "api_key"
    /// A service said so.
    case forward
  }

  /// Who the client is, as the token or the service says.
  public let subject: String?
  /// How the client showed who it is.
  public let method: Method
  /// What the backend is told about the client.
  public let identityFields: [(name: String, value: String)]
  /// When the ground ends and the tunnel with it, in seconds since 1970; `nil` for never.
  public let expiry: Int64?
  /// What the token says; `nil` where there was none.
  public let claims: Claims?

  init(
    method: Method, subject: String? = nil, claims: Claims? = nil,
    identityFields: [(name: String, value: String)] = [],
    expiry: Int64? = nil
  ) {
    self.method = method
    self.claims = claims
    self.subject = subject ?? claims?.subject
    self.identityFields = identityFields
    self.expiry = expiry
  }
}

/// Whether a request may pass: its origin, then what it carries to show who sends it.
///
/// - Parameters:
///   - subprotocols: the members of Sec-WebSocket-Protocol, in order.
///   - isUpgrade: whether it asks for a WebSocket. Only then its origin counts: what a page of another
///     origin may read of ordinary answers, browsers decide (see ``CORSRules``), while nothing else keeps it
///     from a WebSocket.
public func examine(
  _ head: RequestHead, subprotocols: [String], rules: AdmissionRules, isUpgrade: Bool = true
) -> Examination {
  if isUpgrade, let refusal = originRefusal(head.fields, rules: rules) { return .refuse(refusal) }
  guard let credentials = rules.credentials else { return .admit(Admitted(method: .none)) }
  let key = credentials.apiKeys.map { $0.find(in: head.fields) } ?? .absent
  if key == .known { return .admit(Admitted(method: .apiKey)) }
  if let rule = credentials.jwt {
    switch findToken(in: head, subprotocols: subprotocols, sources: rule.sources) {
    case .token(let token): return .verify(token: token, rule: rule)
    case .unusable(let reason): return refusal(.badToken(reason: reason), credentials.forward)
    case .absent: break
    }
  }
  if key == .unknown { return refusal(.badKey, credentials.forward) }
  return refusal(credentials.jwt == nil ? .missingKey : .missingToken, credentials.forward)
}

/// What follows from a verifier's verdict: the request is admitted or refused.
///
/// - Parameter forward: who is asked before a token is refused. Not where the token could not be
///   judged: it may be good, and who has it is to come again.
public func judge(
  _ verdict: Verdict, rule: JWTRule, otherwise forward: ForwardRule? = nil
) -> Examination {
  switch verdict {
  case .valid(let claims): admission(claims, rule: rule)
  case .invalid(let reason): refusal(.badToken(reason: reason), forward)
  case .notPermitted(let reason): refusal(.notPermitted(reason: reason), forward)
  case .unavailable(let reason):
    .refuse(.verifierUnavailable(reason: reason, retryAfter: .seconds(5)))
  }
}

/// A refusal, unless there is a service to ask first.
private func refusal(_ refusal: Refusal, _ forward: ForwardRule?) -> Examination {
  forward.map { .ask($0) } ?? .refuse(refusal)
}

private func originRefusal(_ fields: Fields, rules: AdmissionRules) -> Refusal? {
  switch fields.count("Origin") {
  case 0:
    return rules.requireOrigin ? .originRequired : nil
  case 1:
    return rules.origins.admits(fields.first("Origin") ?? "") ? nil : .originNotAllowed
  default:
    // RFC 6454 §7.3: one field at most. Which of two a backend reads cannot be known.
    return .originNotAllowed
  }
}

private func admission(_ claims: Claims, rule: JWTRule) -> Examination {
  var fields: [(name: String, value: String)] = []
  for (claim, field) in rule.forwardClaims {
    guard let text = claims.text(claim) else { continue }
    guard isCarriedExactly(text) else {
      return .refuse(.notPermitted(reason: "A claim of the token does not fit in a header field."))
    }
    fields.append((name: field, value: text))
  }
  return .admit(
    Admitted(
      method: .jwt, claims: claims, identityFields: fields,
      expiry: rule.onExpiry == .close ? claims.expiry : nil))
}

/// Whether a field's value reaches the backend as it is. A control octet could end the line, and
/// white space at an end is trimmed by the reader: " admin" must not arrive as "admin".
func isCarriedExactly(_ text: String) -> Bool {
  !text.utf8.contains(where: \.isControl)
    && text.utf8.first?.isWhitespace != true && text.utf8.last?.isWhitespace != true
}

extension APIKeyRule {
  enum Finding { case absent, unknown, known }

  func find(in fields: Fields) -> Finding {
    let values = fields.values(self.header)
    guard let key = values.first, !(values.count == 1 && key.isEmpty) else { return .absent }
    // Two keys: which of them counts is not for us to guess.
    guard values.count == 1 else { return .unknown }
    return self.admits(key) ? .known : .unknown
  }
}
