import HTTP
import Testing

@Suite struct RequestReaderTests {
  private static let upgrade =
    "GET /chat/room?x=1&y=? HTTP/1.1\r\nHost: Chat.Example.com:8443\r\n"
    + "upgrade: websocket\r\nConnection:keep-alive, Upgrade\r\nX-Empty:\r\nX-Wide: \t a  b \t \r\n"
    + "Cookie: a=\u{00E9}\r\n\r\n"

  @Test("a head means the same however it arrives, and what follows it is left alone")
  func everyDelivery() throws {
    let octets = Array((Self.upgrade + "\u{81}behind it").utf8)
    for pieces in deliveries(of: octets) {
      let outcome = readRequest(pieces)
      let head = try #require(outcome.head)
      #expect(outcome.byteCount == Self.upgrade.utf8.count)
      #expect(head.method == "GET")
      #expect(head.target == "/chat/room?x=1&y=?")
      #expect(head.path == "/chat/room")
      #expect(head.query == "x=1&y=?")
      #expect(head.version == .http11)
      #expect(head.host == "chat.example.com")
      #expect(head.authority == "Chat.Example.com:8443")
      #expect(
        lines(head.fields) == [
          "Host: Chat.Example.com:8443", "upgrade: websocket", "Connection: keep-alive, Upgrade",
          "X-Empty: ", "X-Wide: a  b", "Cookie: a=\u{00E9}",
        ])
    }
  }

  @Test("an incomplete head needs more, at every length")
  func everyPrefix() {
    let octets = Array(Self.upgrade.utf8)
    for count in octets.indices {
      let outcome = readRequest([Array(octets[..<count])])
      #expect(outcome == .needMore)
    }
  }

  @Test("octets of a value are kept exactly, UTF-8 or not")
  func opaqueOctets() throws {
    let octets =
      Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [0x80, 0xFF, 0x09, 0xC3, 13, 10, 13, 10]
    let head = try #require(readRequest([octets]).head)
    let field = try #require(head.fields.first { $0.isNamed("x") })
    #expect(Array(field.valueOctets) == [0x80, 0xFF, 0x09, 0xC3])
    #expect(Array(head.serialized().suffix(8)) == [0x80, 0xFF, 0x09, 0xC3, 13, 10, 13, 10])
  }

  @Test("a reader goes on to the next head, and from an error it does not come back")
  func nextHead() throws {
    var reader = RequestReader(headByteCountMax: 1024, targetByteCountMax: 256)
    let octets = Array(
      "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n\n".utf8)
    var isBegun = reader.hasReceivedOctets
    #expect(!isBegun)
    var hosts: [String] = []
    var rest = octets[...]
    while hosts.count < 2 {
      guard case .head(let head, let consumed) = try reader.receive(Array(rest).span) else { break }
      hosts.append(head.host)
      rest = rest.dropFirst(consumed)
      isBegun = reader.hasReceivedOctets
      #expect(!isBegun)
    }
    #expect(hosts == ["a", "b"])
    for octet in [0x0A, 0x47] as [UInt8] {
      do throws(HeadError) {
        _ = try reader.receive([octet].span)
        Issue.record("octet \(octet) was taken")
      } catch {
        #expect(error == .bareLineFeed)
      }
    }
    isBegun = reader.hasReceivedOctets
    #expect(isBegun)
  }

  @Test("having received a part of a head is known")
  func hasReceivedOctets() throws {
    var reader = RequestReader(headByteCountMax: 1024, targetByteCountMax: 256)
    _ = try reader.receive([UInt8]().span)
    let before = reader.hasReceivedOctets
    _ = try reader.receive([0x47].span)
    let after = reader.hasReceivedOctets
    #expect(!before)
    #expect(after)
  }

  @Test(
    "targets and hosts that are read",
    arguments: [
      ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a"),
      ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a"),
      ("GET //x/../y HTTP/1.1\r\nHost: a.\r\n\r\n", "//x/../y", "a"),
      (
        "GET /%00?# HTTP/1.1".replacing("#", with: "|") + "\r\nHost: a_b-c~1.d\r\n\r\n", "/%00?|",
        "a_b-c~1.d"
      ),
      ("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "/", "[::1]"),
      ("GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n", "/", "[2001:db8::1]"),
      ("GET / HTTP/1.1\r\nHost: 192.0.2.1:65535\r\n\r\n", "/", "192.0.2.1"),
      ("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "/", "a"),
      ("GET / HTTP/1.9\r\nHost: a\r\n\r\n", "/", "a"),
      ("GET / HTTP/1.0\r\n\r\n", "/", ""),
      ("GET http://b/x HTTP/1.0\r\n\r\n", "/x", "b"),
      ("GET http://A.b/x?y HTTP/1.1\r\nHost: a.B\r\n\r\n", "/x?y", "a.b"),
      ("GET WSS://a HTTP/1.1\r\nHost: a:443\r\n\r\n", "/", "a"),
      ("GET ws://a:80?q HTTP/1.1\r\nHost: a\r\n\r\n", "/?q", "a"),
      ("GET https://[::1]:1/ HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", "/", "[::1]"),
      ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "a"),
      ("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "*", "a"),
      ("OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a"),
      ("OPTIONS http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "/?q", "a"),
      ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "/", "a"),
      ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", "/", "a"),
    ])
  func accepted(text: String, target: String, host: String) throws {
    for pieces in deliveries(of: Array(text.utf8)) {
      let head = try #require(readRequest(pieces).head)
      #expect(head.target == target)
      #expect(head.host == host)
    }
  }

  @Test(
    "whether a body is announced",
    arguments: [
      ("", false), ("Content-Length: 0\r\n", false), ("Content-Length: 1\r\n", true),
      ("Transfer-Encoding: chunked\r\n", true),
    ])
  func announcesBody(field: String, expected: Bool) throws {
    let head = try #require(readRequest("GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n").head)
    #expect(head.announcesBody == expected)
  }
}

@Suite struct RequestLimitTests {
  private static let start = "GET / HTTP/1.1\r\nHost: a\r\n"

  @Test("a head of exactly the limit is taken, one of an octet more is 431, however it arrives")
  func headLimit() {
    let octets = Array((Self.start + "\r\n").utf8)
    for pieces in deliveries(of: octets) {
      let exact = readRequest(pieces, headByteCountMax: octets.count)
      #expect(exact.byteCount == octets.count)
      let over = readRequest(pieces, headByteCountMax: octets.count - 1)
      #expect(over == .failure(.headTooLarge))
    }
  }

  @Test("a head that has reached the limit is refused before it ends")
  func headLimitIncomplete() {
    let endless = Array((Self.start + "X: " + String(repeating: "a", count: 500)).utf8)
    let outcome = readRequest([endless], headByteCountMax: 200)
    #expect(outcome.failure == .headTooLarge)
    #expect(HeadError.headTooLarge.status == 431)
    let none = readRequest([[0x47]], headByteCountMax: 0)
    #expect(none.failure == .headTooLarge)
  }

  @Test("a target of exactly the limit is taken, one of an octet more is 414")
  func targetLimit() {
    for (count, failure) in [(16, nil), (17, .targetTooLong)] as [(Int, HeadError?)] {
      let target = "/" + String(repeating: "a", count: count - 1)
      let octets = Array("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
      for pieces in deliveries(of: octets) {
        let outcome = readRequest(pieces, targetByteCountMax: 16)
        #expect(outcome.failure == failure)
      }
    }
    let endless = readRequest([Array("GET /aaaaaaaaaaaaaaaa".utf8)], targetByteCountMax: 16)
    #expect(endless.failure == .targetTooLong)
    #expect(HeadError.targetTooLong.status == 414)
  }

  @Test("a hundred fields are taken, a hundred and one are 431")
  func fieldLimit() {
    func head(_ count: Int) -> String {
      Self.start + String(repeating: "a:b\r\n", count: count - 1) + "\r\n"
    }
    #expect(readRequest(head(100)).head?.fields.count == 100)
    #expect(readRequest(head(101)).failure == .tooManyFields)
    #expect(HeadError.tooManyFields.status == 431)
  }

  @Test("a method that nobody knows is 501")
  func methodLimit() {
    let known = String(repeating: "M", count: 32)
    #expect(readRequest("\(known) / HTTP/1.1\r\nHost: a\r\n\r\n").head?.method == known)
    #expect(readRequest("\(known)M").failure == .methodTooLong)
    #expect(HeadError.methodTooLong.status == 501)
  }

  @Test("every cause has a status and one sentence")
  func reasons() {
    for error in HeadError.allCases {
      #expect([400, 414, 431, 501, 505].contains(error.status))
      #expect(error.reason.hasSuffix("."))
    }
    #expect(Set(HeadError.allCases.map(\.reason)).count == HeadError.allCases.count)
  }
}
