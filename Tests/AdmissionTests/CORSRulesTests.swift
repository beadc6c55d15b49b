import Admission
import HTTP
import Testing

@Suite("CORS")
struct CORSRulesTests {
  static let origin = "https://example.com"

  private static func listed(_ texts: String...) throws -> OriginRule {
    .listed(try texts.map { try OriginPattern(parsing: $0) })
  }

  private static func head(_ method: String, _ lines: [(String, String)]) -> RequestHead {
    var head = request("/api", lines)
    head.method = method
    return head
  }

  private static func preflight(
    origin: String? = origin, method: String = "PUT", headers: String? = nil
  ) -> RequestHead {
    let lines = [
      ("Origin", origin), ("Access-Control-Request-Method", method),
      ("Access-Control-Request-Headers", headers),
    ]
    return Self.head("OPTIONS", lines.compactMap { name, value in value.map { (name, $0) } })
  }

  private static func text(_ fields: Fields) -> [String] {
    fields.map { "\($0.name): \($0.value)" }
  }

  private static func text(_ fields: [(name: String, value: String)]) -> [String] {
    fields.map { "\($0.name): \($0.value)" }
  }

  static let preflightVary =
    "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

  @Test("what a preflight is")
  func preflights() {
    let (origin, method) = (("Origin", Self.origin), ("Access-Control-Request-Method", "PUT"))
    #expect(CORSRules.isPreflight(Self.head("OPTIONS", [origin, method])))
    #expect(CORSRules.isPreflight(Self.head("OPTIONS", [("origin", "x"), method])))
    #expect(!CORSRules.isPreflight(Self.head("OPTIONS", [origin])))
    #expect(!CORSRules.isPreflight(Self.head("OPTIONS", [method])))
    #expect(!CORSRules.isPreflight(Self.head("options", [origin, method])))
    #expect(!CORSRules.isPreflight(Self.head("GET", [origin, method])))
  }

  @Test("the answer to a preflight of a listed origin names the origin and what it may do")
  func allowed() throws {
    let rules = CORSRules(
      methods: ["GET", "PUT"], requestFields: .listed(["X-A", "X-B"]), exposedFields: ["X-C"],
      allowsCredentials: true, maxAge: .milliseconds(61_900))
    let answer = rules.preflightAnswer(
      to: Self.preflight(headers: "x-a"), origins: try Self.listed(Self.origin))
    #expect(
      Self.text(answer) == [
        "Access-Control-Allow-Origin: https://example.com",
        "Access-Control-Allow-Credentials: true", "Access-Control-Allow-Methods: GET, PUT",
        "Access-Control-Allow-Headers: X-A, X-B", "Access-Control-Max-Age: 61",
        Self.preflightVary,
      ])
  }

  @Test(
    "an origin that is not listed is told nothing",
    arguments: [
      nil, "https://evil.example", "http://example.com", "https://example.com.evil.example", "null",
      "", "https://example.com, https://example.com", "HTTPS://EXAMPLE.COM/",
    ] as [String?])
  func notAllowed(origin: String?) throws {
    let rules = CORSRules(exposedFields: ["X-A"], allowsCredentials: true)
    let origins = try Self.listed(Self.origin, "https://*.example.com")
    let preflight = Self.preflight(origin: origin, headers: "X-A")
    #expect(
      Self.text(rules.preflightAnswer(to: preflight, origins: origins)) == [Self.preflightVary])
    #expect(Self.text(rules.answerFields(to: preflight, origins: origins)) == ["Vary: Origin"])
  }

  @Test("of two origins nobody knows which one counts")
  func twoOrigins() throws {
    let head = Self.head("GET", [("Origin", Self.origin), ("Origin", Self.origin)])
    let fields = CORSRules().answerFields(to: head, origins: try Self.listed(Self.origin))
    #expect(Self.text(fields) == ["Vary: Origin"])
  }

  @Test(
    "answers carry the origin as it was sent",
    arguments: ["https://example.com", "https://a.example.com", "https://example.com:443", "null"])
  func answers(origin: String) throws {
    let head = Self.head("GET", [("Origin", origin)])
    let origins = try Self.listed(Self.origin, "https://*.example.com", "null")
    let plain = CORSRules().answerFields(to: head, origins: origins)
    #expect(Self.text(plain) == ["Access-Control-Allow-Origin: \(origin)", "Vary: Origin"])
    let rules = CORSRules(exposedFields: ["X-A", "X-B"], allowsCredentials: true)
    #expect(
      Self.text(rules.answerFields(to: head, origins: origins)) == [
        "Access-Control-Allow-Origin: \(origin)", "Access-Control-Allow-Credentials: true",
        "Access-Control-Expose-Headers: X-A, X-B", "Vary: Origin",
      ])
  }

  @Test("with any origin the answer is the same for everybody, and never with credentials")
  func anyOrigin() {
    let rules = CORSRules(allowsCredentials: true)
    for lines in [[], [("Origin", "https://x.example")], [("Origin", "null")]] {
      let fields = rules.answerFields(to: Self.head("GET", lines), origins: .any)
      #expect(Self.text(fields) == ["Access-Control-Allow-Origin: *", "Vary: Origin"])
    }
    let answer = rules.preflightAnswer(to: Self.preflight(), origins: .any)
    #expect(
      Self.text(answer) == [
        "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Max-Age: 600", Self.preflightVary,
      ])
  }

  @Test(
    "fields that a page may add: the names that it asked for, never a star",
    arguments: [
      (nil, nil), ("", nil), (" , ", nil), ("authorization", "authorization"),
      ("x-a,X-B ,, content-type", "x-a, X-B, content-type"), ("x-a, b c", nil), ("x-a\u{0}b", nil),
      ("x-a, \"y\"", nil),
    ] as [(String?, String?)])
  func anyField(asked: String?, expected: String?) {
    let head = Self.preflight(headers: asked)
    let answer = CORSRules().preflightAnswer(to: head, origins: .any)
    #expect(answer.first("Access-Control-Allow-Headers") == expected)
  }

  @Test("listed fields are told whole: the browser compares")
  func listedFields() {
    for asked in [nil, "x-a", "x-other"] {
      let rules = CORSRules(requestFields: .listed(["X-A"]))
      let answer = rules.preflightAnswer(to: Self.preflight(headers: asked), origins: .any)
      #expect(answer.values("Access-Control-Allow-Headers") == ["X-A"])
    }
    let none = CORSRules(requestFields: .listed([]))
    let answer = none.preflightAnswer(to: Self.preflight(headers: "x-a"), origins: .any)
    #expect(!answer.contains("Access-Control-Allow-Headers"))
  }

  @Test("a method that is not allowed is not among those that are told")
  func methods() {
    let answer = CORSRules(methods: ["GET"]).preflightAnswer(
      to: Self.preflight(method: "DELETE"), origins: .any)
    #expect(answer.values("Access-Control-Allow-Methods") == ["GET"])
  }

  @Test("a time that makes no sense is none")
  func ages() {
    for (age, text) in [(Duration.seconds(-5), "0"), (.zero, "0"), (.milliseconds(999), "0")] {
      let answer = CORSRules(maxAge: age).preflightAnswer(to: Self.preflight(), origins: .any)
      #expect(answer.first("Access-Control-Max-Age") == text)
    }
  }

  @Test("which fields of a server are the edge's to write")
  func owned() {
    var fields = Fields()
    let names = [
      ("Access-Control-Allow-Origin", true), ("access-control-max-age", true),
      ("ACCESS-CONTROL-X", true), ("Access-Control", false), ("X-Access-Control-Max-Age", false),
      ("Vary", false), ("A", false),
    ]
    for (name, _) in names { fields.append(name: name, value: "x") }
    #expect(fields.map(CORSRules.owns) == names.map(\.1))
  }
}
