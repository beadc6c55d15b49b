import HTTP
import Testing
import WebSocket

let sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

/// A head with these field lines, each `name: value`.
func fields(_ lines: [String]) -> Fields {
  var fields = Fields()
  for line in lines {
    let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    fields.append(name: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "")
  }
  return fields
}

@Suite struct UpgradeRequestTests {
  private static let handshake = [
    "Host: a", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: \(sampleKey)",
    "Sec-WebSocket-Version: 13",
  ]

  /// The handshake with the lines of the same name exchanged for `lines`, those named in `without`
  /// left out.
  private static func head(
    _ lines: [String] = [], without: String? = nil, method: String = "GET",
    version: HTTPVersion = .http11
  ) -> RequestHead {
    let names = Set(lines.map { $0.prefix { $0 != ":" }.lowercased() } + [without ?? ""])
    let kept = Self.handshake.filter { !names.contains($0.prefix { $0 != ":" }.lowercased()) }
    return RequestHead(
      method: method, target: "/", version: version, fields: fields(kept + lines))
  }

  private static func outcome(
    _ head: RequestHead
  ) -> Result<UpgradeRequest, UpgradeRequest.Rejection> {
    Result { () throws(UpgradeRequest.Rejection) in try UpgradeRequest.parse(head) }
  }

  private static func rejection(_ head: RequestHead) -> UpgradeRequest.Rejection? {
    if case .failure(let rejection) = Self.outcome(head) { rejection } else { nil }
  }

  @Test("the example of RFC 6455 §1.3")
  func example() throws {
    #expect(acceptValue(forKey: sampleKey) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    let request = try UpgradeRequest.parse(Self.head(["Sec-WebSocket-Protocol: chat, superchat"]))
    #expect(request.key == sampleKey)
    #expect(request.subprotocols == ["chat", "superchat"])
    #expect(request.extensions.isEmpty)
  }

  private static let accepted: [[String]] = [
    [], ["Upgrade: WebSocket"], ["Upgrade: h2c, websocket"], ["Upgrade: x", "Upgrade: WEBSOCKET"],
    ["Connection: keep-alive, upgrade"], ["Connection: keep-alive", "Connection: UPGRADE"],
    ["Content-Length: 0"], ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
    ["Sec-WebSocket-Key: ////////////////++++++=="],
    ["Sec-WebSocket-Protocol: ,a,, b ,"],
    ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: A"],
  ]

  @Test("handshakes that are taken", arguments: accepted)
  func taken(lines: [String]) {
    #expect(Self.rejection(Self.head(lines)) == nil)
  }

  private static let refused: [(String, UpgradeRequest.Rejection)] = [
    ("Upgrade: websockets", .notAnUpgrade), ("Upgrade: h2c", .notAnUpgrade),
    ("Upgrade: websocket/13", .notAnUpgrade), ("Upgrade:", .notAnUpgrade),
    ("Connection: close", .notAnUpgrade), ("Connection: upgrades", .notAnUpgrade),
    ("Content-Length: 1", .bodyAnnounced), ("Transfer-Encoding: chunked", .bodyAnnounced),
    ("Content-Length: x", .bodyAnnounced),
    ("Sec-WebSocket-Version: 8", .unsupportedVersion),
    ("Sec-WebSocket-Version: 013", .unsupportedVersion),
    ("Sec-WebSocket-Version: 13, 8", .unsupportedVersion),
    ("Sec-WebSocket-Version:", .unsupportedVersion),
    ("Sec-WebSocket-Key:", .badKey), ("Sec-WebSocket-Key: x", .badKey),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", .badKey),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A", .badKey),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===", .badKey),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZS_ub25jZQ==", .badKey),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA=", .badKey),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, x", .badKey),
    ("Sec-WebSocket-Protocol:", .badSubprotocols), ("Sec-WebSocket-Protocol: ,", .badSubprotocols),
    ("Sec-WebSocket-Protocol: a b", .badSubprotocols),
    ("Sec-WebSocket-Protocol: a, b, a", .badSubprotocols),
    ("Sec-WebSocket-Protocol: a/b", .badSubprotocols),
    ("Sec-WebSocket-Protocol: \"a\"", .badSubprotocols),
    ("Sec-WebSocket-Protocol: b\u{00E9}", .badSubprotocols),
    (
      "Sec-WebSocket-Protocol: \((0...64).map { "p\($0)" }.joined(separator: ","))",
      .badSubprotocols
    ),
    ("Sec-WebSocket-Extensions: ;", .badExtensions),
  ]

  @Test("handshakes that are refused", arguments: refused)
  func rejected(line: String, rejection: UpgradeRequest.Rejection) {
    #expect(Self.rejection(Self.head([line])) == rejection)
  }

  @Test(
    "what is missing",
    arguments: [
      ("upgrade", .notAnUpgrade), ("connection", .notAnUpgrade),
      ("sec-websocket-version", .unsupportedVersion), ("sec-websocket-key", .badKey),
    ] as [(String, UpgradeRequest.Rejection)])
  func missing(name: String, rejection: UpgradeRequest.Rejection) {
    #expect(Self.rejection(Self.head(without: name)) == rejection)
  }

  @Test("what must not be repeated")
  func repeated() {
    let key = "Sec-WebSocket-Key: \(sampleKey)"
    #expect(Self.rejection(Self.head([key, key])) == .badKey)
    let version = "Sec-WebSocket-Version: 13"
    #expect(Self.rejection(Self.head([version, version])) == .unsupportedVersion)
  }

  @Test("the first cause in the order of the table is the answer")
  func order() {
    #expect(Self.rejection(Self.head(method: "POST")) == .notGET)
    #expect(Self.rejection(Self.head(method: "get")) == .notGET)
    #expect(Self.rejection(Self.head(without: "upgrade", method: "POST")) == .notAnUpgrade)
    #expect(Self.rejection(Self.head(version: .http10)) == .oldVersion)
    #expect(Self.rejection(Self.head(method: "POST", version: .http10)) == .notGET)
    let all = ["Content-Length: 1", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: x"]
    #expect(Self.rejection(Self.head(all)) == .bodyAnnounced)
    #expect(Self.rejection(Self.head(Array(all.dropFirst()))) == .unsupportedVersion)
  }

  @Test("every rejection has a status, a sentence, and the fields that its status asks for")
  func answers() {
    typealias Rejection = UpgradeRequest.Rejection
    for rejection in Rejection.allCases {
      #expect(rejection.reason.hasSuffix("."))
      let names = rejection.fields.map(\.name)
      #expect(names.contains("Upgrade") == (rejection.status == 426))
      #expect(names.contains("Allow") == (rejection.status == 405))
    }
    #expect(Rejection.unsupportedVersion.fields.contains { $0 == ("Sec-WebSocket-Version", "13") })
    #expect(Rejection.badKey.status == 400)
  }

  @Test("the request that is made here is one that is taken, and keys are base64")
  func made() throws {
    #expect(upgradeKey(high: 0x7468_6520_7361_6D70, low: 0x6C65_206E_6F6E_6365) == sampleKey)
    let deflate = Extension(
      name: "permessage-deflate", parameters: [.init(name: "client_max_window_bits")])
    let head = upgradeRequestHead(
      target: "/x", authority: "a:1", key: upgradeKey(high: 0, low: .max),
      subprotocols: ["a", "b"],
      extensions: [deflate])
    let request = try UpgradeRequest.parse(head)
    #expect(head.host == "a")
    #expect(request.key == "AAAAAAAAAAD//////////w==")
    #expect(request.subprotocols == ["a", "b"])
    #expect(request.extensions == [deflate])
  }
}

/// An extended CONNECT of HTTP/2 (RFC 8441 §5).
@Suite struct ExtendedConnectTests {
  private static func head(
    _ lines: [String] = [], connectProtocol: String? = "websocket", method: String = "CONNECT"
  ) -> RequestHead {
    var head = RequestHead(
      method: method, target: "/chat", version: .http2,
      fields: fields(["Host: a"] + (lines.isEmpty ? ["sec-websocket-version: 13"] : lines)))
    head.connectProtocol = connectProtocol
    return head
  }

  @Test("it needs neither a key nor the fields of a connection, and has a key of the edge's own")
  func taken() throws {
    for name in ["websocket", "WebSocket"] {
      let head = Self.head(
        [
          "sec-websocket-version: 13", "sec-websocket-protocol: a, b",
          "sec-websocket-extensions: x",
        ],
        connectProtocol: name)
      let request = try UpgradeRequest.parse(head, key: sampleKey)
      #expect(request.key == sampleKey)
      #expect(request.subprotocols == ["a", "b"])
      #expect(request.extensions.map(\.name) == ["x"])
    }
    let head = Self.head(["sec-websocket-version: 13", "sec-websocket-key: theirs"])
    #expect(try UpgradeRequest.parse(head, key: sampleKey).key == sampleKey)
  }

  private static let refused: [(RequestHead, UpgradeRequest.Rejection)] = [
    (head(connectProtocol: nil), .notAnUpgrade), (head(method: "GET"), .notAnUpgrade),
    (head(connectProtocol: nil, method: "GET"), .notAnUpgrade),
    (head(connectProtocol: "webtransport"), .unknownProtocol),
    (head(connectProtocol: "websocket/13"), .unknownProtocol),
    (head(connectProtocol: ""), .unknownProtocol),
    (head(["sec-websocket-version: 13", "content-length: 1"]), .bodyAnnounced),
    (head(["x: y"]), .unsupportedVersion),
    (head(["sec-websocket-version: 8"]), .unsupportedVersion),
    (head(["sec-websocket-version: 13", "sec-websocket-protocol: a, a"]), .badSubprotocols),
    (head(["sec-websocket-version: 13", "sec-websocket-extensions: ;"]), .badExtensions),
  ]

  @Test("those that are refused")
  func rejected() {
    for (head, rejection) in Self.refused {
      #expect(throws: rejection) { try UpgradeRequest.parse(head, key: sampleKey) }
    }
    #expect(UpgradeRequest.Rejection.unknownProtocol.status == 501)
  }

  @Test("HTTP/1.1 has the client's key, and asks for none")
  func key() throws {
    let head = upgradeRequestHead(target: "/", authority: "a", key: sampleKey)
    var askedCount = 0
    func key() -> String {
      askedCount += 1
      return ""
    }
    #expect(try UpgradeRequest.parse(head, key: key()).key == sampleKey)
    #expect(askedCount == 0)
  }
}

@Suite struct ExtensionTests {
  private static func parse(_ lines: [String]) -> [Extension]? {
    let head = upgradeRequestHead(target: "/", authority: "a", key: sampleKey)
    var changed = head
    for line in lines { changed.fields.append(name: "Sec-WebSocket-Extensions", value: line) }
    do throws(UpgradeRequest.Rejection) {
      return try UpgradeRequest.parse(changed).extensions
    } catch {
      #expect(error == .badExtensions)
      return nil
    }
  }

  private static let readLists: [([String], [String])] = [
    ([], []), (["a"], ["a"]), (["a, b"], ["a", "b"]), (["a", "b,a"], ["a", "b", "a"]),
    ([" a ;b ; c = d , e"], ["a; b; c=d", "e"]), (["a;b=\"c\""], ["a; b=c"]),
    (["a;b=\"\\c\" , ,d"], ["a; b=c", "d"]), ([",a,"], ["a"]),
    (
      ["permessage-deflate; client_max_window_bits; server_max_window_bits=10"],
      ["permessage-deflate; client_max_window_bits; server_max_window_bits=10"]
    ),
  ]

  @Test("lists that are read", arguments: readLists)
  func read(lines: [String], expected: [String]) {
    #expect(Self.parse(lines)?.map(\.description) == expected)
  }

  @Test(
    "lists that are refused",
    arguments: [
      "", ",", ";", "a;", "a;;b", "a;b=", "a=b", "a b", "a;b=c d", "a;b=\"c", "a;b=\"c d\"",
      "a;b=\"\"", "a;b=\"c\"d", "a;b=\"c\\", "\"a\"", "a;=b", "a/b", "b\u{00E9}", "a;b==c",
      Array(repeating: "a", count: 17).joined(separator: ","),
      "a" + String(repeating: ";b", count: 17),
    ])
  func refused(line: String) {
    #expect(Self.parse([line]) == nil)
  }

  @Test("sixteen are taken over several lines, not seventeen")
  func bounds() {
    #expect(Self.parse(Array(repeating: "a", count: 16))?.count == 16)
    #expect(Self.parse(Array(repeating: "a", count: 17)) == nil)
  }
}
