import Admission
import HTTP
import Testing

@Suite("Origins at the door")
struct OriginExaminationTests {
  static let listed = OriginRule.listed(
    [
      (try? OriginPattern(parsing: "https://example.com")), (try? OriginPattern(parsing: "null")),
    ].compactMap { $0 })

  @Test(
    "the rule, what was sent, what follows",
    arguments: [
      (listed, false, ["https://example.com"], Outcome.admitted("none")),
      (listed, false, ["https://EXAMPLE.com:443"], .admitted("none")),
      (listed, false, ["null"], .admitted("none")),
      (listed, false, ["https://evil.test"], .refused(403, "origin_not_allowed")),
      (listed, false, [""], .refused(403, "origin_not_allowed")),
      (listed, false, [], .admitted("none")),
      (listed, true, [], .refused(403, "origin_required")),
      (listed, true, ["https://example.com"], .admitted("none")),
      (
        listed, false, ["https://example.com", "https://example.com"],
        .refused(403, "origin_not_allowed")
      ),
      (.listed([]), false, ["https://example.com"], .refused(403, "origin_not_allowed")),
      (.any, false, ["garbage"], .admitted("none")),
      (.any, false, [], .admitted("none")),
      (.any, true, [], .refused(403, "origin_required")),
      (.any, true, ["https://evil.test"], .admitted("none")),
      (.any, false, ["a", "b"], .refused(403, "origin_not_allowed")),
    ])
  func origins(rule: OriginRule, isRequired: Bool, sent: [String], outcome: Outcome) {
    let rules = AdmissionRules(origins: rule, requireOrigin: isRequired)
    let head = request("/chat", sent.map { ("Origin", $0) })
    #expect(Outcome(examine(head, subprotocols: [], rules: rules)) == outcome)
  }

  @Test("a wrong origin is refused before a right key is looked at")
  func order() {
    let rules = AdmissionRules(
      origins: Self.listed,
      credentials: CredentialRules(apiKeys: APIKeyRule(header: "X-API-Key", keys: ["k"])))
    let head = request("/chat", [("Origin", "https://evil.test"), ("X-API-Key", "k")])
    let outcome = Outcome(examine(head, subprotocols: [], rules: rules))
    #expect(outcome == .refused(403, "origin_not_allowed"))
  }
}

@Suite("Tokens and keys at the door")
struct CredentialExaminationTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let source: TokenSource
    var target = "/chat"
    var fields: [(String, String)] = []
    var subprotocols: [String] = []
    let outcome: Outcome

    var testDescription: String {
      "\(self.source) \(self.target) \(self.fields) \(self.subprotocols)"
    }
  }

  static let missing = Outcome.refused(401, "missing_token")
  static let invalid = Outcome.refused(401, "invalid_token")

  static let authorizationRows: [Row] = [
    ([("Authorization", "Bearer tok")], .token("tok")),
    ([("authorization", "bearer tok")], .token("tok")),
    ([("Authorization", "BEARER  tok ")], .token("tok")),
    ([("Authorization", "Bearer\ttok")], .token("tok")),
    ([("Authorization", "Bearer")], invalid),
    ([("Authorization", "Bearertok")], missing),
    ([("Authorization", "tok")], missing),
    ([("Authorization", "Basic dTpw")], missing),
    ([("Authorization", "Basic dTpw"), ("Authorization", "Bearer tok")], .token("tok")),
    ([("Authorization", "Bearer tok"), ("Authorization", "Bearer tok")], invalid),
    ([("Cookie", "authorization=tok")], missing),
    ([], missing),
  ].map { Row(source: .authorization, fields: $0.0, outcome: $0.1) }

  static let subprotocolRows: [Row] = [
    (["bearer", "tok", "chat"], .token("tok")),
    (["chat", "bearer", "tok"], .token("tok")),
    (["Bearer", "tok"], .token("tok")),
    (["bearer"], invalid),
    (["chat", "bearer"], invalid),
    (["tok", "chat"], missing),
    (["bearers", "tok"], missing),
    ([], missing),
  ].map { Row(source: .subprotocol, subprotocols: $0.0, outcome: $0.1) }

  static let cookieRows: [Row] = [
    (["session=tok"], .token("tok")),
    (["a=1; session=tok; b=2"], .token("tok")),
    (["a=1;session=tok"], .token("tok")),
    (["a=1", "session=tok"], .token("tok")),
    (["session=\"tok\""], .token("tok")),
    (["session=tok; session=other"], .token("tok")),
    (["session=a=b=="], .token("a=b==")),
    (["Session=tok"], missing),
    (["xsession=tok"], missing),
    (["a=session=tok"], missing),
    (["session="], missing),
    (["session"], missing),
    ([""], missing),
    // As characters these would equal ";" and not equal "=".
    (["a=1\u{37E}session=tok"], missing),
    (["session=\u{301}tok"], .token("\u{301}tok")),
  ].map { Row(source: .cookie("session"), fields: $0.0.map { ("Cookie", $0) }, outcome: $0.1) }

  static let queryRows: [Row] = [
    ("/chat?access_token=tok", .token("tok")),
    ("/chat?a=1&access_token=tok&b=2", .token("tok")),
    ("/chat?access%5Ftoken=tok", .token("tok")),
    ("/chat?access_token=a%2Eb", .token("a.b")),
    ("/chat?access_token=a=b", .token("a=b")),
    ("/chat?x?access_token=tok", missing),
    ("/chat?access_token=", missing),
    ("/chat?access_token", missing),
    ("/chat?ACCESS_TOKEN=tok", missing),
    ("/chat?xaccess_token=tok", missing),
    ("/chat?access_token=%", invalid),
    ("/chat?access_token=%4", invalid),
    ("/chat?access_token=%ff", invalid),
    ("/chat?access_token=a&access_token=b", invalid),
    ("/chat/access_token=tok", missing),
    ("/chat?", missing),
    ("/chat", missing),
  ].map { Row(source: .query("access_token"), target: $0.0, outcome: $0.1) }

  @Test(
    "every place where a token may stand",
    arguments: authorizationRows + subprotocolRows + cookieRows + queryRows)
  func sources(row: Row) {
    let rules = AdmissionRules(
      origins: .any, credentials: CredentialRules(jwt: tokenRule(row.source)))
    let head = request(row.target, row.fields)
    #expect(Outcome(examine(head, subprotocols: row.subprotocols, rules: rules)) == row.outcome)
  }

  @Test("the first source that holds something decides, in the rule's order")
  func precedence() {
    let head = request(
      "/chat?t=query", [("Authorization", "Bearer field"), ("Cookie", "c=cookie")])
    func outcome(_ sources: TokenSource...) -> Outcome {
      let rule = JWTRule(verifier: NoVerifier(), sources: sources)
      let rules = AdmissionRules(origins: .any, credentials: CredentialRules(jwt: rule))
      return Outcome(examine(head, subprotocols: ["bearer", "list"], rules: rules))
    }
    #expect(outcome(.authorization, .query("t")) == .token("field"))
    #expect(outcome(.query("t"), .authorization) == .token("query"))
    #expect(outcome(.cookie("none"), .subprotocol, .authorization) == .token("list"))
    #expect(outcome(.cookie("c"), .subprotocol) == .token("cookie"))
    #expect(outcome() == Self.missing)
  }

  static let keys = APIKeyRule(header: "X-API-Key", keys: ["right", "also right"])

  @Test(
    "keys alone, and keys beside tokens",
    arguments: [
      (false, [("X-API-Key", "right")], Outcome.admitted("api_key")),
      (false, [("x-api-key", "also right")], .admitted("api_key")),
      (false, [("X-API-Key", "wrong")], .refused(401, "invalid_api_key")),
      (false, [("X-API-Key", "right"), ("X-API-Key", "right")], .refused(401, "invalid_api_key")),
      (false, [("X-API-Key", "")], .refused(401, "missing_api_key")),
      (false, [("Authorization", "Bearer tok")], .refused(401, "missing_api_key")),
      (false, [], .refused(401, "missing_api_key")),
      (true, [("X-API-Key", "right")], .admitted("api_key")),
      (true, [("X-API-Key", "right"), ("Authorization", "Bearer tok")], .admitted("api_key")),
      (true, [("X-API-Key", "wrong"), ("Authorization", "Bearer tok")], .token("tok")),
      (true, [("X-API-Key", "wrong"), ("Authorization", "Bearer")], invalid),
      (true, [("X-API-Key", "wrong")], .refused(401, "invalid_api_key")),
      (true, [], missing),
    ])
  func methods(hasTokens: Bool, fields: [(String, String)], outcome: Outcome) {
    let credentials = CredentialRules(
      jwt: hasTokens ? tokenRule(.authorization) : nil, apiKeys: Self.keys)
    let rules = AdmissionRules(origins: .any, credentials: credentials)
    #expect(Outcome(examine(request("/", fields), subprotocols: [], rules: rules)) == outcome)
  }

  @Test("rules that name no method admit nobody")
  func noMethod() {
    let rules = AdmissionRules(origins: .any, credentials: CredentialRules())
    let head = request("/", [("Authorization", "Bearer tok")])
    guard case .refuse(let refusal) = examine(head, subprotocols: [], rules: rules) else {
      Issue.record("admitted")
      return
    }
    #expect(refusal.status == 401)
  }
}

@Suite("Verdicts")
struct JudgeTests {
  @Test(
    "each has its status and its challenge",
    arguments: [
      (
        Verdict.invalid(reason: "The token has expired."), 401, "invalid_token",
        "Bearer error=\"invalid_token\", error_description=\"The token has expired.\""
      ),
      (
        .notPermitted(reason: "Not for you."), 403, "not_permitted",
        "Bearer error=\"insufficient_scope\", error_description=\"Not for you.\""
      ),
      (.unavailable(reason: "No keys."), 503, "verifier_unavailable", ""),
    ])
  func refusals(verdict: Verdict, status: Int, error: String, challenge: String) {
    guard case .refuse(let refusal) = judge(verdict, rule: tokenRule(.authorization)) else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.status == status)
    #expect(refusal.error == error)
    let field = refusal.fields.first { $0.name == "WWW-Authenticate" }
    #expect(field?.value ?? "" == challenge)
    #expect(refusal.fields.contains { $0.name == "Retry-After" } == (status == 503))
  }

  @Test("a valid token names its subject, its end, and the fields for the backend")
  func admits() {
    let claims = Claims(
      subject: "ann", expiry: 42,
      values: [
        "sub": .text("ann"), "level": .integer(3), "staff": .flag(true),
        "tags": .list([.text("x")]),
        "org": .object(["name": .text("Acme")]),
      ])
    let rule = tokenRule(
      .authorization,
      forwardClaims: [
        ("sub", "X-Auth-Subject"), ("level", "X-Level"), ("staff", "X-Staff"), ("tags", "X-Tags"),
        ("org.name", "X-Org"), ("nothing", "X-Nothing"),
      ])
    guard case .admit(let admitted) = judge(.valid(claims), rule: rule) else {
      Issue.record("not admitted")
      return
    }
    #expect(admitted.subject == "ann")
    #expect(admitted.expiry == 42)
    #expect(admitted.method == .jwt)
    let fields = admitted.identityFields.map { "\($0.name): \($0.value)" }
    #expect(fields == ["X-Auth-Subject: ann", "X-Level: 3", "X-Staff: true", "X-Org: Acme"])
    let names = CredentialRules(jwt: rule).identityFieldNames
    #expect(names == ["X-Auth-Subject", "X-Level", "X-Staff", "X-Tags", "X-Org", "X-Nothing"])
  }

  @Test(
    "the tunnel ends with its token where the rule says so",
    arguments: [
      (ExpiryAction.close, Int64?(42), Int64?(42)), (.close, nil, nil), (.ignore, 42, nil),
      (.ignore, nil, nil),
    ])
  func expiry(action: ExpiryAction, ofToken: Int64?, ofTunnel: Int64?) {
    var rule = tokenRule(.authorization)
    rule.onExpiry = action
    guard case .admit(let admitted) = judge(.valid(Claims(expiry: ofToken)), rule: rule) else {
      Issue.record("not admitted")
      return
    }
    #expect(admitted.expiry == ofTunnel)
  }

  @Test("a rule that says nothing ends tunnels with their tokens")
  func expiryDefault() { #expect(tokenRule(.authorization).onExpiry == .close) }

  @Test(
    "a claim that a field would change is not forwarded: the request is refused",
    arguments: ["a\r\nX-Admin: 1", "a\nb", "a\u{0}b", " admin", "admin ", "admin\t", "\u{7F}"])
  func injection(subject: String) {
    let rule = tokenRule(.authorization, forwardClaims: [("sub", "X-Auth-Subject")])
    let examination = judge(.valid(Claims(subject: subject)), rule: rule)
    #expect(Outcome(examination) == .refused(403, "not_permitted"))
  }
}
