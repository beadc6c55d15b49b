import HTTP
import Testing

/// What a service is told that judges a client's request.
@Suite struct ForwardingQuestionTests {
  private static func question(
    _ sent: String..., change: (inout Forwarding) -> Void = { _ in }
  ) throws -> [String] {
    let handshake = [
      "Host: Chat.example.com:8443", "Upgrade: WebSocket", "Connection: keep-alive, Upgrade, X-Hop",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ]
    let lines = (handshake + sent).map { $0 + "\r\n" }.joined()
    let client = try #require(
      readRequest("GET /chat/room?token=x HTTP/1.1\r\n" + lines + "\r\n").head)
    var forwarding = Forwarding(clientAddress: "192.0.2.7", scheme: "https", requestID: "id-1")
    change(&forwarding)
    return forwarding.question(about: client).map { "\($0.name): \($0.value)" }
  }

  private static let asked = [
    "X-Forwarded-Method: GET", "X-Forwarded-Uri: /chat/room?token=x", "X-Forwarded-Proto: https",
    "X-Forwarded-Host: Chat.example.com:8443", "X-Forwarded-For: 192.0.2.7", "X-Request-Id: id-1",
  ]

  @Test("the request without its handshake, credentials included")
  func whole() throws {
    let question = try Self.question(
      "Authorization: Bearer x", "Cookie: a=b", "X-User: me", "Content-Length: 0", "TE: trailers",
      "Keep-Alive: 5", "X-Hop: 1", "Sec-WebSocket-Protocol: chat", "sec_websocket_accept: x")
    #expect(
      question == ["Authorization: Bearer x", "Cookie: a=b", "X-User: me"] + Self.asked)
  }

  @Test("a client has no word in what the service is told of it")
  func forged() throws {
    let question = try Self.question(
      "X-Forwarded-Uri: /public", "x_forwarded_uri: /public", "X-Forwarded-Method: OPTIONS",
      "X-Forwarded-For: 10.0.0.1", "X_Forwarded_For: 10.0.0.1", "X-Forwarded-Host: evil",
      "X-Forwarded-Proto: ftp", "X-Forwarded-User: root", "X-Real-IP: 10.0.0.1",
      "Forwarded: for=10.0.0.1", "X-Request-Id: mine")
    #expect(question == Self.asked)
  }

  @Test("a trusted proxy is believed how its client came, and nothing that is asked about")
  func trusted() throws {
    let question = try Self.question(
      "X-Forwarded-Proto: http", "X-Forwarded-Host: public.example", "X-Forwarded-Port: 80",
      "X-Forwarded-Uri: /public", "X-Forwarded-For: 10.0.0.1, 192.0.2.7"
    ) { $0.isTrustedPeer = true }
    #expect(
      question == [
        "X-Forwarded-Port: 80", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /chat/room?token=x",
        "X-Forwarded-Proto: http", "X-Forwarded-Host: public.example", "X-Forwarded-For: 192.0.2.7",
        "X-Request-Id: id-1",
      ])
  }
}
