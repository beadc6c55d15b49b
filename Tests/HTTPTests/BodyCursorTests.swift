import HTTP
import Testing

@Suite struct BodyCursorTests {
  private static func head(_ status: Int, _ fields: [(String, String)]) -> ResponseHead {
    var head = ResponseHead(status: status)
    for (name, value) in fields { head.fields.append(name: name, value: value) }
    return head
  }

  /// How many octets belong to the body, and whether it is complete; or why not.
  private static func walk(
    _ pieces: [[UInt8]], _ head: ResponseHead, method: String = "GET"
  ) throws(HeadError) -> (count: Int, isComplete: Bool) {
    var cursor = try BodyCursor(response: head, toMethod: method)
    var count = 0
    for piece in pieces {
      let taken = try cursor.advance(piece.span)
      count += taken
      if taken < piece.count { break }
    }
    return (count, cursor.isComplete)
  }

  @Test(
    "which responses have no body",
    arguments: [
      (101, "GET"), (100, "GET"), (204, "GET"), (304, "GET"), (200, "HEAD"), (200, "CONNECT"),
    ])
  func none(status: Int, method: String) throws {
    for fields in [[], [("Content-Length", "5")], [("Transfer-Encoding", "chunked")]] {
      let cursor = try BodyCursor(response: Self.head(status, fields), toMethod: method)
      #expect(cursor.isComplete)
      #expect(!cursor.endsAtClose)
    }
  }

  @Test("a length is counted down, and what follows is left alone")
  func fixedLength() throws {
    let head = Self.head(200, [("Content-Length", "4")])
    for pieces in deliveries(of: Array("bodyHTTP/1.1".utf8)) {
      let (count, isComplete) = try Self.walk(pieces, head)
      #expect(count == 4)
      #expect(isComplete)
    }
    let short = try Self.walk([Array("bod".utf8)], head)
    #expect(short.count == 3)
    #expect(!short.isComplete)
    #expect(
      try BodyCursor(response: Self.head(200, [("Content-Length", "0")]), toMethod: "GET")
        .isComplete)
  }

  @Test(
    "without a length the body ends at the close", arguments: [[], [("Transfer-Encoding", "gzip")]])
  func untilClose(fields: [(String, String)]) throws {
    var cursor = try BodyCursor(response: Self.head(200, fields), toMethod: "GET")
    let taken = try cursor.advance(Array("anything".utf8).span)
    #expect(taken == 8)
    #expect(cursor.endsAtClose)
    #expect(!cursor.isComplete)
  }

  @Test(
    "chunks end with the empty line behind the last one",
    arguments: [
      "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A\r\n0\r\n\r\n0\r\n\r\n\r\n000\r\n\r\n",
      "a;x=y;z=\"q\"\r\n0123456789\r\n1  \r\n\n\r\n0;last\r\n\r\n",
      "1 ; x\r\n\r\r\n0\r\nTrailer: a\r\nX:\r\n\r\n",
    ])
  func chunks(text: String) throws {
    let head = Self.head(200, [("Transfer-Encoding", "gzip, Chunked")])
    for pieces in deliveries(of: Array((text + "HTTP").utf8)) {
      let (count, isComplete) = try Self.walk(pieces, head)
      #expect(count == text.utf8.count)
      #expect(isComplete)
    }
    for length in 0..<text.utf8.count {
      let (count, isComplete) = try Self.walk([Array(text.utf8.prefix(length))], head)
      #expect(count == length)
      #expect(!isComplete)
    }
  }

  private static let malformedChunks: [(String, HeadError)] = [
    ("\r\n", .malformedChunk), ("g\r\n", .malformedChunk), ("-1\r\n", .malformedChunk),
    (" 1\r\n", .malformedChunk), (";x\r\n", .malformedChunk), ("0x1\r\n", .malformedChunk),
    ("1 1\r\n", .malformedChunk), ("8000000000000000\r\n", .malformedChunk),
    ("FFFFFFFFFFFFFFFFF\r\n", .malformedChunk), ("1;\0\r\n", .malformedChunk),
    ("1\r\nab\r\n", .malformedChunk), ("1\r\na\n", .malformedChunk),
    ("1\n", .bareLineFeed), ("1;x\n", .bareLineFeed), ("1\rX", .bareCarriageReturn),
    ("1\r\na\rX", .bareCarriageReturn), ("0\r\n\n", .bareLineFeed),
    ("0\r\nX : a\r\n", .whitespaceBeforeColon), ("0\r\n X: a\r\n", .foldedField),
    ("0\r\n\rX", .bareCarriageReturn),
    ("1;" + String(repeating: "x", count: 1024), .malformedChunk),
    ("0\r\nX: " + String(repeating: "x", count: 16 * 1024), .headTooLarge),
  ]

  @Test("chunks that are refused", arguments: malformedChunks)
  func malformed(text: String, expected: HeadError) {
    let head = Self.head(200, [("Transfer-Encoding", "chunked")])
    let octets = Array(text.utf8)
    for pieces in octets.count > 100 ? [[octets], octets.map { [$0] }] : deliveries(of: octets) {
      do throws(HeadError) {
        _ = try Self.walk(pieces, head)
        Issue.record("\(text.debugDescription) was taken")
      } catch {
        #expect(error == expected)
      }
    }
  }

  @Test("a head that contradicts itself has no cursor")
  func contradiction() {
    let head = Self.head(200, [("Content-Length", "4"), ("Transfer-Encoding", "chunked")])
    #expect(throws: HeadError.lengthAndTransferEncoding) {
      try BodyCursor(response: head, toMethod: "GET")
    }
  }

  @Test("a request without a length has no body")
  func request() throws {
    var head = RequestHead(method: "POST", target: "/")
    #expect(try BodyCursor(request: head).isComplete)
    head.fields.set("Content-Length", "2")
    var cursor = try BodyCursor(request: head)
    let taken = try cursor.advance([1, 2, 3].span)
    #expect(taken == 2)
    #expect(cursor.isComplete)
    head.fields.remove("content-length")
    head.fields.set("Transfer-Encoding", "chunked")
    cursor = try BodyCursor(request: head)
    #expect(!cursor.isComplete)
    #expect(!cursor.endsAtClose)
  }
}
