import Net
import Testing

@testable import HTTP

@Suite struct FieldNameTests {
  /// The cases that stand for one name each.
  private static let names = FieldName.allCases.filter {
    ![.other, .otherForwarded, .otherWebSocket, .precondition].contains($0)
  }

  private static func read(_ text: String) -> FieldName { FieldName(text.utf8.span) }
  private static func readLike(_ text: String) -> FieldName { FieldName(like: text.utf8.span) }

  @Test("a name is known by its spelling, in whatever case", arguments: names)
  func spelling(name: FieldName) {
    let spelling = "\(name.spelling)"
    for text in [spelling, spelling.lowercased(), spelling.uppercased()] {
      #expect(Self.read(text) == name)
      #expect(Self.readLike(text) == name)
    }
  }

  @Test("an underscore makes another name of it, though one that is like it", arguments: names)
  func underscore(name: FieldName) {
    let spelling = "\(name.spelling)"
    guard spelling.contains("-") else { return }
    let text = String(spelling.lowercased().map { $0 == "-" ? "_" : $0 })
    #expect(Self.read(text) == .other)
    #expect(Self.readLike(text) == name)
  }

  @Test("no name is known by less or more than all of its octets", arguments: names)
  func neighbours(name: FieldName) {
    let spelling = "\(name.spelling)"
    for index in spelling.indices {
      var changed = Array(spelling)
      changed[spelling.distance(from: spelling.startIndex, to: index)] = "~"
      #expect(Self.readLike(String(changed)) != name)
    }
    #expect(Self.readLike(spelling + "s") != name)
    #expect(Self.readLike(String(spelling.dropLast())) != name)
    #expect(Self.readLike("-" + spelling.dropFirst()) == .other)
  }

  private static let beginnings: [(String, FieldName)] = [
    ("x-forwarded-port", .otherForwarded), ("X-Forwarded-", .otherForwarded),
    ("x-forwarded", .other), ("sec-websocket-x", .otherWebSocket), ("Sec-WebSocket", .other),
    ("if-match", .precondition), ("IF-", .precondition), ("if", .other), ("", .other),
    ("x", .other),
    ("sec-fetch-dest", .other), ("x-forwarder-for", .other), ("cache-controx", .other),
  ]

  @Test("names with a common beginning", arguments: beginnings)
  func beginning(text: String, name: FieldName) {
    #expect(Self.read(text) == name)
    let underscored = String(text.map { $0 == "-" ? "_" : $0 })
    #expect(Self.readLike(underscored) == name)
    #expect(Self.read(underscored) == (text.contains("-") ? .other : name))
  }

  @Test("every way to store a line finds out its name")
  func stored() throws {
    var appended = Fields()
    appended.append(name: "COOKIE", value: "a")
    appended.append(.host, "b")
    appended.append(nameOctets: Array("x_real_ip".utf8)[...], valueOctets: [0x63])
    let read = try #require(
      readResponse([Array("HTTP/1.1 200 OK\r\nCOOKIE: a\r\nHost:b\r\nx_real_ip: c \r\n\r\n".utf8)])
        .head)
    var copied = Fields()
    for field in read.fields { copied.append(field) }
    for fields in [appended, read.fields, copied] {
      #expect(fields.entries.map(\.known) == [.cookie, .host, .other])
      #expect(fields.entries.map(\.likeness) == [.cookie, .host, .realAddress])
      #expect(lines(fields) == ["COOKIE: a", "Host: b", "x_real_ip: c"])
    }
  }

  @Test("a line under a known name obeys the rules for values, and is set where it stood")
  func setting() {
    var fields = Fields()
    fields.append(name: "host", value: "a")
    fields.append(name: "X", value: "y")
    fields.append(name: "HOST", value: "b")
    fields.set(.host, " c\r\nEvil: d\t")
    #expect(lines(fields) == ["Host: c  Evil: d", "X: y"])
    fields.set(.contentLength, "0")
    #expect(lines(fields) == ["Host: c  Evil: d", "X: y", "Content-Length: 0"])
  }
}

@Suite struct OctetSpanTests {
  @Test("eight octets at a time are read as one by one")
  func values() {
    var chance = SplitMix(seed: 7)
    for round in 0..<4000 {
      var octets = (0..<Int.random(in: 0...40, using: &chance)).map { _ in
        UInt8.random(in: 0x20...0x7E, using: &chance)
      }
      if !octets.isEmpty, round % 4 != 0 {
        octets[Int.random(in: octets.indices, using: &chance)] = UInt8(
          truncatingIfNeeded: round >> 2)
      }
      let count = octets.firstIndex { !$0.isValueOctet } ?? octets.count
      let found = octets.span.valueByteCount
      #expect(found == count, "\(octets)")
    }
  }
}

@Suite struct ConnectionFieldTests {
  @Test("what belongs to a connection of HTTP/1 is left out, and the rest lies where it lay")
  func without() {
    var fields = Fields()
    fields.append(name: "Server", value: "x")
    fields.append(name: "TE", value: "trailers")
    #expect(fields.withoutConnectionFields() == fields)
    for name in ["Connection", "keep-alive", "Proxy-Connection", "Transfer-Encoding", "UPGRADE"] {
      fields.append(name: name, value: "y")
    }
    let kept = fields.withoutConnectionFields()
    #expect(lines(kept) == ["Server: x", "TE: trailers"])
    let (name, value) = kept.place(of: 1)
    let octets = Array(kept.storage)
    #expect(Array(octets[name]) == Array("TE".utf8))
    #expect(Array(octets[value]) == Array("trailers".utf8))
  }

  @Test("a Connection list takes away what is known and what is not, but nothing that lasts")
  func listed() {
    var fields = Fields()
    fields.append(
      name: "Connection", value: "close, X-Hop, keep_alive,Host, X-Forwarded-Port, sec-websocket-x")
    for name in ["x-hop", "Close", "Keep_Alive", "Host", "X-Forwarded-Port", "Sec-WebSocket-X"] {
      fields.append(name: name, value: "y")
    }
    fields.append(name: "X-Stays", value: "y")
    let hopByHop = HopByHop(of: fields)
    #expect(
      fields.entries.map { hopByHop.contains($0, fields.storage) } == [
        true, true, true, true, false, false, false, false,
      ])
  }
}
