import Admission
import HTTP
import Net
import Testing

@Suite("Host patterns")
struct HostPatternTests {
  @Test(
    "matches and nothing else",
    arguments: [
      ("chat.example.com", "chat.example.com", true),
      ("Chat.Example.COM", "chat.example.com", true),
      ("chat.example.com", "chat.example.com.", true),
      ("chat.example.com", "chat.example.com..", false),
      ("chat.example.com", "xchat.example.com", false),
      ("chat.example.com", "a.chat.example.com", false),
      ("chat.example.com", "chat.example.com.evil.test", false),
      ("*.example.com", "a.example.com", true),
      ("*.example.com", "b.a.example.com", true),
      ("*.example.com", "example.com", false),
      ("*.example.com", "badexample.com", false),
      ("*.example.com", ".example.com", false),
      ("*.example.com", "a..example.com", false),
      ("*.example.com", "example.com.evil.test", false),
      ("*.example.com", "*.example.com", false),
      ("localhost", "localhost", true),
      ("my_host", "my_host", true),
      ("127.0.0.1", "127.0.0.1", true),
      ("127.0.0.1", "127.0.0.2", false),
      ("[::1]", "[::1]", true),
      ("[::1]", "[0:0:0:0:0:0:0:1]", true),
      ("[2001:DB8::1]", "[2001:db8::1]", true),
      ("[::1]", "[::2]", false),
      ("localhost", "", false),
      // The Kelvin sign, which Unicode lowercases to "k".
      ("kiosk.test", "\u{212A}iosk.test", false),
    ])
  func matches(text: String, host: String, isMatch: Bool) throws {
    let pattern = try HostPattern(parsing: text)
    #expect(pattern.matches(host) == isMatch)
  }

  @Test(
    "what is no pattern says why",
    arguments: [
      ("", "missing"), ("*", "whole labels"), ("*.", "missing"),
      ("*.*.example.com", "whole labels"),
      ("a.*.example.com", "whole labels"), ("exa*mple.com", "whole labels"),
      ("example.com:443", "port"), ("::1", "brackets"), ("[::1]:80", "neither"),
      ("*.127.0.0.1", "address"), ("b\u{FC}cher.example", "xn--"), ("https://example.com", "port"),
      ("example.com/", "neither"), ("a..b", "neither"), (".example.com", "neither"),
      ("example.com.", "neither"), ("1.2.3", "neither"), ("ex ample.com", "neither"),
      (String(repeating: "a", count: 64) + ".com", "neither"),
    ])
  func refuses(text: String, part: String) {
    let error = #expect(throws: PatternError.self) { try HostPattern(parsing: text) }
    #expect(error?.message.hasPrefix("\"\(text)\" is not a host pattern: ") == true)
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  @Test(
    "the description is the pattern", arguments: ["*.example.com", "a.test", "[::1]", "10.0.0.1"])
  func description(text: String) throws {
    #expect(try HostPattern(parsing: text).description == text)
  }
}

@Suite("Path patterns")
struct PathPatternTests {
  @Test(
    "matches and nothing else",
    arguments: [
      ("/chat", "/chat", true),
      ("/chat", "/chat/", false),
      ("/chat", "/chats", false),
      ("/chat", "/Chat", false),
      ("/chat/", "/chat/", true),
      ("/chat/", "/chat/room", true),
      ("/chat/", "/chat/a/b", true),
      ("/chat/", "/chat", false),
      ("/chat/", "/chatter", false),
      ("/chat/", "/x/chat/", false),
      ("/", "/", true),
      ("/", "/anything", true),
      ("/", "", false),
      ("/", "*", false),
      // Spellings of the same path.
      ("/admin/", "/%61dmin/x", true),
      ("/admin/", "/%61%64%6D%69%6e/x", true),
      ("/admin/", "//admin/x", true),
      ("/admin/", "/admin//x", true),
      ("/a@b/", "/a%40b/", true),
      ("/caf\u{E9}/", "/caf%C3%A9/x", true),
      ("/caf%c3%a9/", "/caf%C3%A9/x", true),
      ("/rooms/", "/rooms/%7Ejohn", true),
      ("/rooms/", "/rooms/a%20b", true),
      ("/rooms/", "/rooms/...", true),
      ("/rooms/", "/rooms/.well-known", true),
      ("/rooms/", "/rooms/a.b..c", true),
      ("/rooms/", "/rooms/a;v=1", true),
    ])
  func matches(text: String, path: String, isMatch: Bool) throws {
    let pattern = try PathPattern(parsing: text)
    #expect(pattern.matches(path) == isMatch)
  }

  @Test(
    "a path on which readers disagree matches nothing",
    arguments: [
      "/chat/..", "/chat/../admin", "/chat/./x", "/..", "/.", "/chat/%2e%2e/admin",
      "/chat/%2E%2e/admin", "/chat/.%2e/x", "/chat/%2e/x", "/chat/..;x/admin", "/chat/.;/x",
      "/chat/..%3bx/admin", "/chat/..%2fadmin", "/chat%2froom", "/chat/a%2Fb", "/chat/a%5cb",
      "/chat/a\\b", "/chat/..\\x", "/chat/%00", "/chat/%0a", "/chat/%7f", "/chat/%", "/chat/%4",
      "/chat/%zz", "/chat/%+1", "chat/", "/chat/x/..",
    ])
  func ambiguous(path: String) throws {
    #expect(try !PathPattern(parsing: "/").matches(path))
    #expect(try !PathPattern(parsing: "/chat/").matches(path))
  }

  /// A path of spellings of `/chat/rooms/`, now and then of something else.
  private static func spelling(by chance: inout SplitMix) -> String {
    let odd = ["a", "%2F", "..", "%2e", ";x", "%zz", "%00", "\\", ""]
    let segments = [
      ["chat", "%63hat", "ch%61%74"], ["rooms", "r%6F%6fms"], ["", "x", "%7E", "/"],
    ]
    return segments.map { spellings in
      let slashes = ["/", "/", "/", "//"].randomElement(using: &chance) ?? ""
      let segment = spellings.randomElement(using: &chance) ?? ""
      let isOdd = Int.random(in: 0..<5, using: &chance) == 0
      return slashes + segment + (isOdd ? odd.randomElement(using: &chance) ?? "" : "")
    }.joined()
  }

  @Test("what a prefix matches can be stripped of it, and nothing else can")
  func stripping() throws {
    let pattern = try PathPattern(parsing: "/chat/rooms/")
    let forwarding = Forwarding(
      clientAddress: "192.0.2.7", scheme: "http", requestID: "1", stripPrefix: "/chat/rooms",
      setPrefix: "/set")
    var chance = SplitMix(seed: 1)
    var matchCount = 0
    for _ in 0..<2000 {
      let path = Self.spelling(by: &chance)
      let stripped = forwarding.upgradeRequest(from: request(path)).path
      guard pattern.matches(path) else {
        #expect(stripped == "/set" + path)
        continue
      }
      matchCount += 1
      // What is left stands below the same place as before, and so means the same.
      let rest = stripped.dropFirst("/set".count)
      #expect(rest.hasPrefix("/") && !rest.hasPrefix("//"), "\(path)")
      #expect(ComparablePath("/chat/rooms" + rest)?.octets == ComparablePath(path)?.octets)
    }
    #expect(matchCount > 500 && matchCount < 1500)
  }

  @Test("the last slash decides between a prefix and one path")
  func kinds() throws {
    #expect(try PathPattern(parsing: "/chat/") == .prefix("/chat/"))
    #expect(try PathPattern(parsing: "/chat") == .exact("/chat"))
    #expect(try PathPattern(parsing: "/") == .prefix("/"))
  }

  @Test(
    "what is no pattern is refused",
    arguments: [
      "", "chat", "chat/", "/a*", "/a?b", "/a#b", "/a b", "/a/../b", "/./a", "/a%2fb", "/a\\b",
      "/%",
      "/a//b", "/%ff", "https://example.com/",
    ])
  func refuses(text: String) {
    let error = #expect(throws: PatternError.self) { try PathPattern(parsing: text) }
    #expect(error?.message.hasPrefix("\"\(text)\" is not a path pattern: ") == true)
  }

  @Test("a route asks for one of its hosts, or for none if it lists none, and for the path")
  func routes() throws {
    let path = try PathPattern(parsing: "/chat/")
    let anywhere = RouteMatch(hosts: [], path: path)
    #expect(anywhere.matches(host: "a.test", path: "/chat/"))
    #expect(anywhere.matches(host: "", path: "/chat/"))
    #expect(!anywhere.matches(host: "a.test", path: "/x"))
    let somewhere = RouteMatch(
      hosts: [try HostPattern(parsing: "a.test"), try HostPattern(parsing: "*.b.test")], path: path)
    #expect(somewhere.matches(host: "a.test", path: "/chat/"))
    #expect(somewhere.matches(host: "x.b.test", path: "/chat/"))
    #expect(!somewhere.matches(host: "b.test", path: "/chat/"))
    #expect(!somewhere.matches(host: "a.test", path: "/"))
  }
}

@Suite("Origin patterns")
struct OriginPatternTests {
  @Test(
    "matches and nothing else",
    arguments: [
      ("https://example.com", "https://example.com", true),
      ("https://example.com", "HTTPS://EXAMPLE.COM", true),
      ("https://Example.com:443", "https://example.com", true),
      ("https://example.com", "https://example.com:443", true),
      ("http://example.com", "http://example.com:80", true),
      ("https://example.com", "https://example.com:8443", false),
      ("https://example.com:8443", "https://example.com:8443", true),
      ("https://example.com:8443", "https://example.com", false),
      ("https://example.com", "http://example.com", false),
      ("https://example.com", "http://example.com:443", false),
      ("https://example.com", "https://example.com.evil.test", false),
      ("https://example.com", "https://evil-example.com", false),
      ("https://example.com", "https://example.com@evil.test", false),
      ("https://example.com", "https://evil.test/https://example.com", false),
      ("https://example.com", "https://evil.test?https://example.com", false),
      ("https://example.com", "https://evil.test#https://example.com", false),
      ("https://example.com", "https://example.com/", false),
      ("https://example.com", "https://example.com https://evil.test", false),
      ("https://example.com", "https://example.com, https://evil.test", false),
      ("https://example.com", "https://example.com:", false),
      ("https://example.com", "https://example.com:0443", true),
      ("https://example.com", "https://example.com:+443", false),
      ("https://example.com", "https://example.com:443:443", false),
      ("https://example.com", "https://", false),
      ("https://example.com", "https:example.com", false),
      ("https://example.com", "example.com", false),
      ("https://example.com", "", false),
      ("https://example.com", "null", false),
      ("https://*.example.com", "https://a.example.com", true),
      ("https://*.example.com", "https://b.a.example.com", true),
      ("https://*.example.com", "https://a.example.com:443", true),
      ("https://*.example.com", "https://example.com", false),
      ("https://*.example.com", "https://badexample.com", false),
      ("https://*.example.com", "https://.example.com", false),
      ("https://*.example.com", "https://a.example.com.evil.test", false),
      ("https://*.example.com", "https://*.example.com", false),
      ("https://*.example.com:8443", "https://a.example.com:8443", true),
      ("https://*.example.com:8443", "https://a.example.com", false),
      ("null", "null", true),
      ("null", "NULL", false),
      ("null", "https://null", false),
      ("https://null", "null", false),
      ("http://[::1]:3000", "http://[::1]:3000", true),
      ("http://[::1]:3000", "http://[0::1]:3000", true),
      ("http://[::1]", "http://[::1]:80", true),
      ("http://127.0.0.1:3000", "http://127.0.0.1:3000", true),
      ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop", true),
      ("chrome-extension://abcdefghijklmnop", "chrome-extension://ponmlkjihgfedcba", false),
      ("https://kiosk.test", "https://\u{212A}iosk.test", false),
      ("https://kiosk.test", "https://kiosk.test\u{37E}", false),
    ])
  func matches(text: String, origin: String, isMatch: Bool) throws {
    let pattern = try OriginPattern(parsing: text)
    #expect(pattern.matches(origin) == isMatch)
  }

  @Test(
    "what is no origin says why",
    arguments: [
      ("", "scheme"), ("any", "scheme"), ("*", "scheme"), ("example.com", "scheme"),
      ("//example.com", "scheme"), ("https:example.com", "scheme"), ("://x", "scheme"),
      ("ht tp://x", "scheme"), ("https://", "missing"), ("https://example.com/", "path"),
      ("https://example.com/chat", "path"), ("https://u@example.com", "port"),
      ("https://*", "whole labels"), ("https://*.*.x.test", "whole labels"),
      ("https://example.com:*", "port"), ("https://example.com:0", "port"),
      ("https://example.com:65536", "port"), ("https://b\u{FC}cher.example", "xn--"),
      ("Null", "scheme"),
    ])
  func refuses(text: String, part: String) {
    let error = #expect(throws: PatternError.self) { try OriginPattern(parsing: text) }
    #expect(error?.message.hasPrefix("\"\(text)\" is not an origin: ") == true)
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  @Test(
    "the description is the normalised pattern",
    arguments: [
      ("HTTPS://Example.com:443", "https://example.com"), ("null", "null"),
      ("http://*.x.test:8080", "http://*.x.test:8080"), ("app://host", "app://host"),
    ])
  func description(text: String, description: String) throws {
    #expect(try OriginPattern(parsing: text).description == description)
  }
}

@Suite("Token sources")
struct TokenSourceTests {
  @Test(
    "the four kinds",
    arguments: [
      ("authorization", TokenSource.authorization), ("subprotocol", .subprotocol),
      ("cookie:session", .cookie("session")), ("query:access_token", .query("access_token")),
    ])
  func parses(text: String, source: TokenSource) throws {
    #expect(try TokenSource(parsing: text) == source)
    #expect(source.description == text)
  }

  @Test(
    "nothing else",
    arguments: [
      "", "header", "Authorization", "authorization:", "subprotocol:x", "cookie", "cookie:",
      "cookie:a b", "cookie:a=b", "query", "query:", "query:a&b", "query:a=b", "query:a%20", ":",
      ":x",
    ])
  func refuses(text: String) {
    let error = #expect(throws: PatternError.self) { try TokenSource(parsing: text) }
    #expect(error?.message.hasPrefix("\"\(text)\" is not a token source: ") == true)
  }
}
