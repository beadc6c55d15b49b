import HTTP
import Net
import Testing

@Suite struct BodyWriterTests {
  private static func text(
    _ content: String, _ framing: BodyFraming, trailers: Fields = Fields()
  ) -> String? {
    framed(Array(content.utf8), framing, trailers: trailers)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  @Test("chunks have their length before them, and the last one the trailers behind it")
  func chunked() {
    #expect(Self.text("", .chunked) == "0\r\n\r\n")
    #expect(Self.text("hello", .chunked) == "5\r\nhello\r\n0\r\n\r\n")
    #expect(
      Self.text("hello, world", .chunked) == "7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n")
    var trailers = Fields()
    trailers.append(name: "X-Sum", value: "1")
    trailers.append(name: "X-End", value: "")
    let text = Self.text("a", .chunked, trailers: trailers)
    #expect(text == "1\r\na\r\n0\r\nX-Sum: 1\r\nX-End: \r\n\r\n")
    #expect(!BodyWriter(.chunked).passesContentAsItIs)
  }

  @Test(
    "what is read of written chunks is what was written", arguments: [1, 15, 16, 17, 255, 4096])
  func roundTrip(pieceByteCount: Int) throws {
    let content = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
    let octets = try #require(framed(content, .chunked, pieceByteCount: pieceByteCount))
    var head = RequestHead(method: "POST", target: "/")
    head.fields.set("Transfer-Encoding", "chunked")
    let body = try readBody([octets], by: BodyReader(request: head))
    #expect(body.content == content)
    #expect(body.isComplete)
  }

  @Test("a chunk adds no more than its overhead")
  func overhead() {
    var buffer = Buffer(capacity: 70_000)
    var writer = BodyWriter(.chunked)
    writer.write([UInt8](repeating: 1, count: 0xFFFF).span, into: &buffer)
    let count = buffer.count
    #expect(count == 0xFFFF + 8)
    #expect(BodyWriter.chunkOverheadByteCountMax >= String(Int.max, radix: 16).utf8.count + 4)
  }

  @Test("a length is kept: no octet more goes out, and a lack is told")
  func length() {
    #expect(Self.text("hello", .length(5)) == "hello")
    #expect(Self.text("hell", .length(5)) == nil)
    #expect(Self.text("hello!", .length(5)) == nil)
    #expect(Self.text("", .length(0)) == "")
    #expect(Self.text("", .none) == "")
    #expect(Self.text("a", .none) == nil)
    var writer = BodyWriter(.length(5))
    var buffer = Buffer(capacity: 64)
    for piece in ["hel", "lo", "GET"] { writer.write(Array(piece.utf8).span, into: &buffer) }
    let written = buffer.takeAll()
    #expect(written == Array("hello".utf8))
  }

  /// What a writer says when content goes out as it is, count by count, and what ends it then.
  private static func passing(
    _ counts: [Int], _ framing: BodyFraming
  ) -> (passed: [Bool], end: [UInt8]?) {
    var writer = BodyWriter(framing)
    return (counts.map { writer.passed($0) }, writer.finish())
  }

  @Test("content that goes out as it is counts, too")
  func passed() {
    #expect(Self.passing([3], .length(5)) == ([true], nil))
    #expect(Self.passing([3, 2], .length(5)) == ([true, true], []))
    #expect(Self.passing([3, 3, 2], .length(5)) == ([true, false, true], nil))
    #expect(Self.passing([.max, .max], .untilClose) == ([true, true], []))
    #expect(Self.passing([0], .none) == ([true], []))
    #expect(Self.passing([1], .none) == ([false], nil))
    #expect(BodyWriter(.length(5)).passesContentAsItIs)
    #expect(BodyWriter(.untilClose).passesContentAsItIs)
    #expect(!BodyWriter(.none).passesContentAsItIs)
  }
}
