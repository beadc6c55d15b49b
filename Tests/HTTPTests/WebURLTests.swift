import HTTP
import Testing

@Suite("URLs of what is fetched")
struct WebURLTests {
  @Test(
    "what is one",
    arguments: [
      ("https://id.example.com", WebURL.Scheme.https), ("HTTPS://id.example.com/keys", .https),
      ("http://127.0.0.1:7000/authorize?realm=a", .http), ("http://[::1]:80/", .http),
      ("https://example.com:65535?x", .https), ("http://auth_service/", .http),
    ])
  func good(text: String, scheme: WebURL.Scheme) throws {
    let url = try WebURL(parsing: text)
    #expect(url.scheme == scheme)
    #expect(url.text == text)
  }

  @Test(
    "what is none, and why",
    arguments: [
      ("", "no URL of the schemes"), ("example.com/keys", "no URL of the schemes"),
      ("//example.com", "no URL of the schemes"), ("ftp://example.com", "no URL of the schemes"),
      ("ws://example.com", "no URL of the schemes"), ("https:/x", "no URL of the schemes"),
      ("file:///etc/passwd", "no URL of the schemes"), ("https://", "no valid host"),
      ("https:///keys", "no valid host"), ("https://a b/", "without spaces"),
      ("https://a/\u{e4}", "without spaces"), ("https://a/\r\nX: y", "without spaces"),
      ("https://a/" + String(repeating: "x", count: 2048), "at most 2048 octets"),
      ("https://a:0/", "no valid host or port"), ("https://a:65536/", "no valid host or port"),
      ("https://a:x/", "no valid host or port"), ("https://a..b/", "no valid host"),
      ("https://::1/", "no valid host"), ("https://a/#top", "has a fragment"),
    ])
  func bad(text: String, reason: String) {
    let error = #expect(throws: WebURLError.self) { try WebURL(parsing: text) }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test("credentials are refused, and not quoted", arguments: ["user:pa55@", "pa55@", "@"])
  func credentials(prefix: String) {
    let error = #expect(throws: WebURLError.self) {
      try WebURL(parsing: "https://\(prefix)example.com/")
    }
    #expect(error?.message.contains("credentials") == true)
    #expect(error?.message.contains("pa55") == false)
  }

  @Test("an @ behind the host is no credential")
  func atBehindTheHost() throws {
    #expect(try WebURL(parsing: "https://a/@b?c@d").text == "https://a/@b?c@d")
  }

  @Test(
    "a redirect never leads out of TLS",
    arguments: [
      ("http", "http", true), ("http", "https", true), ("https", "https", true),
      ("https", "http", false),
    ])
  func redirects(from: String, to: String, isAllowed: Bool) throws {
    let (from, to) = (try WebURL(parsing: "\(from)://a"), try WebURL(parsing: "\(to)://a"))
    #expect(from.mayRedirect(to: to) == isAllowed)
  }

  @Test("records show no query")
  func description() throws {
    #expect(try WebURL(parsing: "https://a/b?key=secret").description == "https://a/b")
    #expect(try WebURL(parsing: "https://a/b").description == "https://a/b")
  }
}
