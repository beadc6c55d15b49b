import Admission
import Testing

@Suite("Claims")
struct ClaimsTests {
  static let claims = Claims(
    subject: "ann",
    values: [
      "text": .text("x"), "empty": .text(""), "whole": .integer(-7), "part": .number(1.5),
      "yes": .flag(true), "list": .list([]), "none": .null,
      "user": .object(["name": .text("Ann"), "deep": .object(["er": .integer(1)])]),
      "https://example.com/role": .text("admin"), "a.b": .object(["c": .text("dotted")]),
    ])

  @Test(
    "the text of a claim",
    arguments: [
      ("sub", "ann"), ("text", "x"), ("empty", ""), ("whole", "-7"), ("part", "1.5"),
      ("yes", "true"),
      ("list", nil), ("none", nil), ("user", nil), ("missing", nil), ("", nil), (".", nil),
      ("user.name", "Ann"), ("user.deep.er", "1"), ("user.deep", nil), ("user.", nil),
      ("user.missing", nil), ("text.x", nil), ("https://example.com/role", "admin"),
      ("a.b.c", "dotted"), ("a.b", nil),
    ] as [(String, String?)])
  func text(claim: String, text: String?) {
    #expect(Self.claims.text(claim) == text)
  }
}

@Suite("API keys")
struct APIKeyTests {
  @Test(
    "only whole keys are admitted",
    arguments: [
      ("key-one", true), ("key-two", true), ("key-on", false), ("key-onee", false),
      ("KEY-ONE", false),
      ("", false), ("key-one ", false),
    ])
  func admits(key: String, isAdmitted: Bool) {
    let rule = APIKeyRule(header: "X-API-Key", keys: ["key-one", "", "key-two"])
    #expect(rule.admits(key) == isAdmitted)
  }

  @Test("no key, and no digest, shows when the rule is printed or dumped")
  func silence() {
    let rules = CredentialRules(apiKeys: APIKeyRule(header: "X-API-Key", keys: ["hunter2"]))
    var dumped = ""
    dump(rules, to: &dumped)
    for text in ["\(rules)", String(reflecting: rules), dumped] {
      #expect(!text.contains("hunter2"))
      // The first octets of its SHA-256, in hexadecimal and in decimal.
      #expect(!text.contains("f52fbd32"))
      #expect(!text.contains("245"))
    }
  }
}
