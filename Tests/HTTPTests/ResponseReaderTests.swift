import HTTP
import Testing

@Suite struct ResponseReaderTests {
  private static let refusedHeads: [(String, HeadError)] = [
    ("GET / HTTP/1.1\r\n", .notHTTP), ("\r\nHTTP/1.1", .notHTTP), ("\u{15}\u{03}", .notHTTP),
    ("\n", .bareLineFeed),
    ("HTTP/2.0 200 OK\r\n", .unsupportedVersion), ("HTTP/1.1\r\n", .malformedStatusLine),
    ("HTTQ", .malformedStatusLine), ("HTTP/1.1 20\r\n", .malformedStatusLine),
    ("HTTP/1.1  200", .malformedStatusLine), ("HTTP/1.1 2000", .malformedStatusLine),
    ("HTTP/1.1 099 ", .malformedStatusLine), ("HTTP/1.1 600 ", .malformedStatusLine),
    ("HTTP/1.1 +20", .malformedStatusLine), ("HTTP/1.1 200\t", .malformedStatusLine),
    ("HTTP/1.1 200 a\0", .controlInFieldValue), ("HTTP/1.1 200 OK\n", .bareLineFeed),
    ("HTTP/1.1 200\n", .bareLineFeed), ("HTTP/1.1 200 OK\rX", .bareCarriageReturn),
    ("HTTP/1.1 200 OK\r\n X: a", .foldedField),
    ("HTTP/1.1 200 OK\r\nX : a", .whitespaceBeforeColon),
    ("HTTP/1.1 200 OK\r\nX: a\nb", .bareLineFeed),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", .conflictingLengths),
    ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", .malformedLength),
    (
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      .lengthAndTransferEncoding
    ),
    (
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
      .unsupportedTransferEncoding
    ),
    (
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
      .unsupportedTransferEncoding
    ),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .unsupportedTransferEncoding),
  ]

  @Test("a head means the same however it arrives, and what follows it is left alone")
  func everyDelivery() throws {
    let text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    for pieces in deliveries(of: Array(text.utf8) + [0x81, 0x00]) {
      let outcome = readResponse(pieces)
      let head = try #require(outcome.head)
      #expect(outcome.byteCount == text.utf8.count)
      #expect(head.status == 101)
      #expect(head.reason == "Switching Protocols")
      #expect(head.version == .http11)
      #expect(lines(head.fields) == ["Upgrade: websocket", "connection: upgrade"])
    }
  }

  @Test(
    "status lines that are read",
    arguments: [
      ("HTTP/1.1 200 OK", 200, "OK"), ("HTTP/1.1 200 ", 200, ""), ("HTTP/1.1 200", 200, ""),
      ("HTTP/1.0 599 a\tb  \u{00E9}", 599, "a\tb  \u{00E9}"),
      ("HTTP/1.1 100 Continue", 100, "Continue"),
    ])
  func accepted(line: String, status: Int, reason: String) throws {
    for pieces in deliveries(of: Array("\(line)\r\n\r\n".utf8)) {
      let head = try #require(readResponse(pieces).head)
      #expect(head.status == status)
      #expect(head.reason == reason)
    }
  }

  @Test("heads that are refused", arguments: refusedHeads)
  func refused(text: String, error: HeadError) {
    for pieces in deliveries(of: Array(text.utf8)) {
      let outcome = readResponse(pieces)
      #expect(outcome.failure == error, "\(text.debugDescription)")
    }
  }

  @Test("a head over the limit is refused before it ends, and a hundred and one fields are")
  func limits() {
    let octets = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)
    let exact = readResponse([octets], headByteCountMax: octets.count)
    #expect(exact.byteCount == octets.count)
    let over = readResponse([octets], headByteCountMax: octets.count - 1)
    #expect(over.failure == .headTooLarge)
    let fields = String(repeating: "a:b\r\n", count: 101)
    let many = readResponse([Array("HTTP/1.1 200 OK\r\n\(fields)\r\n".utf8)])
    #expect(many.failure == .tooManyFields)
  }

  @Test("an interim response is a head, and the reader waits for the next")
  func interim() throws {
    var reader = ResponseReader(headByteCountMax: 1024)
    let octets = Array("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n".utf8)
    guard case .head(let first, let consumed) = try reader.receive(octets.span),
      case .head(let second, _) = try reader.receive(Array(octets[consumed...]).span)
    else {
      Issue.record("no head")
      return
    }
    #expect(first.status == 100)
    #expect(second.status == 204)
  }
}
