import HTTP
import Net
import Testing

@Suite struct BodyReaderTests {
  private static func head(_ status: Int, _ fields: [(String, String)]) -> ResponseHead {
    var head = ResponseHead(status: status)
    for (name, value) in fields { head.fields.append(name: name, value: value) }
    return head
  }

  private static func reader(
    _ fields: [(String, String)], status: Int = 200, method: String = "GET"
  ) throws(HeadError) -> BodyReader {
    try BodyReader(response: Self.head(status, fields), toMethod: method)
  }

  private static let chunked = [("Transfer-Encoding", "Chunked")]

  @Test(
    "which responses have no body",
    arguments: [
      (101, "GET"), (100, "GET"), (204, "GET"), (304, "GET"), (200, "HEAD"), (200, "CONNECT"),
    ])
  func none(status: Int, method: String) throws {
    for fields in [[], [("Content-Length", "5")], [("Transfer-Encoding", "gzip, chunked")]] {
      let reader = try Self.reader(fields, status: status, method: method)
      #expect(reader.framing == .none)
      #expect(reader.isComplete)
      #expect(!reader.endsAtClose)
      #expect(try readBody([Array("HTTP".utf8)], by: reader) == Body("", rest: "HTTP"))
    }
  }

  @Test("a length is counted down, and what follows is left alone")
  func fixedLength() throws {
    let reader = try Self.reader([("Content-Length", "4")])
    #expect(reader.framing == .length(4))
    for pieces in deliveries(of: Array("bodyHTTP/1.1".utf8)) {
      #expect(try readBody(pieces, by: reader) == Body("body", rest: "HTTP/1.1"))
    }
    #expect(try readBody([Array("bod".utf8)], by: reader) == .part("bod"))
    let empty = try Self.reader([("Content-Length", "0")])
    #expect(empty.framing == .length(0))
    #expect(empty.isComplete)
  }

  @Test("without a length the body ends at the close")
  func untilClose() throws {
    let reader = try Self.reader([])
    #expect(reader.framing == .untilClose)
    #expect(reader.endsAtClose)
    #expect(try readBody([Array("anything".utf8)], by: reader) == .part("anything"))
  }

  @Test(
    "a coding that would be lost with the chunks is refused",
    arguments: ["gzip", "gzip, chunked", "chunked, chunked", "identity", ""])
  func otherCodings(coding: String) {
    #expect(throws: HeadError.unsupportedTransferEncoding) {
      try Self.reader([("Transfer-Encoding", coding)])
    }
  }

  private static let wellFormedChunks: [(String, String, [String])] = [
    ("0\r\n\r\n", "", []), ("5\r\nhello\r\n0\r\n\r\n", "hello", []),
    ("A\r\n0\r\n\r\n0\r\n\r\n\r\n000\r\n\r\n", "0\r\n\r\n0\r\n\r\n", []),
    (
      "a;x=y;z=\"q\"\r\n0123456789\r\n1  \r\n\n\r\n0;last\r\n\r\n", "0123456789\n", []
    ),
    ("1 ; x\r\n\r\r\n0\r\nTrailer: a\r\nX:\r\nY: \t b \r\n\r\n", "\r", ["X: ", "Y: b"]),
    ("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n", "abcd", []),
  ]

  @Test("chunks end with the empty line behind the last one", arguments: wellFormedChunks)
  func chunks(text: String, content: String, trailers: [String]) throws {
    let reader = try Self.reader(Self.chunked)
    #expect(reader.framing == .chunked)
    #expect(!reader.endsAtClose)
    for pieces in deliveries(of: Array((text + "HTTP").utf8)) {
      let body = try readBody(pieces, by: reader)
      #expect(body == Body(content, rest: "HTTP", trailers: trailers))
    }
    for length in 0..<text.utf8.count {
      let body = try readBody([Array(text.utf8.prefix(length))], by: reader)
      #expect(!body.isComplete)
      #expect(content.utf8.starts(with: body.content))
    }
  }

  private static let malformedChunks: [(String, HeadError)] = [
    ("\r\n", .malformedChunk), ("g\r\n", .malformedChunk), ("-1\r\n", .malformedChunk),
    ("+1\r\n", .malformedChunk), (" 1\r\n", .malformedChunk), (";x\r\n", .malformedChunk),
    ("0x1\r\n", .malformedChunk), ("1_0\r\n", .malformedChunk), ("1h\r\n", .malformedChunk),
    ("1 1\r\n", .malformedChunk), ("8000000000000000\r\n", .malformedChunk),
    ("FFFFFFFFFFFFFFFFF\r\n", .malformedChunk), ("1;\0\r\n", .malformedChunk),
    ("1\r\nab\r\n", .malformedChunk), ("1\r\na\n", .malformedChunk),
    ("1\n", .bareLineFeed), ("1;x\n", .bareLineFeed), ("1 \n", .bareLineFeed),
    ("1\rX", .bareCarriageReturn), ("1;x\rX", .bareCarriageReturn),
    ("1\r\na\rX", .bareCarriageReturn), ("0\r\n\n", .bareLineFeed),
    ("0\r\nX : a\r\n", .whitespaceBeforeColon), ("0\r\n X: a\r\n", .foldedField),
    ("0\r\nX: a\r\n b\r\n", .foldedField), ("0\r\nX: a\0\r\n", .controlInFieldValue),
    ("0\r\nGET / HTTP/1.1\r\n", .whitespaceBeforeColon), ("0\r\nX\r\n", .malformedFieldName),
    ("0\r\n\rX", .bareCarriageReturn),
    ("1;" + String(repeating: "x", count: 1024), .malformedChunk),
    (String(repeating: "0", count: 1025), .malformedChunk),
    ("0\r\nX: " + String(repeating: "x", count: 16 * 1024), .headTooLarge),
    ("0\r\n" + String(repeating: "a:b\r\n", count: 101), .tooManyFields),
  ]

  @Test("chunks that are refused", arguments: malformedChunks)
  func malformed(text: String, expected: HeadError) throws {
    let reader = try Self.reader(Self.chunked)
    let octets = Array(text.utf8)
    for pieces in octets.count > 100 ? [[octets], octets.map { [$0] }] : deliveries(of: octets) {
      do throws(HeadError) {
        _ = try readBody(pieces, by: reader)
        Issue.record("\(text.debugDescription) was taken")
      } catch {
        #expect(error == expected)
      }
    }
  }

  @Test("after an error nothing is read any more")
  func failed() throws {
    var reader = try Self.reader(Self.chunked)
    var buffer = Buffer(capacity: 64)
    for text in ["x", "0\r\n\r\n"] {
      buffer.append(Array(text.utf8).span)
      do throws(HeadError) {
        _ = try reader.read(&buffer)
        Issue.record("\(text.debugDescription) was taken")
      } catch {
        #expect(error == .malformedChunk)
      }
      buffer.clear()
    }
    #expect(!reader.isComplete)
  }

  @Test("a head that contradicts itself has no reader")
  func contradiction() {
    #expect(throws: HeadError.lengthAndTransferEncoding) {
      try Self.reader([("Content-Length", "4"), ("Transfer-Encoding", "chunked")])
    }
  }

  @Test("a request without a length has no body")
  func request() throws {
    var head = RequestHead(method: "POST", target: "/")
    #expect(try BodyReader(request: head).framing == .none)
    #expect(try BodyReader(request: head).isComplete)
    head.fields.set("Content-Length", "2")
    #expect(try BodyReader(request: head).framing == .length(2))
    head.version = .http2
    #expect(try BodyReader(request: head).framing == .none)
    head.version = .http11
    head.fields.remove("content-length")
    head.fields.set("Transfer-Encoding", "chunked")
    let reader = try BodyReader(request: head)
    #expect(reader.framing == .chunked)
    #expect(!reader.isComplete)
    #expect(!reader.endsAtClose)
  }

  @Test("a buffer that was not emptied before has the content behind what is left")
  func fullBuffer() throws {
    var reader = try Self.reader(Self.chunked)
    var buffer = Buffer(capacity: 15)
    // Only framing: the buffer has all of its room again.
    buffer.append(Array("\u{0}5;extension\r\n".utf8).span)
    buffer.consume(1)
    let (content, rest) = try reader.read(&buffer)
    #expect((content, rest) == (0, 0))
    let room = buffer.freeCount
    #expect(room == 15)
  }

  @Test("trailers are given once, and only those that may stand there")
  func trailers() throws {
    let forbidden = [
      "Content-Length: 5", "Transfer-Encoding: chunked", "Host: b", "Authorization: x",
      "Cookie: a=b", "Set-Cookie: a", "X-Forwarded-For: ::1", "x_forwarded_for: ::1",
      "Forwarded: for=x", "Connection: close", "TE: x", "Trailer: y", "Upgrade: h2c",
      "Content-Encoding: gzip", "Content-Type: x", "If-Match: x", "X-Real-IP: ::1",
      "Proxy-Authorization: x", "Keep-Alive: 5", "Expect: x", "Sec-WebSocket-Key: x",
    ]
    let kept = ["X-Checksum: 1", "grpc-status: 0", "Server-Timing: a", "ETag: \"x\"", "Digest: x"]
    let text = (["0"] + forbidden + kept).joined(separator: "\r\n") + "\r\n\r\n"
    var reader = try Self.reader(Self.chunked)
    var buffer = Buffer(capacity: 4096)
    buffer.append(Array(text.utf8).span)
    let early = reader.takeTrailers()
    #expect(early.isEmpty)
    _ = try reader.read(&buffer)
    #expect(reader.isComplete)
    let (trailers, again) = (reader.takeTrailers(), reader.takeTrailers())
    #expect(lines(trailers) == kept)
    #expect(again.isEmpty)
  }
}

/// Bodies by chance.
@Suite struct BodyChanceTests {
  private static func reader() throws(HeadError) -> BodyReader {
    var head = RequestHead(method: "POST", target: "/")
    head.fields.set("Transfer-Encoding", "chunked")
    return try BodyReader(request: head)
  }

  private static func pieces(of octets: [UInt8], by chance: inout SplitMix) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var rest = octets[...]
    while !rest.isEmpty {
      let count = Int.random(in: 1...min(rest.count, 40), using: &chance)
      pieces.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return pieces
  }

  /// Chunks of chance around `content`, some with parameters and leading zeros.
  private static func chunked(_ content: [UInt8], by chance: inout SplitMix) -> [UInt8] {
    var octets: [UInt8] = []
    var rest = content[...]
    while !rest.isEmpty {
      let count = Int.random(in: 1...rest.count, using: &chance)
      let zeros = String(repeating: "0", count: Int.random(in: 0...3, using: &chance))
      let parameters = ["", "", ";a", " ; b=\"c\""].randomElement(using: &chance) ?? ""
      let size = String(count, radix: 16, uppercase: Bool.random(using: &chance))
      octets += Array("\(zeros)\(size)\(parameters)\r\n".utf8) + rest.prefix(count) + [13, 10]
      rest = rest.dropFirst(count)
    }
    return octets + Array("0\r\nX-End: 1\r\n\r\n".utf8)
  }

  @Test("however a chunked body is cut, its content is the same, and what follows is left alone")
  func cuts() throws {
    for seed in UInt64(0)..<2000 {
      var chance = SplitMix(seed: seed)
      let content = (0..<Int.random(in: 0...300, using: &chance)).map { _ in
        UInt8.random(in: .min ... .max, using: &chance)
      }
      let octets = Self.chunked(content, by: &chance) + Array("GET /".utf8)
      let pieces = Self.pieces(of: octets, by: &chance)
      let body = try readBody(pieces, by: Self.reader())
      #expect(body.content == content, "seed \(seed)")
      #expect(body.rest == Array("GET /".utf8), "seed \(seed)")
      #expect(body.trailers == ["X-End: 1"], "seed \(seed)")
    }
  }

  @Test("damaged chunks mean the same however they arrive")
  func damaged() throws {
    for seed in UInt64(0)..<3000 {
      var chance = SplitMix(seed: seed)
      var octets = Self.chunked(Array("0\r\n\r\n1\r\nx".utf8), by: &chance)
      for _ in 0..<Int.random(in: 1...3, using: &chance) {
        let place = Int.random(in: octets.indices, using: &chance)
        octets[place] = [0, 10, 13, 32, 48, 59, 255].randomElement(using: &chance) ?? 0
      }
      let whole = Self.reading([octets])
      #expect(Self.reading(Self.pieces(of: octets, by: &chance)) == whole, "seed \(seed)")
      #expect(Self.reading(octets.map { [$0] }) == whole, "seed \(seed)")
    }
  }

  private static func reading(_ pieces: [[UInt8]]) -> Reading {
    do throws(HeadError) {
      return .body(try readBody(pieces, by: Self.reader()))
    } catch {
      return .refused(error)
    }
  }
}
