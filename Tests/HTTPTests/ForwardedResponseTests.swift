import HTTP
import Testing

/// Answers of servers on their way to a client.
@Suite struct ForwardedResponseTests {
  private static func head(_ status: Int, _ fields: [String]) throws -> ResponseHead {
    let text = (["HTTP/1.1 \(status) Fine"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    return try #require(readResponse([Array(text.utf8)]).head)
  }

  private typealias Forwarded = (head: ResponseHead, framing: BodyFraming, persists: Bool)

  private static func forward(
    _ status: Int, _ fields: [String], to version: HTTPVersion, method: String = "GET",
    persists: Bool = true
  ) throws -> Forwarded {
    let head = try Self.head(status, fields)
    return head.forwarded(
      toVersion: version, method: method,
      body: try BodyReader(response: head, toMethod: method), persists: persists)
  }

  /// How a server's body goes on, and what the client's head has of it.
  private struct Row: Sendable, CustomTestStringConvertible {
    var status = 200
    var method = "GET"
    let sent: [String]
    let version: HTTPVersion
    var isKept = true
    let framing: BodyFraming
    let persists: Bool
    let got: [String]

    var testDescription: String { "\(self.status) \(self.method) \(self.sent) \(self.version)" }
  }

  private static let chunked = ["Transfer-Encoding: chunked"]
  private static let rows: [Row] = [
    Row(
      sent: ["Content-Length: 5"], version: .http11, framing: .length(5), persists: true,
      got: ["Content-Length: 5"]),
    Row(
      sent: ["Content-Length: 5"], version: .http10, framing: .length(5), persists: false,
      got: ["Content-Length: 5", "Connection: close"]),
    Row(
      sent: ["Content-Length: 5"], version: .http2, framing: .length(5), persists: true,
      got: ["Content-Length: 5"]),
    Row(
      sent: ["Content-Length: 0"], version: .http11, framing: .length(0), persists: true,
      got: ["Content-Length: 0"]),
    Row(
      sent: ["Content-Length: 05", "X: y", "content-length: 5"], version: .http11,
      framing: .length(5), persists: true, got: ["Content-Length: 5", "X: y"]),
    Row(
      sent: ["Content-Length: 5"], version: .http11, isKept: false, framing: .length(5),
      persists: false, got: ["Content-Length: 5", "Connection: close"]),
    Row(sent: chunked, version: .http11, framing: .chunked, persists: true, got: chunked),
    Row(
      sent: chunked + ["Trailer: X-Sum"], version: .http11, framing: .chunked, persists: true,
      got: ["Trailer: X-Sum"] + chunked),
    Row(
      sent: chunked + ["Trailer: X-Sum"], version: .http10, framing: .untilClose,
      persists: false, got: ["Connection: close"]),
    Row(
      sent: chunked + ["Trailer: X-Sum"], version: .http2, framing: .untilClose, persists: true,
      got: ["Trailer: X-Sum"]),
    Row(sent: [], version: .http11, framing: .chunked, persists: true, got: chunked),
    Row(
      sent: ["Trailer: X-Sum"], version: .http11, isKept: false, framing: .chunked,
      persists: false, got: chunked + ["Connection: close"]),
    Row(
      sent: [], version: .http10, framing: .untilClose, persists: false, got: ["Connection: close"]),
    Row(sent: [], version: .http2, framing: .untilClose, persists: true, got: []),
    Row(sent: [], version: .http2, isKept: false, framing: .untilClose, persists: false, got: []),
    Row(
      method: "HEAD", sent: ["Content-Length: 05"], version: .http11, framing: .none,
      persists: true, got: ["Content-Length: 5"]),
    Row(
      method: "HEAD", sent: ["Transfer-Encoding: gzip, chunked"], version: .http11, framing: .none,
      persists: true, got: []),
    Row(
      status: 304, sent: ["Content-Length: 5", "ETag: x"], version: .http2, framing: .none,
      persists: true, got: ["Content-Length: 5", "ETag: x"]),
    Row(
      status: 204, sent: ["Content-Length: 5"], version: .http11, framing: .none, persists: true,
      got: []),
    Row(
      status: 204, method: "HEAD", sent: ["Content-Length: 0"], version: .http11, framing: .none,
      persists: true, got: []),
    Row(
      status: 426, sent: ["Upgrade: TLS/1.3", "Connection: Upgrade", "Content-Length: 0"],
      version: .http11, framing: .length(0), persists: true,
      got: ["Upgrade: TLS/1.3", "Content-Length: 0", "Connection: Upgrade"]),
    Row(
      status: 426, sent: ["Upgrade: TLS/1.3", "Content-Length: 0"], version: .http11,
      isKept: false, framing: .length(0), persists: false,
      got: ["Upgrade: TLS/1.3", "Content-Length: 0", "Connection: close, Upgrade"]),
    Row(
      status: 426, sent: ["Upgrade: TLS/1.3", "Content-Length: 0"], version: .http2,
      framing: .length(0), persists: true, got: ["Content-Length: 0"]),
    Row(
      sent: [
        "Connection: close, X-A, Set-Cookie", "Keep-Alive: 5", "X-A: 1", "Upgrade: h2c",
        "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 2", "Proxy-Authenticate: x",
      ],
      version: .http11, framing: .length(2), persists: true,
      got: ["Set-Cookie: a", "Set-Cookie: b", "Content-Length: 2"]),
  ]

  @Test("rows", arguments: rows)
  private func row(_ row: Row) throws {
    let got = try Self.forward(
      row.status, row.sent, to: row.version, method: row.method, persists: row.isKept)
    #expect(lines(got.head.fields) == row.got)
    #expect(got.framing == row.framing)
    #expect(got.persists == row.persists)
    #expect(got.head.status == row.status)
    #expect(got.head.version == (row.version == .http2 ? .http2 : .http11))
    guard row.version != .http2 else { return }
    // The client finds the same framing in what is written.
    let read = try #require(readResponse([got.head.serialized()]).head)
    #expect(try BodyReader(response: read, toMethod: row.method).framing == row.framing)
    #expect(read.keepsConnection == row.persists)
  }

  @Test("an old server's answer is one of HTTP/1.1 for the client")
  func oldServer() throws {
    let octets = Array("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n".utf8)
    let head = try #require(readResponse([octets]).head)
    let body = try BodyReader(response: head, toMethod: "GET")
    let got = head.forwarded(toVersion: .http11, method: "GET", body: body, persists: true)
    #expect(
      String(decoding: got.head.serialized(), as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
  }

  @Test("interim answers, where the client knows them")
  func interim() throws {
    let sent = ["Link: </a>; rel=preload", "Connection: x", "X: y", "Content-Length: 0"]
    let head = try Self.head(103, sent)
    for version in [HTTPVersion.http11, .http2] {
      let got = try #require(head.forwardedInterim(toVersion: version))
      #expect(got.status == 103)
      #expect(got.version == version)
      #expect(lines(got.fields) == ["Link: </a>; rel=preload"])
    }
    #expect(head.forwardedInterim(toVersion: .http10) == nil)
    #expect(try Self.head(101, []).forwardedInterim(toVersion: .http11) == nil)
    #expect(try Self.head(200, []).forwardedInterim(toVersion: .http11) == nil)
  }
}
