import HTTP
import Testing
import WebSocket

@Suite struct UpgradeResponseTests {
  private static let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
  private static let handshake = ["Upgrade: websocket", "Connection: Upgrade", accept]

  /// A 101 with the lines of the same name exchanged for `lines`.
  private static func head(
    _ lines: [String] = [], without: String? = nil, status: Int = 101,
    version: HTTPVersion = .http11
  ) -> ResponseHead {
    let names = Set(lines.map { $0.prefix { $0 != ":" }.lowercased() } + [without ?? ""])
    let kept = Self.handshake.filter { !names.contains($0.prefix { $0 != ":" }.lowercased()) }
    return ResponseHead(status: status, version: version, fields: fields(kept + lines))
  }

  private static func request() throws -> UpgradeRequest {
    try UpgradeRequest.parse(
      upgradeRequestHead(
        target: "/", authority: "a", key: sampleKey, subprotocols: ["chat", "other"],
        extensions: [Extension(name: "permessage-deflate"), Extension(name: "x")]))
  }

  private static func fault(_ head: ResponseHead) throws -> UpgradeFault? {
    let request = try Self.request()
    do throws(UpgradeFault) {
      _ = try UpgradeResponse.verify(head, answering: request)
      return nil
    } catch {
      return error
    }
  }

  private static let faults: [([String], UpgradeFault?)] = [
    ([], nil), (["Upgrade: WebSocket"], nil), (["Connection: keep-alive, upgrade"], nil),
    (["Sec-WebSocket-Protocol: chat"], nil), (["Sec-WebSocket-Protocol:"], nil),
    (["Sec-WebSocket-Extensions: x, Permessage-Deflate; server_no_context_takeover"], nil),
    (["Upgrade: h2c"], .upgradeMissing), (["Connection: close"], .connectionMissing),
    ([accept, accept], .acceptMissing),
    (["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO="], .acceptWrong),
    (["Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO="], .acceptWrong),
    (["Sec-WebSocket-Accept: \(sampleKey)"], .acceptWrong),
    (["Sec-WebSocket-Accept:"], .acceptWrong),
    (["Content-Length: 0"], .bodyAnnounced), (["Content-Length: 5"], .bodyAnnounced),
    (["Transfer-Encoding: chunked"], .bodyAnnounced),
    (["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: other"], .subprotocolRepeated),
    (["Sec-WebSocket-Protocol: chat, other"], .subprotocolNotOffered),
    (["Sec-WebSocket-Protocol: CHAT"], .subprotocolNotOffered),
    (["Sec-WebSocket-Protocol: bearer"], .subprotocolNotOffered),
    (["Sec-WebSocket-Extensions: y"], .extensionNotOffered),
    (["Sec-WebSocket-Extensions: x;"], .extensionsMalformed),
    (["Sec-WebSocket-Extensions:"], .extensionsMalformed),
    (["Sec-WebSocket-Extensions: x", "Sec-WebSocket-Extensions: X"], .extensionRepeated),
  ]

  @Test("what is wrong with a 101", arguments: faults)
  func verify(lines: [String], fault: UpgradeFault?) throws {
    #expect(try Self.fault(Self.head(lines)) == fault)
  }

  @Test("what is missing, and what is no upgrade at all")
  func missing() throws {
    #expect(try Self.fault(Self.head(without: "upgrade")) == .upgradeMissing)
    #expect(try Self.fault(Self.head(without: "connection")) == .connectionMissing)
    #expect(try Self.fault(Self.head(without: "sec-websocket-accept")) == .acceptMissing)
    #expect(try Self.fault(Self.head(status: 200)) == .notSwitching)
    #expect(try Self.fault(Self.head(status: 100)) == .notSwitching)
    #expect(try Self.fault(Self.head(version: .http10)) == .oldVersion)
    #expect(Set(UpgradeFault.allCases.map(\.reason)).count == UpgradeFault.allCases.count)
  }

  @Test("what the server chose")
  func chosen() throws {
    let request = try Self.request()
    let plain = try UpgradeResponse.verify(Self.head(), answering: request)
    #expect(plain.subprotocol == nil)
    #expect(!plain.usesDeflate)
    let chosen = try UpgradeResponse.verify(
      Self.head([
        "Sec-WebSocket-Protocol: other", "Sec-WebSocket-Extensions: Permessage-deflate; a=1",
      ]), answering: request)
    #expect(chosen.subprotocol == "other")
    #expect(chosen.extensions.map(\.description) == ["Permessage-deflate; a=1"])
    #expect(chosen.usesDeflate)
  }

  @Test("a server may choose nothing where nothing was offered")
  func nothingOffered() throws {
    let request = try UpgradeRequest.parse(
      upgradeRequestHead(target: "/", authority: "a", key: sampleKey))
    #expect(throws: UpgradeFault.subprotocolNotOffered) {
      try UpgradeResponse.verify(
        Self.head(["Sec-WebSocket-Protocol: chat"]), answering: request)
    }
    #expect(throws: UpgradeFault.extensionNotOffered) {
      try UpgradeResponse.verify(
        Self.head(["Sec-WebSocket-Extensions: permessage-deflate"]), answering: request)
    }
  }

  @Test("the client's 101 has the handshake once and in its usual case")
  func clientHead() {
    let upstream = ResponseHead(
      status: 101, reason: "Web Socket Protocol Handshake", version: .http11,
      fields: fields([
        "Server: x", "upgrade: WebSocket", "Upgrade: websocket", "connection: upgrade, X-Hop",
        "X-Hop: 1", "Keep-Alive: 5", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "SEC-WEBSOCKET-PROTOCOL: chat", "sec-websocket-extensions: x",
        "Sec-WebSocket-Extensions: y", "Sec-WebSocket-Version: 13", "Set-Cookie: a=b",
        "Proxy-Authenticate: Basic",
      ]))
    let head = responseHead101(from: upstream, fallbackSubprotocol: "bearer")
    #expect(
      String(decoding: head.serialized(), as: UTF8.self) == """
        HTTP/1.1 101 Web Socket Protocol Handshake\r
        Server: x\r
        Set-Cookie: a=b\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
        Sec-WebSocket-Protocol: chat\r
        Sec-WebSocket-Extensions: x, y\r
        \r

        """)
  }

  @Test(
    "the marker is named only where the server chose nothing",
    arguments: [
      ([], "bearer"), (["Sec-WebSocket-Protocol:"], "bearer"),
      (["Sec-WebSocket-Protocol: chat"], "chat"),
    ] as [([String], String)])
  func fallback(lines: [String], expected: String) {
    let head = responseHead101(from: Self.head(lines), fallbackSubprotocol: "bearer")
    #expect(head.fields.values("sec-websocket-protocol") == [expected])
    let without = responseHead101(from: Self.head(lines))
    #expect(without.fields.first("sec-websocket-protocol") == (expected == "chat" ? "chat" : nil))
  }

  @Test("the answer that is made here is one that is verified")
  func answering() throws {
    let request = try Self.request()
    let head = responseHead101(answering: request, subprotocol: "chat")
    let response = try UpgradeResponse.verify(head, answering: request)
    #expect(response.subprotocol == "chat")
    #expect(head.reason == "Switching Protocols")
  }
}
