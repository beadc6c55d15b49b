import Admission
import HTTP
import Net
import Testing

@Suite("Cutting credentials out")
struct CredentialCuttingTests {
  static let rules = CredentialRules(
    jwt: tokenRule(.authorization, .subprotocol, .cookie("session"), .query("access_token")),
    apiKeys: APIKeyRule(header: "X-API-Key", keys: ["k"]))

  @Test(
    "targets",
    arguments: [
      ("/chat", "/chat"),
      ("/chat?", "/chat?"),
      ("/chat?a=1", "/chat?a=1"),
      ("/chat?access_token=tok", "/chat"),
      ("/chat?access_token", "/chat"),
      ("/chat?access_token=", "/chat"),
      ("/chat?access_token=tok&a=1", "/chat?a=1"),
      ("/chat?a=1&access_token=tok", "/chat?a=1"),
      ("/chat?a=1&access_token=tok&b=%20&c", "/chat?a=1&b=%20&c"),
      ("/chat?access_token=x&a=1&access_token=y", "/chat?a=1"),
      ("/chat?access%5Ftoken=tok&a=%zz", "/chat?a=%zz"),
      ("/chat?a=1&&access_token=tok&", "/chat?a=1&&"),
      ("/chat?b?access_token=x", "/chat?b?access_token=x"),
      ("/access_token=x?y", "/access_token=x?y"),
    ])
  func targets(target: String, expected: String) {
    #expect(withoutCredentials(request(target), rules: Self.rules).target == expected)
  }

  @Test(
    "field lines",
    arguments: [
      (["Authorization: Bearer tok"], []),
      (["authorization: bearer tok"], []),
      (["Authorization: Bearer"], []),
      (["Authorization: Basic dTpw"], ["Authorization: Basic dTpw"]),
      (["X-API-Key: k", "x-api-key: other", "X-Api: k"], ["X-Api: k"]),
      (["Cookie: session=tok"], []),
      (["Cookie: session=tok; a=1"], ["Cookie: a=1"]),
      (["Cookie: a=1; session=tok"], ["Cookie: a=1"]),
      (["cookie: a=1;  session=tok;b=2"], ["cookie: a=1;b=2"]),
      (["Cookie: a=1; session=x; b=2; session=y"], ["Cookie: a=1; b=2"]),
      (["Cookie: a=1", "Cookie: session=tok", "Cookie: b"], ["Cookie: a=1", "Cookie: b"]),
      (["Cookie: a=session=tok;  b"], ["Cookie: a=session=tok;  b"]),
      (["Cookie: session; a=1"], ["Cookie: a=1"]),
      (["Cookie: Session=1"], ["Cookie: Session=1"]),
      (["Sec-WebSocket-Protocol: bearer, tok, chat"], ["Sec-WebSocket-Protocol: chat"]),
      (["Sec-WebSocket-Protocol: chat, bearer, tok"], ["Sec-WebSocket-Protocol: chat"]),
      (["Sec-WebSocket-Protocol: a,bearer,tok,  b"], ["Sec-WebSocket-Protocol: a,  b"]),
      (["Sec-WebSocket-Protocol: bearer, tok"], []),
      (["Sec-WebSocket-Protocol: bearer, , tok, chat"], ["Sec-WebSocket-Protocol: , chat"]),
      (["Sec-WebSocket-Protocol: Bearer, tok, v1"], ["Sec-WebSocket-Protocol: v1"]),
      (
        ["Sec-WebSocket-Protocol: bearer", "Sec-WebSocket-Protocol: tok, chat"],
        ["Sec-WebSocket-Protocol: chat"]
      ),
      (["Sec-WebSocket-Protocol: chat, bearer"], ["Sec-WebSocket-Protocol: chat"]),
      (["Sec-WebSocket-Protocol: a , b"], ["Sec-WebSocket-Protocol: a , b"]),
      (["X-Other: bearer, tok", "B: session=tok"], ["X-Other: bearer, tok", "B: session=tok"]),
    ])
  func fields(sent: [String], expected: [String]) {
    let head = request("/", sent.map(Self.field))
    #expect(lines(withoutCredentials(head, rules: Self.rules)) == expected)
  }

  @Test("what the rules do not name stays")
  func others() {
    let sent = [
      ("Authorization", "Bearer tok"), ("Cookie", "session=tok"), ("X-API-Key", "k"),
      ("Sec-WebSocket-Protocol", "bearer, tok"),
    ]
    let head = request("/?access_token=tok", sent)
    let rules = CredentialRules(jwt: tokenRule(.cookie("other")))
    #expect(withoutCredentials(head, rules: rules) == head)
    #expect(withoutCredentials(head, rules: CredentialRules()) == head)
  }

  /// `\xNN` in a line of the table is one octet.
  @Test(
    "octets that are not text stay as they are, also in lines that something is cut out of",
    arguments: [
      (["Cookie: a=\\xFF\\xFE", "X-Odd: \\x80"], ["Cookie: a=\\xFF\\xFE", "X-Odd: \\x80"]),
      (["Cookie: a=\\xFF; session=tok; b=\\xC3"], ["Cookie: a=\\xFF; b=\\xC3"]),
      (["cookie: session=\\xFF\\x80; \\xE2=1"], ["cookie: \\xE2=1"]),
      (["Cookie: \\xF0session=1; session=\\xF0"], ["Cookie: \\xF0session=1"]),
      (["Cookie: a=\\xE2; session=x;\\xE2\\x82"], ["Cookie: a=\\xE2;\\xE2\\x82"]),
      (["Cookie: a=\\xEF\\xBF\\xBD; session=x"], ["Cookie: a=\\xEF\\xBF\\xBD"]),
      (["Cookie: \\xFF", "Cookie: session=\\xFF"], ["Cookie: \\xFF"]),
      (
        ["Sec-WebSocket-Protocol: \\xFF, bearer, tok,  b\\x80"],
        ["Sec-WebSocket-Protocol: \\xFF,  b\\x80"]
      ),
      (
        ["Sec-WebSocket-Protocol: bearer,\\xFF", "Sec-WebSocket-Protocol: \\xC3"],
        ["Sec-WebSocket-Protocol: \\xC3"]
      ),
      (
        ["Authorization: Basic \\xFF", "Authorization: Bearer \\xFF"],
        ["Authorization: Basic \\xFF"]
      ),
    ])
  func octets(sent: [String], expected: [String]) throws {
    let head = try Self.read(sent)
    #expect(withoutCredentials(head, rules: Self.rules) == (try Self.read(expected)))
  }

  @Test(
    "whatever stands around it, the token goes and the rest stays",
    arguments: 0..<200 as Range<UInt64>)
  func property(seed: UInt64) {
    var generator = SplitMix(seed: seed)
    func shuffled(_ extra: [String], _ credential: String) -> [String] {
      let kept = extra.filter { _ in Bool.random(using: &generator) }
      return (kept + [credential]).shuffled(using: &generator)
    }
    let cookies = shuffled(["a=1", "b=two", "sess=3"], "session=SECRET")
    let query = shuffled(["a=1", "b=%20", "token2=x"], "access_token=SECRET")
    let members = shuffled(["chat", "v2"], "bearer, SECRET")
    let head = request(
      "/x?" + query.joined(separator: "&"),
      [
        ("Cookie", cookies.joined(separator: "; ")),
        ("Sec-WebSocket-Protocol", members.joined(separator: ", ")),
        ("Authorization", "Bearer SECRET"), ("X-API-Key", "SECRET"),
      ])
    let cut = withoutCredentials(head, rules: Self.rules)
    func rest(_ all: [String], _ separator: String) -> String? {
      let kept = all.filter { !$0.contains("SECRET") }
      return kept.isEmpty ? nil : kept.joined(separator: separator)
    }
    #expect(cut.query == rest(query, "&"))
    #expect(cut.fields.first("Cookie") == rest(cookies, "; "))
    #expect(cut.fields.first("Sec-WebSocket-Protocol") == rest(members, ", "))
    #expect(!"\(cut.target) \(lines(cut))".contains("SECRET"))
    #expect(!loggedTarget(head.target, rules: Self.rules).contains("SECRET"))
  }

  /// The head that a client sends with these lines.
  private static func read(_ lines: [String]) throws -> RequestHead {
    var octets = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)
    for line in lines {
      let pieces = line.split(separator: "\\x", omittingEmptySubsequences: false)
      octets += Array(pieces[0].utf8)
      for piece in pieces.dropFirst() {
        octets.append(try #require(UInt8(piece.prefix(2), radix: 16)))
        octets += Array(piece.dropFirst(2).utf8)
      }
      octets += Array("\r\n".utf8)
    }
    octets += Array("\r\n".utf8)
    var reader = RequestReader(headByteCountMax: 4096, targetByteCountMax: 1024)
    guard case .head(let head, _) = try reader.receive(octets.span) else {
      throw HeadError.malformedTarget
    }
    return head
  }

  private static func field(_ line: String) -> (String, String) {
    let parts = line.split(separator: ":", maxSplits: 1)
    return (String(parts[0]), String(parts[1].dropFirst()))
  }
}

@Suite("Targets in logs")
struct LoggedTargetTests {
  @Test(
    "values of tokens are not shown",
    arguments: [
      ("/chat", "/chat"),
      ("/chat?a=1&b", "/chat?a=1&b"),
      ("/chat?access_token=x", "/chat?access_token=[redacted]"),
      ("/chat?a=1&token=x&b=2", "/chat?a=1&token=[redacted]&b=2"),
      ("/chat?jwt=x&api_key=y", "/chat?jwt=[redacted]&api_key=[redacted]"),
      ("/chat?Access_Token=x", "/chat?Access_Token=[redacted]"),
      ("/chat?access%5ftoken=x", "/chat?access%5ftoken=[redacted]"),
      ("/chat?token=", "/chat?token="),
      ("/chat?token=a=b", "/chat?token=[redacted]"),
      ("/chat?tokens=x", "/chat?tokens=x"),
      ("/token=x", "/token=x"),
      ("/chat?%zz=1&token=x", "/chat?%zz=1&token=[redacted]"),
      ("/chat?ticket=x", "/chat?ticket=x"),
      ("/chat?token=\u{301}x&\u{301}b", "/chat?token=[redacted]&\u{301}b"),
    ])
  func withoutRules(target: String, logged: String) {
    #expect(loggedTarget(target, rules: nil) == logged)
  }

  @Test("a name of the rules counts too")
  func withRules() {
    let rules = CredentialRules(jwt: tokenRule(.query("ticket"), .authorization))
    let logged = loggedTarget("/c?ticket=x&token=y&a=1", rules: rules)
    #expect(logged == "/c?ticket=[redacted]&token=[redacted]&a=1")
  }
}
