import HTTP
import Testing

/// What a client sends, how it is forwarded, and what the server gets of it.
struct ForwardingRow: Sendable, CustomTestStringConvertible {
  let name: String
  var sent: [String] = []
  var target = "/chat/room?x=1"
  var change: @Sendable (inout Forwarding) -> Void = { _ in }
  /// Lines that the server gets, and the beginnings of lines that it does not get.
  var has: [String] = []
  var lacks: [String] = []
  var forwardedTarget: String?

  var testDescription: String { self.name }
}

@Suite struct ForwardingTests {
  private static let handshake = [
    "Host: Chat.example.com", "Upgrade: WebSocket", "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
  ]

  private static func forward(_ row: ForwardingRow) throws -> RequestHead {
    var fields = Self.handshake.filter { line in
      // A row may bring its own line of the same name.
      !row.sent.contains { $0.lowercased().hasPrefix(line.lowercased().prefix { $0 != ":" } + ":") }
    }
    fields += row.sent
    let text = "GET \(row.target) HTTP/1.1\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
    let client = try #require(readRequest(text).head)
    var forwarding = Forwarding(clientAddress: "192.0.2.7", scheme: "https", requestID: "id-1")
    row.change(&forwarding)
    return forwarding.upgradeRequest(from: client)
  }

  @Test("the whole of an ordinary request")
  func whole() throws {
    let row = ForwardingRow(name: "", sent: ["Cookie: a=b", "Origin: https://example.com"])
    let head = try Self.forward(row)
    #expect(
      String(decoding: head.serialized(), as: UTF8.self) == """
        GET /chat/room?x=1 HTTP/1.1\r
        Host: Chat.example.com\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        Cookie: a=b\r
        Origin: https://example.com\r
        X-Forwarded-For: 192.0.2.7\r
        X-Forwarded-Proto: https\r
        X-Forwarded-Host: Chat.example.com\r
        Forwarded: for=192.0.2.7;proto=https;host=Chat.example.com\r
        X-Request-Id: id-1\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        \r

        """)
    #expect(head.host == "chat.example.com")
  }

  private static let hopByHop: [ForwardingRow] = [
    ForwardingRow(
      name: "fields of the client's connection end here",
      sent: [
        "Keep-Alive: 5", "Proxy-Connection: x", "Proxy-Authenticate: x",
        "Proxy-Authorization: Basic x", "TE: trailers", "Trailer: x", "HTTP2-Settings: x",
        "Content-Length: 0", "Authorization: Basic y",
      ],
      has: ["Authorization: Basic y"],
      lacks: [
        "Keep-Alive", "Proxy-", "TE:", "Trailer", "HTTP2-Settings", "Content-Length",
      ]),
    ForwardingRow(
      name: "what Connection lists ends here",
      sent: [
        "Connection: upgrade, X-One", "connection: x-TWO", "X-One: 1", "x-two: 2", "X-Three: 3",
      ],
      has: ["X-Three: 3", "Connection: Upgrade"], lacks: ["X-One", "x-two"]),
    ForwardingRow(
      name: "Connection cannot remove what the edge vouches for",
      sent: [
        "Connection: Upgrade, Host, Sec-WebSocket-Key, Sec-WebSocket-Version, X-Forwarded-For,"
          + " X-Forwarded-Proto, Forwarded, X-Request-Id, X-Auth-Subject, Origin",
        "X-Forwarded-For: 198.51.100.1", "Origin: https://a",
      ],
      change: { $0.identityFields = [("X-Auth-Subject", "alice")] },
      has: [
        "Host: Chat.example.com", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13", "X-Forwarded-For: 198.51.100.1, 192.0.2.7",
        "X-Forwarded-Proto: https", "X-Request-Id: id-1", "X-Auth-Subject: alice",
        "Origin: https://a",
      ]),
    ForwardingRow(
      name: "nor what a trusted proxy vouches for",
      sent: [
        "Connection: Upgrade, X-Real-IP, X-Forwarded-Port", "X-Real-IP: 198.51.100.1",
        "X-Forwarded-Port: 8443",
      ],
      change: { $0.isTrustedPeer = true },
      has: ["X-Real-IP: 198.51.100.1", "X-Forwarded-Port: 8443"]),
    ForwardingRow(
      name: "other protocols of the Upgrade list end here",
      sent: ["Upgrade: h2c, websocket", "Upgrade: IRC/6.9"], has: ["Upgrade: websocket"],
      lacks: ["Upgrade: h2c", "Upgrade: IRC"]),
    ForwardingRow(
      name: "the handshake's names are written in their usual case",
      sent: [
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "SEC-WEBSOCKET-VERSION: 13",
        "sec-websocket-protocol: a", "Sec-Websocket-Protocol: b", "sec-websocket-extensions: x",
        "sec-websocket-other: y",
      ],
      has: [
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: x",
        "sec-websocket-other: y",
      ]),
  ]

  private static let origins: [ForwardingRow] = [
    ForwardingRow(
      name: "earlier proxies stay in the chain",
      sent: [
        "X-Forwarded-For: 198.51.100.1", "x-forwarded-for: 198.51.100.2",
        "Forwarded: for=198.51.100.1", "X-Forwarded-For:",
      ],
      has: [
        "X-Forwarded-For: 198.51.100.1, 198.51.100.2, 192.0.2.7",
        "Forwarded: for=198.51.100.1, for=192.0.2.7;proto=https;host=Chat.example.com",
      ]),
    ForwardingRow(
      name: "a chain that ends in quotes does not swallow what is put behind it",
      sent: [
        #"Forwarded: for=x;by="\""#, #"Forwarded: for="a\"b";by="_c\\""#, #"Forwarded: for="d\"#,
      ],
      has: [
        #"Forwarded: for="a\"b";by="_c\\", for=192.0.2.7;proto=https;host=Chat.example.com"#
      ],
      lacks: ["Forwarded: for=x"]),
    ForwardingRow(
      name: "an IPv6 client and a port are quoted in Forwarded",
      sent: ["Host: a:8443"], change: { $0.clientAddress = "2001:db8::1" },
      has: [
        "X-Forwarded-For: 2001:db8::1",
        "Forwarded: for=\"[2001:db8::1]\";proto=https;host=\"a:8443\"",
        "X-Forwarded-Host: a:8443",
      ]),
    ForwardingRow(
      name: "a stranger's word is replaced",
      sent: ["X-Forwarded-Proto: http", "X-Forwarded-Host: evil", "X-Request-Id: theirs"],
      has: [
        "X-Forwarded-Proto: https", "X-Forwarded-Host: Chat.example.com", "X-Request-Id: id-1",
      ],
      lacks: ["X-Forwarded-Proto: http\r", "X-Forwarded-Host: evil", "X-Request-Id: theirs"]),
    ForwardingRow(
      name: "a trusted proxy's word is kept",
      sent: ["X-Forwarded-Proto: http", "X-Forwarded-Host: front", "X-Request-Id: theirs"],
      change: { $0.isTrustedPeer = true },
      has: ["X-Forwarded-Proto: http", "X-Forwarded-Host: front", "X-Request-Id: theirs"],
      lacks: ["X-Request-Id: id-1"]),
    ForwardingRow(
      name: "a trusted proxy's identifier that is none is replaced",
      sent: ["X-Request-Id: a b"], change: { $0.isTrustedPeer = true },
      has: ["X-Request-Id: id-1"], lacks: ["X-Request-Id: a"]),
    ForwardingRow(
      name: "a trusted proxy that says nothing is spoken for",
      change: { $0.isTrustedPeer = true },
      has: [
        "X-Forwarded-Proto: https", "X-Forwarded-Host: Chat.example.com", "X-Request-Id: id-1",
      ]),
    ForwardingRow(
      name: "an underscore does not make another name of it",
      sent: ["X_Forwarded_For: 10.0.0.1", "X_Request_ID: x", "x-forwarded_proto: x"],
      has: ["X-Forwarded-For: 192.0.2.7"],
      lacks: ["X_Forwarded_For", "X_Request_ID", "x-forwarded_proto"]),
  ]

  private static let vouched = [
    "X-Real-IP: 198.51.100.1", "x-forwarded-port: 8443", "X-Forwarded-Prefix: /admin",
    "X-Forwarded-Server: front", "X-Forwarded-Scheme: http", "X-Forwarded-Ssl: on",
    "X-Forwarded-Proto-Version: 2", "X-Forwarded-User: root",
  ]
  private static let respelled = [
    "X_Real_IP: ::1", "x-real_ip: ::1", "X_Forwarded_Port: 1", "X-Forwarded_Prefix: /",
    "x_forwarded-user: root",
  ]
  private static let unconcerned = ["X-Forward: 1", "X-Forwarded: 1", "X-Real-IPs: 1", "X-Real: 1"]

  private static let hearsay: [ForwardingRow] = [
    ForwardingRow(
      name: "a stranger vouches for nothing",
      sent: vouched + respelled + unconcerned, has: unconcerned,
      lacks: [
        "X-Real-IP:", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server",
        "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Proto-", "X-Forwarded-User",
      ] + respelled),
    ForwardingRow(
      name: "a trusted proxy does, in the spelling with hyphens",
      sent: vouched + respelled + unconcerned, change: { $0.isTrustedPeer = true },
      has: vouched + unconcerned, lacks: respelled),
    ForwardingRow(
      name: "a route sets them all the same",
      sent: vouched, change: { $0.setFields = [("X-Real-IP", "192.0.2.7")] },
      has: ["X-Real-IP: 192.0.2.7"], lacks: ["X-Real-IP: 198"]),
  ]

  private static let edits: [ForwardingRow] = [
    ForwardingRow(
      name: "identity is the edge's to say",
      sent: ["X-Auth-Subject: mallory", "x_auth_subject: mallory", "X_AUTH-Email: m"],
      change: {
        $0.identityFieldNames = ["X-Auth-Subject", "X-Auth-Email"]
        $0.identityFields = [("X-Auth-Subject", "alice\r\nX-Admin: 1")]
      },
      has: ["X-Auth-Subject: alice  X-Admin: 1"],
      lacks: ["X-Auth-Subject: mallory", "x_auth_subject", "X_AUTH-Email", "X-Admin"]),
    ForwardingRow(
      name: "identity without a value is removed all the same",
      sent: ["X-Auth-Subject: mallory"],
      change: { $0.identityFieldNames = ["x-auth-subject"] }, lacks: ["X-Auth-Subject"]),
    ForwardingRow(
      name: "the route removes and sets",
      sent: ["X-Debug: 1", "x-debug: 2", "X_Debug: 3", "x_edge: forged", "X-Edge: forged"],
      change: {
        $0.removeFields = ["X-Debug", "Forwarded"]
        $0.setFields = [("X-Edge", "sluice"), ("X-New", "n")]
      },
      has: ["X-Edge: sluice", "X-New: n"],
      lacks: ["X-Debug", "X_Debug", "X-Edge: forged", "X_Edge", "Forwarded:"]),
    ForwardingRow(
      name: "a route cannot break the handshake or speak for the identity",
      change: {
        $0.identityFields = [("X-Auth-Subject", "alice")]
        $0.removeFields = ["Host", "Sec-WebSocket-Key", "Connection", "X-Auth-Subject"]
        $0.setFields = [
          ("Upgrade", "h2c"), ("sec-websocket-version", "8"), ("Content-Length", "5"),
          ("Transfer-Encoding", "chunked"), ("X_Auth_Subject", "root"),
        ]
      },
      has: [
        "Host: Chat.example.com", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13", "Upgrade: websocket", "Connection: Upgrade",
        "X-Auth-Subject: alice",
      ],
      lacks: ["Content-Length", "Transfer-Encoding", "X_Auth_Subject", "Upgrade: h2c"]),
    ForwardingRow(
      name: "the server's own Host", change: { $0.host = "chat.internal:9001" },
      has: [
        "Host: chat.internal:9001", "X-Forwarded-Host: Chat.example.com",
        "Forwarded: for=192.0.2.7;proto=https;host=Chat.example.com",
      ],
      lacks: ["Host: Chat.example"]),
  ]

  @Test("rows", arguments: hopByHop + origins + hearsay + edits)
  func row(_ row: ForwardingRow) throws {
    let head = try Self.forward(row)
    let got = lines(head.fields)
    for line in row.has {
      #expect(got.filter { $0 == line }.count == 1, "\(line) in \(got)")
    }
    for beginning in row.lacks {
      let folded = beginning.lowercased()
      #expect(
        !got.contains { ($0 + "\r").lowercased().hasPrefix(folded) }, "\(beginning) in \(got)")
    }
    for name in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key"] {
      #expect(head.fields.count(name) == 1)
    }
    // What is made here is what the strict reader takes.
    #expect(readRequest([head.serialized()]).head == head)
  }

  private static let paths: [(String?, String?, String, String)] = [
    (nil, nil, "/chat/room?x=/chat", "/chat/room?x=/chat"),
    ("/chat", nil, "/chat/room?x=1", "/room?x=1"),
    ("/chat", nil, "/chat", "/"), ("/chat", nil, "/chat?x", "/?x"), ("/chat", nil, "/chat/", "/"),
    ("/chat", nil, "/chatter", "/chatter"), ("/chat", nil, "/other/chat", "/other/chat"),
    ("/chat/", nil, "/chat/room", "/room"), ("/chat/", "/ws/", "/chat/room", "/ws/room"),
    ("/chat", "/ws", "/chat/room", "/ws/room"), ("/chat", "/ws", "/chat", "/ws"),
    (nil, "/ws", "/room", "/ws/room"), (nil, "ws", "/room", "/ws/room"), ("/", nil, "/a", "/a"),
    ("/", "/", "/a", "/a"), ("/", nil, "//a", "//a"), ("/chat//", nil, "/chat/a/b", "/a/b"),
    // Read as a route's path is: what matched `/chat/` is stripped of it in each spelling.
    ("/chat", nil, "/%63hat/room", "/room"), ("/chat", nil, "/%63%68%61%74", "/"),
    ("/%63hat", nil, "/chat/a", "/a"), ("/chat", "/ws", "/%63hat?x=/%63hat", "/ws?x=/%63hat"),
    ("/caf%C3%A9", nil, "/caf%c3%a9/a", "/a"), ("/a/b", nil, "//a///%62/c", "/c"),
    ("/a", nil, "/%61b/c", "/%61b/c"), ("/a/b", nil, "/a/%62b", "/a/%62b"),
    ("/a/b", nil, "/a", "/a"),
    // What is left is as it was sent, but for a second slash at its beginning.
    ("/chat", nil, "/%63hat/%63hat//a%20b;v=%7E", "/%63hat//a%20b;v=%7E"),
    ("/chat", nil, "//chat//evil.example/x", "/evil.example/x"),
    ("/chat", "/ws", "/chat//room/", "/ws/room/"), ("/chat", nil, "/chat//", "/"),
    // No route matches these, and nothing is stripped.
    ("/chat", nil, "/chat%2Froom", "/chat%2Froom"), ("/chat", nil, "/chat/%zz", "/chat/%zz"),
    ("/chat", nil, "/chat/../x", "/chat/../x"), ("/a/..", nil, "/a/../b", "/a/../b"),
  ]

  @Test("the path's prefix is exchanged by whole segments", arguments: paths)
  func path(strip: String?, set: String?, target: String, expected: String) throws {
    let row = ForwardingRow(name: "", target: target) {
      $0.stripPrefix = strip
      $0.setPrefix = set
    }
    #expect(try Self.forward(row).target == expected)
  }

  @Test("what a route may not touch")
  func reserved() {
    for name in ["connection", "UPGRADE", "Sec-WebSocket-Foo", "content-length", "TE"] {
      #expect(Forwarding.isReserved(name))
    }
    for name in ["X-Edge", "Host", "Cookie"] { #expect(!Forwarding.isReserved(name)) }
  }

  /// The head as it goes to a client of HTTP/1.1 whose connection ends behind it.
  private func closing(_ head: ResponseHead) throws -> ResponseHead {
    let body = try BodyReader(response: head, toMethod: "GET")
    return head.forwarded(toVersion: .http11, method: "GET", body: body, persists: false).head
  }

  @Test("an answer that is not an upgrade keeps what frames its body")
  func closing() throws {
    let text =
      "HTTP/1.0 401 No\r\nConnection: keep-alive, X-A, Set-Cookie\r\nKeep-Alive: 5\r\nX-A: 1\r\n"
      + "Upgrade: h2c\r\nSet-Cookie: a\r\nContent-Length: 2\r\nWWW-Authenticate: Basic\r\n\r\n"
    let head = try self.closing(#require(readResponse([Array(text.utf8)]).head))
    #expect(head.status == 401)
    #expect(head.version == .http11)
    #expect(
      lines(head.fields) == [
        "Set-Cookie: a", "Content-Length: 2", "WWW-Authenticate: Basic", "Connection: close",
      ])
    var chunked = ResponseHead(status: 426)
    chunked.fields.append(name: "Transfer-Encoding", value: "chunked")
    chunked.fields.append(name: "Upgrade", value: "websocket")
    let upgrade = try self.closing(chunked)
    #expect(
      lines(upgrade.fields) == [
        "Upgrade: websocket", "Transfer-Encoding: chunked", "Connection: close, Upgrade",
      ])
  }
}
