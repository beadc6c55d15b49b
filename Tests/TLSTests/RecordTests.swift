import COpenSSL
import Net
import Testing

@testable import TLS

@Suite("records")
struct RecordTests {
  private static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8 ^ $0 >> 16) }
  }

  private static func talk(_ delivery: Delivery = .whole) throws -> Talk {
    let context = try ClientContext(ca: Certificates.path("ca"), serverName: nil)
    var talk = try Talk(context, Certificates.server(), delivery: delivery)
    talk.begin()
    let done = (talk.client.isDone, talk.server.isDone)
    try #require(done == (true, true))
    return talk
  }

  @Test(
    "octets arrive in both directions, in order", arguments: Delivery.allCases,
    [1, 125, 16_384, 16_385, 50_000])
  func carries(delivery: Delivery, count: Int) throws {
    var talk = try Self.talk(delivery)
    let request = Self.pattern(count)
    let answer = Array(request.reversed())
    let first = talk.client.seal(request)
    talk.exchange()
    let second = talk.server.seal(answer)
    talk.exchange()
    let (heardByServer, heardByClient) = (talk.server.heard, talk.client.heard)
    #expect(first == nil)
    #expect(second == nil)
    #expect(heardByServer == request)
    #expect(heardByClient == answer)
  }

  @Test("a record may be cut at any place")
  func cutAnywhere() throws {
    var talk = try Self.talk()
    let octets = Self.pattern(40)
    var expected: [UInt8] = []
    // Every cut of a record of this length; the records follow each other on one connection.
    for cut in 0..<80 {
      _ = talk.client.seal(octets)
      let record = talk.client.outgoing.takeAll()
      talk.server.receive(record[..<min(cut, record.count)])
      let early = talk.server.heard
      try #require(early.count == expected.count + (cut >= record.count ? 40 : 0))
      talk.server.receive(record[min(cut, record.count)...])
      expected += octets
      let heard = talk.server.heard
      try #require(heard == expected, "cut at \(cut)")
    }
  }

  @Test("many records of one receive are opened at once")
  func manyRecords() throws {
    var talk = try Self.talk()
    var expected: [UInt8] = []
    for count in 1...200 {
      _ = talk.client.seal(Self.pattern(count))
      expected += Self.pattern(count)
    }
    talk.exchange()
    let heard = talk.server.heard
    #expect(heard == expected)
  }

  @Test("a small output takes whole records only; the rest waits in the plaintext")
  func smallOutput() throws {
    var talk = try Self.talk()
    let octets = Self.pattern(40_000)
    var plaintext = Buffer(capacity: octets.count)
    plaintext.append(octets.span)
    // Room for one full record, not for two.
    var small = Buffer(capacity: 20_000)
    var left: [Int] = []
    while !plaintext.isEmpty {
      let fault = talk.client.tls.seal(&plaintext, into: &small, over: talk.client.wire)
      try #require(fault == nil)
      left.append(plaintext.count)
      let isEmpty = small.isEmpty
      try #require(!isEmpty)
      talk.server.receive(small.takeAll()[...])
    }
    let heard = talk.server.heard
    #expect(left == [40_000 - 16_384, 40_000 - 2 * 16_384, 0])
    #expect(heard == octets)
  }

  @Test("an output too small for a record takes none, and that is no fault")
  func noRoom() throws {
    var talk = try Self.talk()
    var plaintext = Buffer(capacity: 100)
    plaintext.append(Self.pattern(100).span)
    var tiny = Buffer(capacity: 300)
    let fault = talk.client.tls.seal(&plaintext, into: &tiny, over: talk.client.wire)
    let (left, sealed) = (plaintext.count, tiny.count)
    #expect(fault == nil)
    #expect(left == 100)
    #expect(sealed == 0)
  }

  @Test("a small plaintext buffer is filled and filled again")
  func smallPlaintext() throws {
    var talk = try Self.talk()
    let octets = Self.pattern(60_000)
    _ = talk.client.seal(octets)
    talk.server.plaintext = Buffer(capacity: 1000)
    talk.server.receive(talk.client.outgoing.takeAll()[...])
    var heardCount = talk.server.heard.count
    #expect(heardCount == 1000)
    while true {
      talk.server.open()
      let count = talk.server.heard.count
      if count == heardCount { break }
      heardCount = count
    }
    let heard = talk.server.heard
    #expect(heard == octets)
  }

  @Test("an end is told behind all that was said, and the other direction stays open")
  func closeNotify() throws {
    var talk = try Self.talk()
    _ = talk.client.seal([1, 2])
    talk.client.end()
    talk.exchange()
    let (heard, hasEnded, fault) = (talk.server.heard, talk.server.hasEnded, talk.server.fault)
    #expect(heard == [1, 2])
    #expect(hasEnded)
    #expect(fault == nil)
    _ = talk.server.seal([3])
    talk.exchange()
    let answer = talk.client.heard
    #expect(answer == [3])
    // Sealing after the end is refused, and leaves nothing.
    let late = talk.client.seal([4])
    let leftover = talk.client.outgoing.count
    #expect(late != nil)
    #expect(leftover == 0)
  }

  @Test("ending before the handshake says nothing and is no fault")
  func earlyEnd() throws {
    var server = try Party(accepting: Certificates.server())
    server.end()
    let count = server.outgoing.count
    #expect(count == 0)
  }

  @Test("a changed octet anywhere in a record is found")
  func tampered() throws {
    for position in [0, 1, 2, 3, 4, 5, 20, 40] {
      var talk = try Self.talk()
      _ = talk.client.seal(Self.pattern(40))
      var record = talk.client.outgoing.takeAll()
      record[position] ^= 0x41
      // A length that says more is only seen when that much is there.
      talk.server.receive((record + Self.pattern(40_000))[...])
      let (heard, fault, alert) = (
        talk.server.heard, talk.server.fault, talk.server.outgoing.count
      )
      #expect(heard.isEmpty, "octet \(position)")
      #expect(fault != nil, "octet \(position)")
      #expect(alert > 0, "octet \(position)")
    }
  }

  @Test("what was said in clear before a broken record still arrives")
  func validThenBroken() throws {
    var talk = try Self.talk()
    _ = talk.client.seal([1, 2, 3])
    let first = talk.client.outgoing.takeAll()
    _ = talk.client.seal([4, 5, 6])
    var second = talk.client.outgoing.takeAll()
    second[8] ^= 1
    talk.server.receive((first + second)[...])
    let (heard, fault) = (talk.server.heard, talk.server.fault)
    #expect(heard == [1, 2, 3])
    #expect(fault != nil)
  }

  @Test("garbage instead of a handshake fails with a reason", arguments: 0..<40)
  func garbage(round: Int) throws {
    let seed = UInt64.random(in: .min ... .max)
    var state = seed
    let octets = (0..<40_000).map { _ -> UInt8 in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 33)
    }
    // Half of them look like a handshake record at first.
    let flight = round % 2 == 0 ? octets : [0x16, 0x03, 0x01, 0x02, 0x00, 0x01] + octets
    for delivery in Delivery.allCases {
      var server = try Party(accepting: Certificates.server())
      // What happens to look like the start of a record is seen through when all of it is there.
      let pieces = delivery.pieces(of: Array(flight[..<1000])) + [flight[1000...]]
      for piece in pieces where server.fault == nil { server.receive(piece) }
      let (isDone, fault) = (server.isDone, server.fault)
      #expect(!isDone, "seed \(seed)")
      #expect(fault?.reason.isEmpty == false, "seed \(seed)")
    }
  }

  @Test("plain HTTP on a TLS port is named as such")
  func plainRequest() throws {
    var server = try Party(accepting: Certificates.server())
    server.receive(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)[...])
    let fault = server.fault
    #expect(fault?.reason == "http request")
  }

  @Test("a handshake with any one octet changed never traps, and is never done")
  func mutatedHandshake() throws {
    let context = try ClientContext(ca: Certificates.path("ca"), serverName: nil)
    let serverContext = try Certificates.server()
    var first = try Party(connecting: context, host: "one.test")
    first.receive([])
    let flight = first.outgoing.takeAll()
    for position in stride(from: 0, to: flight.count, by: 3) {
      var talk = try Talk(context, serverContext)
      talk.client.receive([])
      var octets = talk.client.outgoing.takeAll()
      octets[position] ^= 0x55
      talk.server.receive(octets[...])
      talk.exchange()
      let done = (talk.client.isDone, talk.server.isDone)
      #expect(done.0 == false || done.1 == false, "octet \(position)")
    }
  }
}
