import Admission
import HTTP
import Testing

@Suite("A service that is asked")
struct ForwardRuleTests {
  static let url = try? WebURL(parsing: "http://127.0.0.1:7000/authorize")

  private static func rule(
    _ fields: String..., subject: String? = nil, web: any WebFetching = NoWeb()
  ) throws -> ForwardRule {
    ForwardRule(
      url: try #require(Self.url), timeout: .seconds(3), fields: fields, subjectField: subject,
      web: web)
  }

  private static func answer(
    _ status: Int, _ lines: [(String, String)] = [], body: String = ""
  ) -> Result<WebResponse, WebFault> {
    var fields = Fields()
    for (name, value) in lines { fields.append(name: name, value: value) }
    return .success(WebResponse(status: status, fields: fields, body: Array(body.utf8)))
  }

  // MARK: - When it is asked

  /// What a request carries, and what follows where a service is there and where none is.
  @Test(
    "it is asked where nothing else admits",
    arguments: [
      ([], Outcome.asks, Outcome.refused(401, "missing_token")),
      ([("X-API-Key", "k")], .admitted("api_key"), .admitted("api_key")),
      ([("X-API-Key", "x")], .asks, .refused(401, "invalid_api_key")),
      ([("Authorization", "Bearer t")], .token("t"), .token("t")),
      ([("Authorization", "Bearer t"), ("X-API-Key", "x")], .token("t"), .token("t")),
      ([("Authorization", "Bearer")], .asks, .refused(401, "invalid_token")),
      ([("Authorization", "Basic x")], .asks, .refused(401, "missing_token")),
    ])
  func examination(sent: [(String, String)], with: Outcome, without: Outcome) throws {
    var rules = AdmissionRules(
      origins: .any,
      credentials: CredentialRules(
        jwt: tokenRule(.authorization), apiKeys: APIKeyRule(header: "X-API-Key", keys: ["k"])))
    let head = request("/chat", sent)
    #expect(Outcome(examine(head, subprotocols: [], rules: rules)) == without)
    rules.credentials?.forward = try Self.rule()
    #expect(Outcome(examine(head, subprotocols: [], rules: rules)) == with)
  }

  @Test("alone it is asked about everybody, but not about a wrong origin")
  func alone() throws {
    var rules = AdmissionRules(
      origins: .listed([]), credentials: CredentialRules(forward: try Self.rule()))
    #expect(Outcome(examine(request(), subprotocols: [], rules: rules)) == .asks)
    let foreign = request("/chat", [("Origin", "https://evil.test")])
    let refused = Outcome.refused(403, "origin_not_allowed")
    #expect(Outcome(examine(foreign, subprotocols: [], rules: rules)) == refused)
    rules.origins = .any
    #expect(Outcome(examine(foreign, subprotocols: [], rules: rules)) == .asks)
  }

  @Test(
    "after a verdict on a token",
    arguments: [
      (Verdict.valid(Claims()), Outcome.admitted("jwt")), (.invalid(reason: "x"), .asks),
      (.notPermitted(reason: "x"), .asks),
      (.unavailable(reason: "x"), .refused(503, "verifier_unavailable")),
    ])
  func afterVerdict(verdict: Verdict, outcome: Outcome) throws {
    let found = judge(verdict, rule: tokenRule(.authorization), otherwise: try Self.rule())
    #expect(Outcome(found) == outcome)
  }

  // MARK: - What its answers do

  @Test("every status", arguments: 100...599)
  func statuses(status: Int) throws {
    let expected: Outcome =
      switch status {
      case 200...299: .admitted("forward")
      case 401, 403: .refused(status, "forward_auth_denied")
      default: .refused(503, "verifier_unavailable")
      }
    #expect(Outcome(judge(Self.answer(status), rule: try Self.rule())) == expected)
  }

  @Test(
    "no answer",
    arguments: [WebFault.timedOut, .tooLong, .badRedirect, .failed(detail: "10.0.0.1 refused")])
  func faults(fault: WebFault) throws {
    guard case .refuse(let refusal) = judge(.failure(fault), rule: try Self.rule()) else {
      Issue.record("nobody is admitted without an answer")
      return
    }
    #expect(refusal.status == 503 && refusal.error == "verifier_unavailable")
    #expect(!refusal.reason.contains("10.0.0.1"), "clients are not told where it is")
  }

  @Test("what the backend and the record are told")
  func admission() throws {
    let answer = Self.answer(
      200, [("x-user", "alice"), ("X-Role", "a"), ("X-Role", "b"), ("X-Empty", ""), ("X-No", "1")])
    let rule = try Self.rule("X-User", "X-Role", "X-Empty", "X-Missing", subject: "X-User")
    guard case .admit(let admitted) = judge(answer, rule: rule) else {
      Issue.record("200 admits")
      return
    }
    #expect(admitted.subject == "alice")
    #expect(admitted.identityFields.map(\.name) == ["X-User", "X-Role", "X-Empty"])
    #expect(admitted.identityFields.map(\.value) == ["alice", "a, b", ""])
    #expect(admitted.expiry == nil && admitted.claims == nil)
    #expect(
      CredentialRules(forward: rule).identityFieldNames
        == ["X-User", "X-Role", "X-Empty", "X-Missing"])
  }

  @Test("a subject that is empty, or not there, is none", arguments: [[("X-User", "")], []])
  func noSubject(lines: [(String, String)]) throws {
    let found = judge(Self.answer(204, lines), rule: try Self.rule(subject: "X-User"))
    guard case .admit(let admitted) = found else {
      Issue.record("204 admits")
      return
    }
    #expect(admitted.subject == nil)
  }

  @Test("a value that has lost octets already is not passed on")
  func lossyValue() throws {
    let answer = Self.answer(200, [("X-User", "al\u{FFFD}ce")])
    let refused = Outcome.refused(503, "verifier_unavailable")
    #expect(Outcome(judge(answer, rule: try Self.rule("X-User"))) == refused)
    #expect(Outcome(judge(answer, rule: try Self.rule("X-Role"))) == .admitted("forward"))
  }

  @Test("a refusal on the wire", arguments: [401, 403])
  func refusal(status: Int) throws {
    let answer = Self.answer(
      status,
      [
        ("www-authenticate", "Basic"), ("Content-Type", "text/plain"), ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"), ("Server", "x"), ("Content-Length", "99"), ("Connection", "close"),
        ("Transfer-Encoding", "chunked"), ("Cache-Control", "private"),
      ], body: "no\n")
    guard case .refuse(let refusal) = judge(answer, rule: try Self.rule()) else {
      Issue.record("\(status) refuses")
      return
    }
    let (head, body) = refusal.response(requestID: "17")
    #expect(body == Array("no\n".utf8))
    #expect(
      head.fields.map { "\($0.name): \($0.value)" } == [
        "www-authenticate: Basic", "Content-Type: text/plain", "Set-Cookie: a=1",
        "Set-Cookie: b=2", "Cache-Control: private", "Content-Length: 3", "X-Request-Id: 17",
        "Connection: close",
      ])
  }

  // MARK: - The question

  /// Keeps what it is asked.
  private struct Echo: WebFetching {
    func fetch(_ request: WebRequest) async throws(WebFault) -> WebResponse {
      let body = "\(request.url) \(request.timeout) \(request.redirectCountMax)"
      guard request.bodyByteCountMax == 64 * 1024 else { throw .tooLong }
      return WebResponse(status: 200, fields: request.fields, body: Array(body.utf8))
    }
  }

  @Test("it is asked within its limits, and redirects are not followed")
  func question() async throws {
    let rule = try Self.rule(web: Echo())
    var fields = Fields()
    fields.append(name: "X-Forwarded-Uri", value: "/")
    let response = try await rule.ask(fields).get()
    #expect(response.fields == fields)
    #expect(String(decoding: response.body, as: UTF8.self) == "\(rule.url) 3.0 seconds 0")
  }
}
