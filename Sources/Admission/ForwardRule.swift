public import HTTP

/// How a service judges the requests of a route that show no token or key that is known here.
public struct ForwardRule: Sendable {
  /// Where it is asked.
  public var url: WebURL
  /// How long its answer may take.
  public var timeout: Duration
  /// Fields of its answer that the backend is told. They are removed from what clients send.
  public var fields: [String]
  /// The field of its answer that says who the client is, for records.
  public var subjectField: String?
  /// What asks it.
  public var web: any WebFetching

  /// Octets of content that its answer may have: a client that is refused is shown it.
  public static let bodyByteCountMax = 64 * 1024

  /// A rule with a place to ask and the fields of the answer to forward.
  public init(
    url: WebURL, timeout: Duration = .seconds(2), fields: [String] = [],
    subjectField: String? = nil, web: any WebFetching
  ) {
    self.url = url
    self.timeout = timeout
    self.fields = fields
    self.subjectField = subjectField
    self.web = web
  }

  /// Asks about a request, which `fields` describe; see ``Forwarding/question(about:)``. A redirect
  /// is an answer: nobody but the service at this place decides.
  public func ask(_ fields: Fields) async -> Result<WebResponse, WebFault> {
    let request = WebRequest(
      url: self.url, fields: fields, timeout: self.timeout,
      bodyByteCountMax: Self.bodyByteCountMax)
    do throws(WebFault) {
      return .success(try await self.web.fetch(request))
    } catch {
      return .failure(error)
    }
  }
}

/// What follows from a service's answer: the request is admitted or refused. A 2xx admits, 401 and 403
/// go on to the client, and everything else means that there is no telling.
public func judge(
  _ answer: Result<WebResponse, WebFault>, rule: ForwardRule
) -> Examination {
  switch answer {
  case .success(let response) where (200..<300).contains(response.status):
    admission(response.fields, rule: rule)
  case .success(let response) where response.status == 401 || response.status == 403:
    .refuse(.forwardDenied(response))
  case .success:
    unavailable("The authorization service gave no answer that decides.")
  case .failure(.timedOut):
    unavailable("The authorization service did not answer in time.")
  case .failure:
    unavailable("The authorization service cannot be asked.")
  }
}

private func unavailable(_ reason: String) -> Examination {
  .refuse(.verifierUnavailable(reason: reason, retryAfter: .seconds(5)))
}

private func admission(_ answer: Fields, rule: ForwardRule) -> Examination {
  var fields: [(name: String, value: String)] = []
  for name in rule.fields {
    guard let value = line(name, in: answer) else { continue }
    // A replacement character: what the service has sent is lost already.
    guard isCarriedExactly(value), !value.unicodeScalars.contains("\u{FFFD}") else {
      return unavailable("The authorization service's answer does not fit in a header field.")
    }
    fields.append((name: name, value: value))
  }
  let subject = rule.subjectField.flatMap { line($0, in: answer) }
  return .admit(
    Admitted(
      method: .forward, subject: subject?.isEmpty == true ? nil : subject, identityFields: fields))
}

/// RFC 9110 §5.3: several lines of one name are one list.
private func line(_ name: String, in fields: Fields) -> String? {
  let values = fields.values(name)
  return values.isEmpty ? nil : values.joined(separator: ", ")
}

extension Refusal {
  /// Fields of a service's refusal that are the client's business; Location for those that read it
  /// beside a 401. The service saw what encodings the client accepts, and may have used one.
  private static let passedFieldNames = [
    "WWW-Authenticate", "Content-Type", "Content-Encoding", "Location", "Set-Cookie", "Retry-After",
    "Cache-Control",
  ]

  /// The authorization service has refused the client: 401 or 403, in the service's words.
  static func forwardDenied(_ response: WebResponse) -> Refusal {
    var fields: [Field] = []
    for field in response.fields where Self.passedFieldNames.contains(where: field.isNamed) {
      fields.append(Field(name: field.name, value: field.value))
    }
    return Refusal(
      status: response.status, error: "forward_auth_denied",
      reason: "The authorization service refused.", fields: fields, body: response.body)
  }
}
