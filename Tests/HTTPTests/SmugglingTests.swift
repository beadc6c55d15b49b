import HTTP
import Testing

/// What every reader must refuse, lest two of them read it differently (RFC 9112 §11.2).
@Suite struct SmugglingTests {
  private static let line = "GET / HTTP/1.1\r\n"
  private static let host = "GET / HTTP/1.1\r\nHost: a\r\n"

  private static let requestLines: [(String, HeadError)] = [
    ("GET /\r\n\r\n", .malformedRequestLine),
    ("GET / \r\n", .malformedRequestLine),
    ("GET\r\n", .malformedRequestLine),
    ("GET  / HTTP/1.1\r\n", .malformedRequestLine),
    ("GET /  HTTP/1.1\r\n", .malformedRequestLine),
    ("GET / HTTP/1.1 \r\n", .malformedRequestLine),
    ("GET\t/ HTTP/1.1\r\n", .malformedRequestLine),
    ("GET / http/1.1\r\n", .malformedRequestLine),
    ("GET / HTTP/1.10\r\n", .malformedRequestLine),
    ("GET / HTTP/1\r\n", .malformedRequestLine),
    ("GET / HTTP/1.x\r\n", .malformedRequestLine),
    ("GET / HTTP/+1.1\r\n", .malformedRequestLine),
    ("GET / ICY/1.1\r\n", .malformedRequestLine),
    ("GE(T / HTTP/1.1\r\n", .malformedRequestLine),
    ("GET / HTTP/2.0\r\n", .unsupportedVersion),
    ("GET / HTTP/0.9\r\n", .unsupportedVersion),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
    (" GET / HTTP/1.1\r\n", .notHTTP),
    ("\u{16}\u{03}\u{01}\u{02}", .notHTTP),
    ("\0", .notHTTP),
    (":", .notHTTP),
    ("\r\n\r\n", .malformedRequestLine),
    ("\r\r\n", .bareCarriageReturn),
    ("\nGET", .bareLineFeed),
    ("\r\n\n", .bareLineFeed),
    ("GE\nT", .bareLineFeed),
    ("GET /\nHost", .bareLineFeed),
    ("GET / HTTP/1.1\n", .bareLineFeed),
    ("GET / HTTP/1.1\rHost", .bareCarriageReturn),
    ("GET / HTTP/1.1\r\r\n", .bareCarriageReturn),
  ]

  private static let targets: [(String, HeadError)] = [
    ("GET /\0 HTTP/1.1\r\n", .malformedTarget),
    ("GET /\u{7F}", .malformedTarget),
    ("GET /\t", .malformedTarget),
    ("GET /\u{00E9}", .malformedTarget),
    ("GET /a#b HTTP/1.1\r\n", .malformedTarget),
    ("GET a \(host.dropFirst(6))\r\n", .malformedTarget),
    ("GET ?a \(host.dropFirst(6))\r\n", .malformedTarget),
    ("GET * \(host.dropFirst(6))\r\n", .malformedTarget),
    ("GET ftp://a/ \(host.dropFirst(6))\r\n", .malformedTarget),
    ("GET http:/a \(host.dropFirst(6))\r\n", .malformedTarget),
    ("GET ://a \(host.dropFirst(6))\r\n", .malformedTarget),
    ("CONNECT a:443 \(host.dropFirst(6))\r\n", .malformedTarget),
    ("CONNECT / \(host.dropFirst(6))\r\n", .malformedTarget),
    ("CONNECT http://a/ \(host.dropFirst(6))\r\n", .malformedTarget),
    ("GET http:///x \(host.dropFirst(6))\r\n", .malformedHost),
    ("GET http://u@a/ \(host.dropFirst(6))\r\n", .malformedHost),
    ("GET http://b/ \(host.dropFirst(6))\r\n", .conflictingHost),
    ("GET http://a:81/ \(host.dropFirst(6))\r\n", .conflictingHost),
    ("GET https://a:80/ \(host.dropFirst(6))\r\n", .conflictingHost),
  ]

  private static let fieldLines: [(String, HeadError)] = [
    (line + " Host: a\r\n", .foldedField),
    (host + "X: a\r\n b\r\n", .foldedField),
    (host + "X: a\r\n\tb\r\n", .foldedField),
    (host + "X: a\r\n \r\n", .foldedField),
    (host + "X : a\r\n", .whitespaceBeforeColon),
    (host + "X\t: a\r\n", .whitespaceBeforeColon),
    (host + "Content-Length : 5\r\n", .whitespaceBeforeColon),
    (host + ": a\r\n", .emptyFieldName),
    (host + "X\r\n", .malformedFieldName),
    (host + "X\0: a\r\n", .malformedFieldName),
    (host + "X(: a\r\n", .malformedFieldName),
    (host + "X\u{00E9}: a\r\n", .malformedFieldName),
    (host + "\u{0B}X: a\r\n", .malformedFieldName),
    (host + "\"X\": a\r\n", .malformedFieldName),
    (host + "X: a\0b\r\n", .controlInFieldValue),
    (host + "X:\0\r\n", .controlInFieldValue),
    (host + "X: a\u{0B}\r\n", .controlInFieldValue),
    (host + "X: \u{7F}\r\n", .controlInFieldValue),
    (host + "X: a\u{1B}[2J\r\n", .controlInFieldValue),
    (host + "X: a\nY: b\r\n", .bareLineFeed),
    (host + "X:\n", .bareLineFeed),
    (host + "X\n", .bareLineFeed),
    (host + "\n", .bareLineFeed),
    (host + "X: a\rY: b\r\n", .bareCarriageReturn),
    (host + "X: a\r\r\n", .bareCarriageReturn),
    (host + "\rX", .bareCarriageReturn),
    (host + "\r\r\n", .bareCarriageReturn),
  ]

  private static let hosts: [(String, HeadError)] = [
    ("", .missingHost), ("Hosts: a\r\n", .missingHost),
    ("Host: a\r\nHost: a\r\n", .repeatedHost), ("Host: a\r\nhOST: b\r\n", .repeatedHost),
    ("Host:\r\n", .malformedHost), ("Host: :80\r\n", .malformedHost),
    ("Host: a b\r\n", .malformedHost), ("Host: a,b\r\n", .malformedHost),
    ("Host: a/b\r\n", .malformedHost), ("Host: u@a\r\n", .malformedHost),
    ("Host: a:b\r\n", .malformedHost), ("Host: a:65536\r\n", .malformedHost),
    ("Host: a:+80\r\n", .malformedHost), ("Host: a:80:80\r\n", .malformedHost),
    ("Host: a:000080\r\n", .malformedHost),
    ("Host: a..b\r\n", .malformedHost), ("Host: .a\r\n", .malformedHost),
    ("Host: .\r\n", .malformedHost), ("Host: %61\r\n", .malformedHost),
    ("Host: b\u{00FC}cher.example\r\n", .malformedHost), ("Host: a?b\r\n", .malformedHost),
    ("Host: ::1\r\n", .malformedHost), ("Host: [::1\r\n", .malformedHost),
    ("Host: [::1]80\r\n", .malformedHost), ("Host: [::g]\r\n", .malformedHost),
    ("Host: [1.2.3.4]\r\n", .malformedHost), ("Host: [fe80::1%25eth0]\r\n", .malformedHost),
    ("Host: [[::1]]\r\n", .malformedHost), ("Host: []\r\n", .malformedHost),
    ("Host: \(String(repeating: "a.", count: 128))\r\n", .malformedHost),
  ]

  private static let framings: [(String, HeadError)] = [
    ("Content-Length: 5\r\nTransfer-Encoding: chunked", .lengthAndTransferEncoding),
    ("Transfer-Encoding: chunked\r\nContent-Length: 0", .lengthAndTransferEncoding),
    ("Content-Length: 5\r\nContent-Length: 6", .conflictingLengths),
    ("Content-Length: 5\r\ncontent-length: 0", .conflictingLengths),
    ("Content-Length:", .malformedLength), ("Content-Length: +5", .malformedLength),
    ("Content-Length: -5", .malformedLength), ("Content-Length: 0x5", .malformedLength),
    ("Content-Length: 5 5", .malformedLength), ("Content-Length: 5, 5", .malformedLength),
    ("Content-Length: 5,", .malformedLength), ("Content-Length: 5.0", .malformedLength),
    ("Content-Length: 5;", .malformedLength), ("Content-Length: \"5\"", .malformedLength),
    ("Content-Length: \u{0665}", .malformedLength),
    ("Content-Length: 9223372036854775808", .malformedLength),
    ("Content-Length: 18446744073709551621", .malformedLength),
    ("Transfer-Encoding: identity", .unsupportedTransferEncoding),
    ("Transfer-Encoding:", .unsupportedTransferEncoding),
    ("Transfer-Encoding: chunked, identity", .unsupportedTransferEncoding),
    ("Transfer-Encoding: gzip, chunked", .unsupportedTransferEncoding),
    ("Transfer-Encoding: chunked, chunked", .unsupportedTransferEncoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .unsupportedTransferEncoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", .unsupportedTransferEncoding),
    ("Transfer-Encoding: ,chunked", .unsupportedTransferEncoding),
    ("Transfer-Encoding: xchunked", .unsupportedTransferEncoding),
    ("Transfer-Encoding: chunked;q=1", .unsupportedTransferEncoding),
    ("Transfer-Encoding: \"chunked\"", .unsupportedTransferEncoding),
    ("Transfer-Encoding: chunked\u{00A0}", .unsupportedTransferEncoding),
    ("Transfer-Encoding: \u{0B}chunked", .controlInFieldValue),
  ]

  @Test("request lines", arguments: requestLines)
  func requestLine(text: String, error: HeadError) { Self.expect(text, error) }

  @Test("request targets", arguments: targets)
  func target(text: String, error: HeadError) { Self.expect(text, error) }

  @Test("field lines", arguments: fieldLines)
  func fieldLine(text: String, error: HeadError) { Self.expect(text, error) }

  @Test("hosts", arguments: hosts)
  func host(fields: String, error: HeadError) { Self.expect(Self.line + fields + "\r\n", error) }

  @Test("lengths and codings", arguments: framings)
  func framing(field: String, error: HeadError) {
    Self.expect(Self.host + field + "\r\n\r\n", error)
  }

  @Test("HTTP/1.0 has no chunks")
  func chunksInOldVersion() {
    Self.expect(
      "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .unsupportedTransferEncoding)
  }

  @Test(
    "what is wrong by itself is refused when it arrives, not when the head ends",
    arguments: requestLines + fieldLines)
  func atOnce(text: String, error: HeadError) throws {
    let octets = Array(text.utf8)
    // The shortest prefix that is refused is refused for the same cause as the whole.
    let count = octets.indices.first { readRequest([Array(octets[...$0])]).failure != nil }
    let refused = try #require(count)
    #expect(readRequest([Array(octets[...refused])]).failure == error)
  }

  private static func expect(_ text: String, _ error: HeadError) {
    for pieces in deliveries(of: Array(text.utf8)) {
      let outcome = readRequest(pieces)
      #expect(outcome.failure == error, "\(text.debugDescription)")
    }
  }
}
