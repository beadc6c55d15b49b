import Admission
import HTTP
import Testing

@Suite("sent to come again over TLS")
struct HTTPSRedirectTests {
  private static func head(
    _ method: String, _ target: String, host: String?
  ) -> RequestHead {
    var fields = Fields()
    if let host { fields.append(name: "Host", value: host) }
    return RequestHead(method: method, target: target, fields: fields)
  }

  @Test(
    "where to",
    arguments: [
      ("example.com", "/", 443, "https://example.com/"),
      ("example.com:8080", "/a/b?c=d&e", 443, "https://example.com/a/b?c=d&e"),
      ("EXAMPLE.com.", "/%20", 8443, "https://example.com:8443/%20"),
      ("[2001:db8::1]:80", "/x", 443, "https://[2001:db8::1]/x"),
      ("[::1]", "/", 444, "https://[::1]:444/"),
      ("192.0.2.1", "//evil.example/", 443, "https://192.0.2.1//evil.example/"),
      ("example.com", "*", 443, "https://example.com/"),
    ] as [(String, String, UInt16, String)])
  func locations(host: String, target: String, port: UInt16, expected: String) throws {
    let head = try #require(
      redirectToHTTPS(head: Self.head("GET", target, host: host), port: port))
    #expect(head.fields.values("Location") == [expected])
    #expect(head.fields.values("Content-Length") == ["0"])
  }

  @Test(
    "a method that sends something is kept",
    arguments: [
      ("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308), ("OPTIONS", 308), ("get", 308),
    ])
  func statuses(method: String, expected: Int) throws {
    let head = try #require(
      redirectToHTTPS(head: Self.head(method, "/", host: "example.com"), port: 443))
    #expect(head.status == expected)
    #expect(!head.reason.isEmpty)
  }

  @Test(
    "without a host there is no place to come back to", arguments: [nil, "", "a b", "u@h", "[x]"])
  func noHost(host: String?) {
    #expect(redirectToHTTPS(head: Self.head("GET", "/", host: host), port: 443) == nil)
  }
}
