import HTTP
import Testing
import WebSocket

@testable import Echo

@Suite("echo")
struct EchoSessionTests {
  private static let request = Array(
    """
    GET /chat HTTP/1.1\r
    Host: example.com\r
    Upgrade: websocket\r
    Connection: Upgrade\r
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
    Sec-WebSocket-Version: 13\r
    Sec-WebSocket-Protocol: chat, superchat\r
    \r\n
    """.utf8)

  /// A client's frame.
  private static func frame(
    _ opcode: Opcode, _ text: String, isFinal: Bool = true, key: UInt32? = 0x3712_FA21
  ) -> [UInt8] {
    var octets: [UInt8] = []
    var payload = Array(text.utf8)
    FrameHeader(
      opcode: opcode, payloadByteCount: UInt64(payload.count), isFinal: isFinal, maskKey: key
    ).write(into: &octets)
    if let key {
      var span = payload.mutableSpan
      Mask(key: key).apply(to: &span, at: 0)
    }
    return octets + payload
  }

  /// The same frame as the server sends it.
  private static func answer(_ opcode: Opcode, _ text: String, isFinal: Bool = true) -> [UInt8] {
    Self.frame(opcode, text, isFinal: isFinal, key: nil)
  }

  private static func close(_ code: CloseCode, _ reason: String = "") -> [UInt8] {
    var octets: [UInt8] = []
    ClosePayload(code: code, reason: reason).writeFrame(into: &octets)
    return octets
  }

  private static func clientClose(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
    var octets: [UInt8] = []
    var payload = [UInt8(code >> 8), UInt8(truncatingIfNeeded: code)] + reason
    FrameHeader(opcode: .close, payloadByteCount: UInt64(payload.count), maskKey: 1)
      .write(into: &octets)
    var span = payload.mutableSpan
    Mask(key: 1).apply(to: &span, at: 0)
    return octets + payload
  }

  /// All that a session says to `pieces`, and whether it closes.
  private static func talk(_ pieces: [[UInt8]]) -> (said: [UInt8], closes: Bool) {
    var session = EchoSession()
    var said: [UInt8] = []
    var closes = false
    for piece in pieces {
      switch session.received(piece) {
      case .send(let octets): said += octets
      case .sendAndClose(let octets):
        said += octets
        closes = true
      }
    }
    return (said, closes)
  }

  /// The frames of a session behind its 101, and whether it closes.
  private static func echo(_ frames: [UInt8]) -> (frames: [UInt8], closes: Bool) {
    let greeting = Self.talk([Self.request]).said
    let (said, closes) = Self.talk([Self.request, frames])
    return (Array(said.dropFirst(greeting.count)), closes)
  }

  @Test("the handshake is answered as RFC 6455 §1.3 shows")
  func handshake() {
    let (said, closes) = Self.talk([Self.request])
    let text = String(decoding: said, as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 101 "))
    #expect(text.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
    #expect(text.contains("\r\nSec-WebSocket-Protocol: chat\r\n"))
    #expect(text.hasSuffix("\r\n\r\n"))
    #expect(!closes)
  }

  @Test(
    "what is no upgrade is answered and closed",
    arguments: [
      ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426"), ("garbage\r\n\r\n", "400"),
      ("GET / HTTP/1.1\r\n\r\n", "400"), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
      (
        "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
          + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "405"
      ),
      (
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
          + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "426"
      ),
    ])
  func refusals(request: String, status: String) {
    let (said, closes) = Self.talk([Array(request.utf8), Self.frame(.text, "late")])
    let text = String(decoding: said, as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(text)")
    #expect(text.contains("\r\nConnection: close\r\n"))
    #expect(closes)
  }

  private static let conversation =
    request + frame(.text, "Hello") + frame(.binary, "") + frame(.ping, "are you there")
    + frame(.text, "one ", isFinal: false) + frame(.continuation, "two ", isFinal: false)
    + frame(.ping, "") + frame(.pong, "unasked") + frame(.continuation, "three")
    + frame(.text, String(repeating: "x", count: 200)) + clientClose(1000)

  private static let replies =
    answer(.text, "Hello") + answer(.binary, "") + answer(.pong, "are you there")
    + answer(.text, "one ", isFinal: false) + answer(.continuation, "two ", isFinal: false)
    + answer(.pong, "") + answer(.continuation, "three")
    + answer(.text, String(repeating: "x", count: 200)) + close(.normalClosure)

  @Test("whole messages, fragments, pings and a close come back as they should")
  func whole() {
    let (frames, closes) = Self.echo(Array(Self.conversation.dropFirst(Self.request.count)))
    #expect(frames == Self.replies)
    #expect(closes)
  }

  /// A conversation cut into pieces says the same, except that a data frame's payload may follow
  /// its header at any time; as a stream of octets it is the same.
  @Test("one octet at a time")
  func oneByOne() {
    let whole = Self.talk([Self.conversation])
    let (said, closes) = Self.talk(Self.conversation.map { [$0] })
    #expect(said == whole.said)
    #expect(closes == whole.closes)
  }

  @Test("cut at any place")
  func cutAnywhere() throws {
    let whole = Self.talk([Self.conversation])
    for cut in 0...Self.conversation.count {
      let (said, closes) = Self.talk([
        Array(Self.conversation[..<cut]), Array(Self.conversation[cut...]),
      ])
      try #require(said == whole.said, "cut at \(cut)")
      try #require(closes == whole.closes, "cut at \(cut)")
    }
  }

  @Test(
    "a large message comes back octet for octet", arguments: [125, 126, 65_535, 65_536, 1 << 20])
  func large(count: Int) {
    let text = String(repeating: "0123456789abcdef", count: count / 16 + 1).prefix(count)
    let (frames, closes) = Self.echo(Self.frame(.binary, String(text)))
    #expect(frames == Self.answer(.binary, String(text)))
    #expect(!closes)
  }

  @Test(
    "a close is answered with its code, an empty one with an empty one",
    arguments: [
      (clientClose(1000), close(.normalClosure)), (clientClose(1001), close(.goingAway)),
      (clientClose(4000, Array("bye".utf8)), close(CloseCode(rawValue: 4000))),
      (frame(.close, ""), answer(.close, "")),
    ])
  func closing(octets: [UInt8], answer: [UInt8]) {
    let (frames, closes) = Self.echo(octets + Self.frame(.text, "late"))
    #expect(frames == answer)
    #expect(closes)
  }

  @Test(
    "a violation is answered with its close code, and nothing behind it is heard",
    arguments: [
      (frame(.text, "a", key: nil), FrameViolation.unmasked),
      (frame(.continuation, "a"), .unexpectedContinuation),
      (frame(.text, "", isFinal: false) + frame(.text, ""), .expectedContinuation),
      (frame(.ping, "a", isFinal: false), .fragmentedControl),
      ([0x89, 0xFE, 0x00, 0x7E, 0, 0, 0, 0], .controlTooLong), ([0xC1, 0x80], .reservedBits),
      ([0x83, 0x80], .reservedOpcode), ([0x82, 0xFE, 0x00, 0x01, 0, 0, 0, 0], .lengthNotMinimal),
      ([0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .lengthTooLarge),
      (frame(.close, "a"), .badCloseCode), (clientClose(1005), .badCloseCode),
      (clientClose(999), .badCloseCode), (clientClose(1000, [0xFF]), .badCloseReason),
    ] as [([UInt8], FrameViolation)])
  func violations(octets: [UInt8], violation: FrameViolation) {
    let (frames, closes) = Self.echo(
      octets + [UInt8](repeating: 0, count: 14) + Self.frame(.text, "late"))
    let ending = Self.close(violation.closeCode, violation.reason)
    #expect(Array(frames.suffix(ending.count)) == ending)
    #expect(closes)
    // Only what came before the violation may stand before the close.
    #expect(frames.count - ending.count <= 2)
  }

  @Test("after the end nothing is said")
  func over() {
    var session = EchoSession()
    _ = session.received(Self.request + Self.clientClose(1000))
    let more = session.received(Self.frame(.text, "late"))
    #expect(more == .sendAndClose([]))
  }
}
