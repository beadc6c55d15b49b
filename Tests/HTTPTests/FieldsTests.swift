import HTTP
import Testing

@Suite struct FieldsTests {
  private static func fields(_ pairs: [(String, String)]) -> Fields {
    var fields = Fields()
    for (name, value) in pairs { fields.append(name: name, value: value) }
    return fields
  }

  private static let sample = fields([
    ("Host", "a"), ("Accept", "x, ,y ,"), ("X-A", "1"), ("ACCEPT", " z\t"), ("x-a", "2"),
  ])

  @Test("names compare without their case, order and lines are kept")
  func lookingUp() {
    let fields = Self.sample
    #expect(fields.count == 5)
    #expect(fields.first("accept") == "x, ,y ,")
    #expect(fields.values("aCCEPT") == ["x, ,y ,", "z"])
    #expect(fields.count("x-A") == 2)
    #expect(fields.first("accep") == nil)
    #expect(fields.count("accepts") == 0)
    #expect(fields.contains("HOST"))
    #expect(lines(fields) == ["Host: a", "Accept: x, ,y ,", "X-A: 1", "ACCEPT: z", "x-a: 2"])
  }

  @Test("the list is the members of all lines")
  func tokens() {
    #expect(Self.sample.tokens("accept") == ["x", "y", "z"])
    #expect(Self.sample.tokens("none").isEmpty)
    #expect(Self.sample.contains("accept", token: "Z"))
    #expect(!Self.sample.contains("accept", token: ""))
    #expect(!Self.sample.contains("accept", token: "x,"))
    #expect(Self.fields([("A", ""), ("A", ",,")]).tokens("a").isEmpty)
  }

  @Test("setting keeps the place of the first line and removes the others")
  func setting() {
    var fields = Self.sample
    fields.set("accept", "new")
    #expect(lines(fields) == ["Host: a", "accept: new", "X-A: 1", "x-a: 2"])
    fields.set("X-B", "3")
    fields.remove("x-a")
    #expect(lines(fields) == ["Host: a", "accept: new", "X-B: 3"])
    fields.removeAll { $0.isSpelledLike("x_b") }
    #expect(lines(fields) == ["Host: a", "accept: new"])
    #expect(fields == Self.fields([("Host", "a"), ("accept", "new")]))
    #expect(fields != Self.fields([("Host", "a"), ("Accept", "new")]))
  }

  @Test("a copy does not change with the original")
  func copies() {
    var fields = Self.sample
    let copy = fields
    fields.remove("host")
    fields.append(name: "Z", value: "z")
    #expect(copy == Self.sample)
  }

  @Test("a value cannot begin a line, a name that is no token adds nothing")
  func injection() {
    var fields = Fields()
    fields.append(name: "A", value: " x\r\nB: y\0\u{7F}z\t")
    fields.set("A B", "c")
    fields.append(name: "A:\r\nB", value: "c")
    fields.append(name: "", value: "c")
    #expect(lines(fields) == ["A: x  B: y  z"])
    let head = ResponseHead(status: 200, reason: "a\r\nb", fields: fields)
    let text = String(decoding: head.serialized(), as: UTF8.self)
    #expect(text == "HTTP/1.1 200 a  b\r\nA: x  B: y  z\r\n\r\n")
  }

  @Test("octets that are no text are added as they are, by the same rules")
  func octets() {
    var fields = Fields()
    let line = Array("xX-A b".utf8)
    fields.append(nameOctets: line[1..<4], valueOctets: [0x09, 0xFF, 0x20, 0xC3, 0x80, 0x20])
    fields.append(nameOctets: line[1..<4], valueOctets: [0x80, 0x0D, 0x0A, 0x00, 0x7F, 0xFE])
    fields.append(nameOctets: line[3..<4], valueOctets: [])
    for name in [line[0..<0], line[0..<5], [0x61, 0xE9], [0x61, 0x3A], [0x0D, 0x0A]] {
      fields.append(nameOctets: name, valueOctets: [0x61])
    }
    #expect(fields.map(\.name) == ["X-A", "X-A", "A"])
    let values =
      [[0xFF, 0x20, 0xC3, 0x80], [0x80, 0x20, 0x20, 0x20, 0x20, 0xFE], []] as [[UInt8]]
    #expect(fields.map { Array($0.valueOctets) } == values)
    let octets = ResponseHead(status: 204, reason: "", fields: fields).serialized()
    #expect(readResponse([octets]).head?.fields == fields)
  }

  @Test("which texts are names and values")
  func validity() {
    for name in ["a", "X-A_b", "!#$%&'*+-.^_`|~09azAZ"] { #expect(Fields.isName(name)) }
    for name in ["", "a b", "a:", "\u{00E9}", "a\0", "a/b", "\"a\"", "(a)"] {
      #expect(!Fields.isName(name))
    }
    for value in ["", "a b", "\u{00E9}", "a\tb"] { #expect(Fields.isValue(value)) }
    for value in [" a", "a ", "\t", "a\r", "a\n", "\0", "\u{7F}"] {
      #expect(!Fields.isValue(value))
    }
  }
}

@Suite struct HeadWriterTests {
  @Test("a request is written as it was read")
  func request() throws {
    let text = "GET /x?y HTTP/1.1\r\nHost: A.b:1\r\nX: a  b\r\nEmpty: \r\n\r\n"
    let head = try #require(readRequest(text).head)
    #expect(String(decoding: head.serialized(), as: UTF8.self) == text)
    #expect(readRequest([head.serialized()]).head == head)
  }

  @Test("a target that is made here cannot end the line")
  func target() {
    var head = RequestHead(method: "GET\r\n", target: "/a b\r\nX: \u{00E9}#\u{7F}")
    head.version = .http10
    let text = String(decoding: head.serialized(), as: UTF8.self)
    #expect(text == "GET /a%20b%0D%0AX:%20%C3%A9%23%7F HTTP/1.0\r\n\r\n")
  }

  @Test("a response is written as it was read")
  func response() throws {
    let text = "HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n"
    let head = try #require(readResponse([Array(text.utf8)]).head)
    #expect(String(decoding: head.serialized(), as: UTF8.self) == text)
    #expect(ResponseHead(status: 426).reason == "Upgrade Required")
    #expect(ResponseHead(status: 299).reason == "")
  }

  @Test("a head that is made here takes its host from the fields")
  func host() {
    var fields = Fields()
    fields.append(name: "host", value: "A.Example:99")
    let head = RequestHead(method: "GET", target: "/a", fields: fields)
    #expect(head.host == "a.example")
    #expect(head.authority == "A.Example:99")
    #expect(head.query == nil)
    #expect(RequestHead(method: "GET", target: "/").host == "")
  }
}
