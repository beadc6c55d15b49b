import HTTP
import Testing

/// Messages that two readers have been known to read differently (RFC 9112 §11.2), each with the one
/// outcome that is right here: refused, or a body and what stands behind it, exactly.
///
/// Each is read whole, octet by octet, and cut in two at every place.
@Suite struct DesyncTests {
  /// A request with these lines behind its Host, a head's end, and what comes behind that.
  private static func post(_ lines: String, _ behind: String = "") -> String {
    "POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\r\n\(behind)"
  }

  private static func get(_ behind: String) -> String {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n\(behind)"
  }

  private static let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
  private static let chunked = "Transfer-Encoding: chunked"

  // MARK: Two announcements

  private static let announcements: [(String, Reading)] = [
    // CL.TE and TE.CL, in either order and in every guise of the second one.
    (post("Content-Length: 6\r\n\(chunked)", "0\r\n\r\nG"), .refused(.lengthAndTransferEncoding)),
    (post("\(chunked)\r\nContent-Length: 4", "5c\r\n"), .refused(.lengthAndTransferEncoding)),
    (post("\(chunked)\r\nContent-Length: 0", "0\r\n\r\n"), .refused(.lengthAndTransferEncoding)),
    (
      post("Content-Length: 4\r\nTransfer-Encoding: x", "0\r\n"),
      .refused(.lengthAndTransferEncoding)
    ),
    (
      post("Content-Length: 4\r\nTransfer-Encoding:", "0\r\n"),
      .refused(.lengthAndTransferEncoding)
    ),
    (
      post("Content-Length: 4\r\nTransfer-Encoding : chunked"), .refused(.whitespaceBeforeColon)
    ),
    (post("Content-Length: 4\r\nTransfer-Encoding\t: chunked"), .refused(.whitespaceBeforeColon)),
    (post("Content-Length: 4\r\n Transfer-Encoding: chunked"), .refused(.foldedField)),
    (post("Content-Length: 4\r\nTransfer-Encoding:\r\n chunked"), .refused(.foldedField)),
    (post("Content-Length: 4\r\nX: y\nTransfer-Encoding: chunked"), .refused(.bareLineFeed)),
    (post("Content-Length: 4\r\nX: y\rTransfer-Encoding: chunked"), .refused(.bareCarriageReturn)),
    (post("Content-Length: 4\r\n\0Transfer-Encoding: chunked"), .refused(.malformedFieldName)),
    (post("Content-Length: 4\r\nTransfer-Encoding\0: chunked"), .refused(.malformedFieldName)),
    (post("Content-Length: 4\r\nTransfer-Encoding: \0chunked"), .refused(.controlInFieldValue)),
    // Names that only look like it are other names, and say nothing.
    (
      post("Content-Length: 4\r\nTransfer_Encoding: chunked", "0\r\n\r\(smuggled)"),
      .body(Body("0\r\n\r", rest: smuggled))
    ),
    (post("Content_Length: 9", smuggled), .body(Body("", rest: smuggled))),
    // TE.TE
    (post("Transfer-Encoding: xchunked"), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: chunked, cow"), .refused(.unsupportedTransferEncoding)),
    (post("\(chunked)\r\nTransfer-Encoding: cow"), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: cow\r\n\(chunked)"), .refused(.unsupportedTransferEncoding)),
    (post("\(chunked)\r\n\(chunked)"), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: \"chunked\""), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: chunked;x=y"), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: identity"), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: gzip, chunked"), .refused(.unsupportedTransferEncoding)),
    (post("Transfer-Encoding: \u{0B}chunked"), .refused(.controlInFieldValue)),
    (post("Transfer-Encoding: chunked\u{0C}"), .refused(.controlInFieldValue)),
    (post("TRANSFER-ENCODING:\tchunkeD \t", "0\r\n\r\nG"), .body(Body("", rest: "G"))),
    ("POST / HTTP/1.0\r\nHost: a\r\n\(chunked)\r\n\r\n", .refused(.unsupportedTransferEncoding)),
    ("POST / HTTP/1.0\r\n\(chunked)\r\n\r\n0\r\n\r\n", .refused(.unsupportedTransferEncoding)),
  ]

  private static let lengths: [(String, Reading)] = [
    (post("Content-Length: 4\r\nContent-Length: 5", "body"), .refused(.conflictingLengths)),
    (post("Content-Length: 0\r\ncontent-length: 4", "body"), .refused(.conflictingLengths)),
    (post("Content-Length: 4\r\nContent-Length:", "body"), .refused(.malformedLength)),
    (post("Content-Length: 4, 4", "body"), .refused(.malformedLength)),
    (post("Content-Length: +4", "body"), .refused(.malformedLength)),
    (post("Content-Length: -4", "body"), .refused(.malformedLength)),
    (post("Content-Length: -0", "body"), .refused(.malformedLength)),
    (post("Content-Length: 4 4", "body"), .refused(.malformedLength)),
    (post("Content-Length: 4_0", "body"), .refused(.malformedLength)),
    (post("Content-Length: 0x4", "body"), .refused(.malformedLength)),
    (post("Content-Length: 4.0", "body"), .refused(.malformedLength)),
    (post("Content-Length: 4e0", "body"), .refused(.malformedLength)),
    (post("Content-Length: \u{0664}", "body"), .refused(.malformedLength)),
    (post("Content-Length: 9223372036854775808"), .refused(.malformedLength)),
    (post("Content-Length: 18446744073709551620", "body"), .refused(.malformedLength)),
    (post("Content-Length: \(String(repeating: "9", count: 400))"), .refused(.malformedLength)),
    (post("Content-Length : 4", "body"), .refused(.whitespaceBeforeColon)),
    (post("Content-Length: 4\r\n 5", "body"), .refused(.foldedField)),
    (post("Content-Length: 4\0", "body"), .refused(.controlInFieldValue)),
    (post("Content-Length: 9223372036854775807", "body"), .body(.part("body"))),
    // The grammar allows zeros before the number, and the next hop gets it without them.
    (post("Content-Length: 0000000000000000000000004", "bodyG"), .body(Body("body", rest: "G"))),
    (post("Content-Length: \t 4 \t", "body"), .body(Body("body"))),
    (post("Content-Length: 4\r\nContent-Length: 04", "body"), .body(Body("body"))),
    (post("Content-Length: 4", "bod"), .body(.part("bod"))),
    (post("Content-Length: 0", smuggled), .body(Body("", rest: smuggled))),
    (
      post("Content-Length: 4", "body\r\n\(smuggled)"), .body(Body("body", rest: "\r\n\(smuggled)"))
    ),
    (post("X: y", smuggled), .body(Body("", rest: smuggled))),
    (get("\0\u{16}\u{03}garbage"), .body(Body("", rest: "\0\u{16}\u{03}garbage"))),
    (
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\(smuggled)",
      .body(Body("hello", rest: smuggled))
    ),
    (
      "GET / HTTP/1.1\r\nHost: a\r\n\(chunked)\r\n\r\n1\r\nG\r\n0\r\n\r\n\(smuggled)",
      .body(Body("G", rest: smuggled))
    ),
    (
      "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.0",
      .body(Body("body", rest: "GET / HTTP/1.0"))
    ),
  ]

  // MARK: Chunks

  private static let chunks: [(String, Reading)] = [
    ("4\r\nbody\r\n0\r\n\r\n\(smuggled)", .body(Body("body", rest: smuggled))),
    ("4;a=\"0\r\n\r\n\"\r\nbody", .refused(.malformedChunk)),
    ("4;a\r\nbody\r\n0;b=c\r\n\r\n", .body(Body("body"))),
    ("4;\nbody\r\n0\r\n\r\n", .refused(.bareLineFeed)),
    ("4;a\nbody\r\n0\r\n\r\n", .refused(.bareLineFeed)),
    ("4;a\rbody\r\n0\r\n\r\n", .refused(.bareCarriageReturn)),
    ("4;\0\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("4\nbody\n0\n\n", .refused(.bareLineFeed)),
    ("4\r\nbody\n0\r\n\r\n", .refused(.malformedChunk)),
    ("4\r\nbody\r0\r\n\r\n", .refused(.bareCarriageReturn)),
    ("4\r\nbodyx\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("4\r\nbod\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("0x4\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("+4\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("-4\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    (" 4\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("4_\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("4 \r\nbody\r\n0\r\n\r\n", .body(Body("body"))),
    ("4 4\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("\u{0664}\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("\r\n4\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("4\r\nbody\r\n\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("7FFFFFFFFFFFFFFF\r\nbody", .body(.part("body"))),
    ("8000000000000000\r\nbody", .refused(.malformedChunk)),
    ("10000000000000004\r\nbody\r\n0\r\n\r\n", .refused(.malformedChunk)),
    ("00000000000000000004\r\nbody\r\n0\r\n\r\n", .body(Body("body"))),
    ("4\r\nbody\r\n0\r\n", .body(.part("body"))),
    ("4\r\nbody\r\n0\r\n\r", .body(.part("body"))),
    ("4\r\nbody\r\n0\r\n\n", .refused(.bareLineFeed)),
    ("4\r\nbody\r\n0\r\n\(smuggled)", .refused(.whitespaceBeforeColon)),
    ("4\r\nbody\r\n0\r\nGET\r\n\r\n", .refused(.malformedFieldName)),
    ("4\r\nbody\r\n0\r\n\r\n\0", .body(Body("body", rest: "\0"))),
    ("0\r\n\r\n0\r\n\r\n", .body(Body("", rest: "0\r\n\r\n"))),
    ("000;x\r\n\r\nG", .body(Body("", rest: "G"))),
  ]

  private static let trailers: [(String, Reading)] = [
    ("0\r\nX-Sum: 1\r\n\r\nG", .body(Body("", rest: "G", trailers: ["X-Sum: 1"]))),
    (
      "0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX: 1\r\n\r\nG",
      .body(Body("", rest: "G", trailers: ["X: 1"]))
    ),
    (
      "0\r\nAuthorization: x\r\nCookie: x\r\nX-Forwarded-For: ::1\r\nX_Forwarded_For: 1\r\n\r\n",
      .body(Body(""))
    ),
    ("0\r\nX: 1\r\n 2\r\n\r\n", .refused(.foldedField)),
    ("0\r\nX : 1\r\n\r\n", .refused(.whitespaceBeforeColon)),
    ("0\r\nX: 1\nY: 2\r\n\r\n", .refused(.bareLineFeed)),
    ("0\r\nX: 1\rY: 2\r\n\r\n", .refused(.bareCarriageReturn)),
    ("0\r\nX: \0\r\n\r\n", .refused(.controlInFieldValue)),
    ("0\r\n: 1\r\n\r\n", .refused(.emptyFieldName)),
    ("0\r\nX: 1\r\n\r", .body(.part(""))),
  ]

  // MARK: Whom it is for

  private static let places: [(String, Reading)] = [
    ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\nG", .body(Body("", rest: "G"))),
    ("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", .refused(.conflictingHost)),
    ("GET http://a:80@b/x HTTP/1.1\r\nHost: a\r\n\r\n", .refused(.malformedHost)),
    ("GET http://a\\@b/x HTTP/1.1\r\nHost: a\r\n\r\n", .refused(.malformedHost)),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", .refused(.malformedHost)),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", .refused(.malformedHost)),
    // A bracket and what combines with it are one character, and two code points.
    ("GET / HTTP/1.1\r\nHost: [\u{301}::1]\r\n\r\n", .refused(.malformedHost)),
    ("GET / HTTP/1.1\r\nHost: [::1\u{600}]:80\r\n\r\n", .refused(.malformedHost)),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .refused(.repeatedHost)),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost : b\r\n\r\n", .refused(.whitespaceBeforeColon)),
    ("GET / HTTP/1.1\r\n\r\n", .refused(.missingHost)),
    ("GET @b/x HTTP/1.1\r\nHost: a\r\n\r\n", .refused(.malformedTarget)),
    ("GET b:80 HTTP/1.1\r\nHost: a\r\n\r\n", .refused(.malformedTarget)),
    ("CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", .refused(.malformedTarget)),
    ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", .refused(.malformedTarget)),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n HTTP/1.1\r\n\r\n", .refused(.foldedField)),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r c\r\n\r\n", .refused(.bareCarriageReturn)),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", .refused(.controlInFieldValue)),
    ("GET / HTTP/1.1 \(smuggled)", .refused(.malformedRequestLine)),
    ("GET / HTTP/1.1\n\(smuggled)", .refused(.bareLineFeed)),
    ("\r\n\r\n\(smuggled)", .refused(.malformedRequestLine)),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .refused(.unsupportedVersion)),
  ]

  private static let requests: [(String, Reading)] =
    announcements + lengths + places
    + (chunks + trailers).map { (post(chunked, $0.0), $0.1) }

  @Test("requests", arguments: requests)
  func request(text: String, expected: Reading) {
    for pieces in deliveries(of: Array(text.utf8)) {
      let reading = readRequestWithBody(pieces)
      #expect(reading == expected, "\(text.debugDescription)")
    }
  }

  // MARK: Answers

  private static func ok(_ lines: String, _ behind: String = "") -> String {
    "HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n\(behind)"
  }

  private static let answers: [(String, Reading)] = [
    (ok("Content-Length: 4", "bodyHTTP/1.1 200 OK"), .body(Body("body", rest: "HTTP/1.1 200 OK"))),
    (ok("Content-Length: 04\r\nContent-Length: 4", "body"), .body(Body("body"))),
    (ok("Content-Length: 4\r\nContent-Length: 5", "body"), .refused(.conflictingLengths)),
    (ok("Content-Length: 4, 4", "body"), .refused(.malformedLength)),
    (ok("Content-Length: +4", "body"), .refused(.malformedLength)),
    (ok("Content-Length: 4\r\n\(chunked)", "0\r\n\r\n"), .refused(.lengthAndTransferEncoding)),
    (ok("\(chunked)\r\nContent-Length: 4", "0\r\n\r\n"), .refused(.lengthAndTransferEncoding)),
    (ok("Transfer-Encoding: gzip", "x"), .refused(.unsupportedTransferEncoding)),
    (ok("Transfer-Encoding: gzip, chunked", "x"), .refused(.unsupportedTransferEncoding)),
    (ok("Transfer-Encoding: chunked, gzip", "x"), .refused(.unsupportedTransferEncoding)),
    (ok("Transfer-Encoding: gzip\r\n\(chunked)"), .refused(.unsupportedTransferEncoding)),
    (ok("Transfer-Encoding:", "x"), .refused(.unsupportedTransferEncoding)),
    ("HTTP/1.0 200 OK\r\n\(chunked)\r\n\r\n", .refused(.unsupportedTransferEncoding)),
    (ok("X: y", "body\r\n\r\nHTTP/1.1"), .body(.part("body\r\n\r\nHTTP/1.1"))),
    ("HTTP/1.0 200 OK\r\n\r\nbody", .body(.part("body"))),
    ("HTTP/1.1 204 \r\nContent-Length: 4\r\n\r\nbody", .body(Body("", rest: "body"))),
    ("HTTP/1.1 304 \r\n\(chunked)\r\n\r\n0\r\n\r\n", .body(Body("", rest: "0\r\n\r\n"))),
    ("HTTP/1.1 101 \r\nContent-Length: 4\r\n\r\nbody", .body(Body("", rest: "body"))),
    (ok("X: y\r\n z"), .refused(.foldedField)),
    (ok("X: y\nContent-Length: 4"), .refused(.bareLineFeed)),
    (ok("Content-Length : 4"), .refused(.whitespaceBeforeColon)),
    ("HTTP/1.1 200 OK\0\r\n\r\n", .refused(.controlInFieldValue)),
    ("HTTP/1.1 200 OK\rX: y\r\n\r\n", .refused(.bareCarriageReturn)),
  ]

  @Test("answers", arguments: answers + (chunks + trailers).map { (ok(chunked, $0.0), $0.1) })
  func answer(text: String, expected: Reading) {
    for pieces in deliveries(of: Array(text.utf8)) {
      let reading = readResponseWithBody(pieces)
      #expect(reading == expected, "\(text.debugDescription)")
    }
  }

  @Test("an answer to HEAD has no body, whatever it says")
  func head() {
    for line in ["Content-Length: 4", "Transfer-Encoding: gzip, chunked", "X: y"] {
      let reading = readResponseWithBody([Array(Self.ok(line, "body").utf8)], method: "HEAD")
      #expect(reading == .body(Body("", rest: "body")))
    }
    let both = readResponseWithBody(
      [Array(Self.ok("Content-Length: 4\r\n\(Self.chunked)").utf8)], method: "HEAD")
    #expect(both == .refused(.lengthAndTransferEncoding))
  }

  // MARK: What the next hop reads

  @Test(
    "whatever is taken reaches the server as one message with the same body", arguments: requests)
  func forwarded(text: String, expected: Reading) throws {
    guard case .body(let body) = expected, body.isComplete else { return }
    let client = try #require(readRequest(text).head)
    let forwarding = Forwarding(clientAddress: "::1", scheme: "http", requestID: "1")
    for framing in [try BodyReader(request: client).framing, .chunked] {
      let head = forwarding.request(from: client, framing: framing)
      let trailers = fields(framing == .chunked ? body.trailers : [])
      let octets = try #require(framed(body.content, framing, trailers: trailers))
      let reading = readRequestWithBody([head.serialized() + octets])
      var kept = body
      kept.rest = []
      if framing != .chunked { kept.trailers = [] }
      #expect(reading == .body(kept))
    }
  }

  @Test("whatever is taken reaches the client as one answer with the same body", arguments: answers)
  func forwardedAnswer(text: String, expected: Reading) throws {
    guard case .body(let body) = expected else { return }
    let server = try #require(readResponse([Array(text.utf8)]).head)
    let reader = try BodyReader(response: server, toMethod: "GET")
    guard body.isComplete || reader.endsAtClose, server.status != 101 else { return }
    let got = server.forwarded(toVersion: .http11, method: "GET", body: reader, persists: true)
    let octets = try #require(framed(body.content, got.framing))
    var kept = body
    kept.rest = []
    kept.isComplete = true
    #expect(readResponseWithBody([got.head.serialized() + octets]) == .body(kept))
  }
}

/// Fields with these lines, each `name: value`.
private func fields(_ lines: [String]) -> Fields {
  var fields = Fields()
  for line in lines {
    let parts = line.split(separator: ": ", maxSplits: 1, omittingEmptySubsequences: false)
    fields.append(name: String(parts[0]), value: String(parts[1]))
  }
  return fields
}
