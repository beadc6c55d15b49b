import HTTP
import Net
import Testing

/// The block of these lines, each `name: value`, where the name may begin with a colon.
func block(
  _ lines: [String], byteCountMax: Int = 16 * 1024, targetByteCountMax: Int = 1024
) -> FieldBlock {
  var block = FieldBlock(byteCountMax: byteCountMax, targetByteCountMax: targetByteCountMax)
  for line in lines {
    let octets = Array(line.utf8)
    let colon = octets.dropFirst().firstIndex(of: 0x3A) ?? octets.endIndex
    let value = octets[colon...].dropFirst(2)
    block.append(name: Array(octets[..<colon]).span, value: Array(value).span)
  }
  return block
}

@Suite struct FieldBlockTests {
  private static let get = [
    ":method: GET", ":scheme: https", ":path: /x?y", ":authority: A.b:8443",
  ]

  private static func outcome(_ lines: [String]) -> Result<RequestHead, HeadError> {
    Result { () throws(HeadError) in try block(lines).request() }
  }

  @Test("the whole of an ordinary request")
  func whole() throws {
    let head = try block(
      Self.get + ["accept: */*", "x-empty: ", "cookie: a=b", "x-octets: \u{E9}"]
    ).request()
    #expect(head.method == "GET")
    #expect(head.target == "/x?y")
    #expect(head.version == .http2)
    #expect(head.host == "a.b")
    #expect(head.authority == "A.b:8443")
    #expect(head.connectProtocol == nil)
    #expect(head.keepsConnection)
    #expect(!head.announcesBody)
    #expect(
      lines(head.fields) == [
        "Host: A.b:8443", "accept: */*", "x-empty: ", "cookie: a=b", "x-octets: \u{E9}",
      ])
  }

  @Test("an extended CONNECT keeps its protocol")
  func extendedConnect() throws {
    let head = try block(
      [":method: CONNECT", ":protocol: WebSocket", ":scheme: https", ":path: /chat"]
        + [":authority: a", "sec-websocket-version: 13"]
    ).request()
    #expect(head.method == "CONNECT")
    #expect(head.connectProtocol == "WebSocket")
    #expect(head.target == "/chat")
    #expect(head.host == "a")
  }

  private static let accepted: [([String], target: String, authority: String)] = [
    (get.reversed(), "/x?y", "A.b:8443"),
    ([":method: OPTIONS", ":scheme: http", ":path: *", ":authority: a"], "*", "a"),
    ([":method: GET", ":scheme: HTTPS", ":path: /", "host: a:1"], "/", "a:1"),
    ([":method: GET", ":scheme: https", ":path: /", "x: y", "host: [::1]"], "/", "[::1]"),
    (get + ["x: y", "host: a.B.:8443"], "/x?y", "A.b:8443"),
    ([":method: GET", ":scheme: https", ":path: /", ":authority: a", "host: a:443"], "/", "a"),
    ([":method: GET", ":scheme: http", ":path: /", ":authority: a:80", "host: a"], "/", "a:80"),
    (get + ["te: trailers"], "/x?y", "A.b:8443"),
    (get + ["content-length: 5", "content-length: 5"], "/x?y", "A.b:8443"),
    ([":method: GET", ":scheme: https", ":path: //x/../y;z?%00", ":authority: a"])
      .withTarget("//x/../y;z?%00", "a"),
  ]

  @Test("heads that are taken", arguments: accepted)
  func taken(sent: [String], target: String, authority: String) throws {
    let head = try block(sent).request()
    #expect(head.target == target)
    #expect(head.authority == authority)
    #expect(head.fields.count("host") == 1)
    #expect(lines(head.fields).first == "Host: \(authority)")
  }

  /// The lines of a request, those of the same name exchanged for `lines`, one left out.
  private static func changed(_ lines: [String], without: String = "") -> [String] {
    func name(_ line: String) -> Substring { line.dropFirst().prefix { $0 != ":" } }
    let names = lines.map(name) + [Substring(without)]
    return Self.get.filter { !names.contains(name($0)) } + lines
  }

  private static let refusedFields: [(String, HeadError)] = [
    ("Accept: x", .malformedFieldName), ("x y: a", .malformedFieldName),
    ("x\0: a", .malformedFieldName), ("\u{E9}: a", .malformedFieldName),
    (" x: a", .malformedFieldName), ("", .emptyFieldName),
    ("x: a\0b", .controlInFieldValue), ("x: a\r\nb: c", .controlInFieldValue),
    ("x: a\nb", .controlInFieldValue), ("x: \u{7F}", .controlInFieldValue),
    ("x:  a", .whitespaceAroundValue), ("x: a ", .whitespaceAroundValue),
    ("x: a\t", .whitespaceAroundValue), ("x:  ", .whitespaceAroundValue),
    ("connection: close", .connectionField), ("connection: ", .connectionField),
    ("keep-alive: 5", .connectionField), ("proxy-connection: x", .connectionField),
    ("transfer-encoding: chunked", .connectionField), ("upgrade: websocket", .connectionField),
    ("te: gzip", .connectionField), ("te: trailers, gzip", .connectionField),
    ("te: ", .connectionField),
    ("content-length: +5", .malformedLength), ("content-length: 5, 5", .malformedLength),
    ("content-length: ", .malformedLength), ("content-length: 5\u{E9}", .malformedLength),
    ("content-length: 99999999999999999999", .malformedLength),
    ("host: b", .conflictingHost), ("host: a.b", .conflictingHost),
    ("host: u@a.b:8443", .malformedHost), ("host: ", .malformedHost),
    (":x: y", .unknownPseudoField), (":: y", .unknownPseudoField),
    (":status: 200", .unknownPseudoField), (":Method: GET", .unknownPseudoField),
    (":paths: /", .unknownPseudoField), (":authoritx: /", .unknownPseudoField),
    (":protocol: websocket", .misplacedPseudoField),
  ]

  @Test("fields that are refused", arguments: refusedFields)
  func refusedField(line: String, error: HeadError) {
    #expect(Self.outcome(Self.get + [line]) == .failure(error))
    // The first error is the one that is told.
    #expect(Self.outcome(Self.get + [line, "X: \0", ":y: "]) == .failure(Self.early(error)))
  }

  /// What a whole block is refused for comes behind what a field is refused for.
  private static func early(_ error: HeadError) -> HeadError {
    switch error {
    case .malformedLength, .conflictingHost, .malformedHost: .controlInFieldValue
    case .misplacedPseudoField: .controlInFieldValue
    default: error
    }
  }

  private static let refusedHeads: [([String], HeadError)] = [
    ([], .missingPseudoField),
    (["x: y"], .missingPseudoField),
    (changed([], without: "method"), .missingPseudoField),
    (changed([], without: "scheme"), .missingPseudoField),
    (changed([], without: "path"), .missingPseudoField),
    (changed([], without: "authority"), .missingHost),
    (get + [":path: /x?y"], .repeatedPseudoField),
    (get + [":authority: a"], .repeatedPseudoField),
    (get + [":method: GET"], .repeatedPseudoField),
    (get + [":scheme: https"], .repeatedPseudoField),
    (["x: y"] + get, .misplacedPseudoField),
    (get.dropLast() + ["x: y"] + get.suffix(1), .misplacedPseudoField),
    (get + ["host: a.b:8443", "host: a.b:8443"], .repeatedHost),
    (changed(["host: a", "x: y", "host: a"], without: "authority"), .repeatedHost),
    (changed([":method: "]), .malformedMethod), (changed([":method: GE T"]), .malformedMethod),
    (changed([":method: GET\r\n"]), .controlInFieldValue),
    (changed([":method: \(String(repeating: "M", count: 33))"]), .methodTooLong),
    (changed([":scheme: ftp"]), .malformedTarget), (changed([":scheme: "]), .malformedTarget),
    (changed([":scheme: https://evil/"]), .malformedTarget),
    (changed([":path: "]), .malformedTarget), (changed([":path: x"]), .malformedTarget),
    (changed([":path: *"]), .malformedTarget), (changed([":path: ?x"]), .malformedTarget),
    (changed([":path: http://a.b/"]), .malformedTarget),
    (changed([":path: /#x"]), .malformedTarget),
    (changed([":path: / HTTP/1.1"]), .malformedTarget),
    (changed([":path: /\u{E9}"]), .malformedTarget),
    (changed([":path: /\r\nx: y"]), .controlInFieldValue),
    (changed([":path: /\(String(repeating: "a", count: 1024))"]), .targetTooLong),
    (changed([":authority: "]), .malformedHost), (changed([":authority: u@a"]), .malformedHost),
    (changed([":authority: a/b"]), .malformedHost), (changed([":authority: a b"]), .malformedHost),
    (changed([":authority: a:99999"]), .malformedHost),
    (changed([":authority: [\u{301}::1]"]), .malformedHost),
    (changed([":authority: a", "host: a:80"]), .conflictingHost),
    (changed([":authority: a", "host: b a"]), .malformedHost),
    ([":method: CONNECT", ":authority: a:443"], .unsupportedConnect),
    (changed([":method: CONNECT"]), .unsupportedConnect),
    (
      changed([":method: CONNECT", ":protocol: websocket"], without: "authority"),
      .missingPseudoField
    ),
    (
      changed([":method: CONNECT", ":protocol: websocket"], without: "scheme"), .missingPseudoField
    ),
    (changed([":method: CONNECT", ":protocol: websocket"], without: "path"), .missingPseudoField),
    (get + ["content-length: 5", "content-length: 6"], .conflictingLengths),
  ]

  @Test("heads that are refused", arguments: refusedHeads)
  func refusedHead(sent: [String], error: HeadError) {
    #expect(Self.outcome(sent) == .failure(error))
  }

  private static let cookies: [([String], [String])] = [
    (["cookie: a=b", "cookie: c=d", "cookie: e=f"], ["cookie: a=b; c=d; e=f"]),
    (["cookie: a", "x: 1", "cookie: b", "cookie: c"], ["cookie: a; b; c", "x: 1"]),
    (["x: 1", "cookie: a", "y: 2", "cookie: b", "z: 3", "cookie: c"])
      .becoming(["x: 1", "cookie: a; b; c", "y: 2", "z: 3"]),
    (["cookie: "], ["cookie: "]), (["cookie: a", "cookie: ", "cookie: b"], ["cookie: a; b"]),
  ]

  @Test("crumbs of a Cookie become one field at the place of the first", arguments: cookies)
  func crumbs(sent: [String], expected: [String]) throws {
    let head = try block(Self.get + sent).request()
    #expect(lines(head.fields).dropFirst() == expected[...])
    #expect(try lines(block(sent).trailers()) == expected.filter { !$0.hasPrefix("cookie") })
  }
}

extension [String] {
  fileprivate func withTarget(
    _ target: String, _ authority: String
  ) -> ([String], target: String, authority: String) { (self, target, authority) }

  fileprivate func becoming(_ lines: [String]) -> ([String], [String]) { (self, lines) }
}

@Suite struct FieldBlockLimitTests {
  private static let get = [":method: GET", ":scheme: https", ":path: /", ":authority: a"]

  /// RFC 9113 §6.5.2.
  private static func size(_ lines: [String]) -> Int {
    // Each line has two octets between name and value.
    lines.reduce(0) { $0 + $1.utf8.count - 2 + 32 }
  }

  @Test("a block of exactly the limit is taken, one of an octet more is 431")
  func size() throws {
    let sent = Self.get + ["x: 1234"]
    let exact = block(sent, byteCountMax: Self.size(sent))
    #expect(try exact.request().fields.count == 2)
    let over = block(sent, byteCountMax: Self.size(sent) - 1)
    #expect(throws: HeadError.headTooLarge) { try over.request() }
    #expect(throws: HeadError.headTooLarge) { try over.trailers() }
  }

  @Test("a target of exactly the limit is taken, one of an octet more is 414")
  func target() throws {
    #expect(try block(Self.get, targetByteCountMax: 1).request().target == "/")
    let over = block(Self.get, targetByteCountMax: 0)
    #expect(throws: HeadError.targetTooLong) { try over.request() }
  }

  @Test("a hundred fields are taken, and crumbs in a row are one of them")
  func count() throws {
    func sent(_ count: Int) -> [String] { Self.get + (0..<count).map { "x\($0): y" } }
    let crumbs = Array(repeating: "cookie: a=b", count: 200)
    #expect(try block(sent(100)).request().fields.count == 101)
    #expect(try block(sent(99) + crumbs).request().fields.count == 101)
    let over = block(sent(101))
    #expect(throws: HeadError.tooManyFields) { try over.request() }
  }
}

@Suite struct FieldBlockTrailerTests {
  @Test("trailers have no pseudo-fields, and the rules of fields hold")
  func refused() {
    for (line, error) in [
      (":path: /", .misplacedPseudoField), (":status: 200", .unknownPseudoField),
      ("X: y", .malformedFieldName), ("transfer-encoding: chunked", .connectionField),
    ] as [(String, HeadError)] {
      let trailers = block([line])
      #expect(throws: error) { try trailers.trailers() }
    }
  }

  @Test("what a trailer must not be is left out")
  func filtered() throws {
    let sent = [
      "host: a", "content-length: 5", "grpc-status: 0", "authorization: x", "x-forwarded-for: ::1",
      "x-sum: 1",
    ]
    #expect(try lines(block(sent).trailers()) == ["grpc-status: 0", "x-sum: 1"])
    #expect(try block([]).trailers().isEmpty)
  }
}

@Suite struct FieldBlockChanceTests {
  private static let names = [
    ":method", ":scheme", ":path", ":authority", ":protocol", "host", "cookie", "te", "x", "X", "",
    ":", "content-length", "connection", "x y",
  ]
  private static let values = [
    "GET", "POST", "CONNECT", "https", "http", "/", "/a?b", "*", "a", "b:80", "a:443", "[::1]", "",
    "trailers", "websocket", "5", "a\r\nb", " x", "\u{E9}", "u@a",
  ]

  @Test("blocks of chance never trap, and what is taken reads as the same request in HTTP/1.1")
  func chance() throws {
    var takenCount = 0
    for seed in UInt64(0)..<20_000 {
      var chance = SplitMix(seed: seed)
      var sent = [":method: GET", ":scheme: https", ":path: /", ":authority: a"]
      for _ in 0..<Int.random(in: 0...4, using: &chance) {
        let name = Self.names.randomElement(using: &chance) ?? ""
        let value = Self.values.randomElement(using: &chance) ?? ""
        let line = "\(name): \(value)"
        if Bool.random(using: &chance) {
          sent[Int.random(in: sent.indices, using: &chance)] = line
        } else {
          sent.append(line)
        }
      }
      guard let head = try? block(sent).request() else { continue }
      takenCount += 1
      guard head.method != "CONNECT" else { continue }
      var expected = head
      expected.version = .http11
      #expect(readRequest([head.serialized()]).head == expected, "seed \(seed): \(sent)")
    }
    #expect(takenCount > 1000)
  }
}
