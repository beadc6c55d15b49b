import HTTP
import Testing

/// Ordinary requests on their way to a server.
@Suite struct ForwardedRequestTests {
  private static func forwarding(_ change: (inout Forwarding) -> Void = { _ in }) -> Forwarding {
    var forwarding = Forwarding(clientAddress: "192.0.2.7", scheme: "https", requestID: "id-1")
    forwarding.removeFields = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]
    forwarding.removeFields += ["Forwarded", "X-Request-Id"]
    change(&forwarding)
    return forwarding
  }

  private static func client(
    _ line: String = "GET / HTTP/1.1", _ fields: String...
  ) throws -> RequestHead {
    let text = ([line, "Host: A.b"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    return try #require(readRequest(text).head)
  }

  @Test("the whole of an ordinary request")
  func whole() throws {
    let client = try Self.client(
      "POST /chat/x?y HTTP/1.0", "user-AGENT: z", "Connection: keep-alive, X-Hop", "X-Hop: 1",
      "Keep-Alive: 5", "Upgrade: h2c", "HTTP2-Settings: x", "Proxy-Authorization: x",
      "Content-Length: 005", "Expect: 100-continue", "Accept: */*", "TE: trailers")
    let forwarding = Self.forwarding {
      $0.removeFields = []
      $0.stripPrefix = "/chat"
      $0.identityFields = [("X-User", "alice")]
    }
    let head = forwarding.request(from: client, framing: .length(5))
    #expect(
      String(decoding: head.serialized(), as: UTF8.self) == """
        POST /x?y HTTP/1.1\r
        Host: A.b\r
        user-AGENT: z\r
        Expect: 100-continue\r
        Accept: */*\r
        X-Forwarded-For: 192.0.2.7\r
        X-Forwarded-Proto: https\r
        X-Forwarded-Host: A.b\r
        Forwarded: for=192.0.2.7;proto=https;host=A.b\r
        X-Request-Id: id-1\r
        X-User: alice\r
        Content-Length: 5\r
        \r

        """)
  }

  private static let framings: [(String, String, BodyFraming, [String])] = [
    ("GET", "X: y", .none, []), ("POST", "X: y", .none, []),
    ("POST", "Content-Length: 0", .none, ["Content-Length: 0"]),
    ("POST", "Content-Length: 000", .length(0), ["Content-Length: 0"]),
    ("PATCH", "Content-Length: 0", .length(0), ["Content-Length: 0"]),
    ("GET", "Content-Length: 0", .none, []), ("HEAD", "Content-Length: 0", .length(0), []),
    ("DELETE", "Content-Length: 0", .none, []), ("OPTIONS", "Content-Length: 0", .none, []),
    ("TRACE", "Content-Length: 0", .none, []), ("POST", "X: y", .length(0), []),
    ("GET", "Content-Length: 7", .length(7), ["Content-Length: 7"]),
    ("PUT", "Content-Length: 7\r\nContent-Length: 7", .length(7), ["Content-Length: 7"]),
    ("PUT", "X: y", .length(.max), ["Content-Length: \(Int.max)"]),
    ("POST", "Transfer-Encoding: Chunked", .chunked, ["Transfer-Encoding: chunked"]),
    ("POST", "X: y", .chunked, ["Transfer-Encoding: chunked"]),
    ("POST", "Content-Length: 7", .chunked, ["Transfer-Encoding: chunked"]),
    ("POST", "X: y", .untilClose, ["Transfer-Encoding: chunked"]),
    (
      "POST", "Transfer-Encoding: chunked\r\nTrailer: X-Sum", .chunked,
      ["Trailer: X-Sum", "Transfer-Encoding: chunked"]
    ),
    ("POST", "Content-Length: 1\r\nTrailer: X-Sum", .length(1), ["Content-Length: 1"]),
    ("GET", "TE: trailers", .none, ["TE: trailers", "Connection: TE"]),
    ("GET", "Connection: TE\r\nTE: gzip, Trailers", .none, ["TE: trailers", "Connection: TE"]),
    ("GET", "TE: gzip", .none, []), ("GET", "TE: trailers;q=0", .none, []),
    ("GET", "Upgrade: websocket\r\nConnection: Upgrade", .none, []),
  ]

  @Test("what frames the body, and what is said of the connection", arguments: framings)
  func framing(method: String, sent: String, framing: BodyFraming, expected: [String]) throws {
    let client = try Self.client("\(method) / HTTP/1.1", sent)
    let head = Self.forwarding().request(from: client, framing: framing)
    #expect(head.method == method)
    #expect(lines(head.fields).filter { $0 != "X: y" } == ["Host: A.b"] + expected)
    // What is made here is what the strict reader takes, and it says the same.
    #expect(readRequest([head.serialized()]).head == head)
    if expected.contains(where: { $0.hasPrefix("Content") || $0.hasPrefix("Transfer") }) {
      let isOpen = framing == .untilClose || framing == .chunked
      let written: BodyFraming = isOpen ? .chunked : framing == .none ? .length(0) : framing
      #expect(try BodyReader(request: head).framing == written)
    } else {
      #expect(try BodyReader(request: head).framing == .none)
    }
  }

  @Test("a route cannot frame the body, and an old client gets no trailers")
  func reserved() throws {
    let forwarding = Self.forwarding {
      $0.setFields = [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("TE", "gzip")]
    }
    let head = forwarding.request(from: try Self.client(), framing: .none)
    #expect(lines(head.fields) == ["Host: A.b"])
    let old = forwarding.request(
      from: try Self.client("GET / HTTP/1.0", "TE: trailers"), framing: .none)
    #expect(lines(old.fields) == ["Host: A.b"])
  }

  @Test("a request of HTTP/2 goes on in HTTP/1.1")
  func http2() throws {
    let client = try block([
      ":method: POST", ":scheme: https", ":path: /x", ":authority: a", "te: trailers",
      "cookie: a", "cookie: b", "content-length: 3",
    ]).request()
    let head = Self.forwarding().request(from: client, framing: .length(3))
    #expect(
      String(decoding: head.serialized(), as: UTF8.self)
        == "POST /x HTTP/1.1\r\nHost: a\r\ncookie: a; b\r\nContent-Length: 3\r\n"
        + "TE: trailers\r\nConnection: TE\r\n\r\n")
  }

  @Test("a body in HTTP/2 goes on with its length where one is told, in chunks otherwise")
  func http2Framing() throws {
    let lines = [":method: POST", ":scheme: https", ":path: /", ":authority: a"]
    let open = try block(lines).request()
    let known = try block(lines + ["content-length: 3"]).request()
    #expect(try open.bodyFraming(hasContent: true) == .chunked)
    #expect(try open.bodyFraming(hasContent: false) == .none)
    #expect(try known.bodyFraming(hasContent: true) == .length(3))
    let chunked = try Self.client("POST / HTTP/1.1", "Transfer-Encoding: chunked")
    #expect(try chunked.bodyFraming(hasContent: false) == .chunked)
  }

  @Test("an extended CONNECT becomes a GET with a key of the edge's own")
  func extendedConnect() throws {
    let client = try block([
      ":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /chat",
      ":authority: a", "sec-websocket-version: 13", "sec-websocket-key: client's",
      "sec-websocket-protocol: x", "origin: https://a",
    ]).request()
    let head = Self.forwarding().upgradeRequest(from: client, key: "dGhlIHNhbXBsZSBub25jZQ==")
    #expect(
      String(decoding: head.serialized(), as: UTF8.self) == """
        GET /chat HTTP/1.1\r
        Host: a\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Protocol: x\r
        origin: https://a\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        \r

        """)
    #expect(head.connectProtocol == nil)
    // A service that judges the request is asked about the same.
    let question = lines(Self.forwarding().question(about: client))
    #expect(question.contains("X-Forwarded-Method: GET"))
  }

  @Test("trailers under names that the edge answers for end here")
  func trailers() {
    var sent = Fields()
    for name in [
      "X-Sum", "x_user", "X-Team", "X-Request-Id", "X-Forwarded-User", "X-Real-IP", "x_role",
      "X-Debug",
    ] {
      sent.append(name: name, value: "1")
    }
    let forwarding = Self.forwarding {
      $0.identityFields = [("X-User", "alice")]
      $0.identityFieldNames = ["x-team"]
      $0.setFields = [("X-Role", "user")]
      $0.removeFields = ["x-debug"]
    }
    #expect(lines(forwarding.trailers(from: sent)) == ["X-Sum: 1"])
  }

  @Test(
    "whether the connection may carry another request",
    arguments: [
      ("HTTP/1.1", "X: y", true), ("HTTP/1.1", "Connection: keep-alive", true),
      ("HTTP/1.1", "Connection: close", false), ("HTTP/1.1", "Connection: x, CLOSE", false),
      ("HTTP/1.1", "Connection: closed", true), ("HTTP/1.1", "X: a\r\nConnection: close", false),
      ("HTTP/1.0", "X: y", false), ("HTTP/1.0", "Connection: keep-alive", false),
    ])
  func keepsConnection(version: String, field: String, expected: Bool) throws {
    #expect(try Self.client("GET / \(version)", field).keepsConnection == expected)
    let response = readResponse([Array("\(version) 200 OK\r\n\(field)\r\n\r\n".utf8)]).head
    #expect(try #require(response).keepsConnection == expected)
  }
}
