import Net
import Testing

@testable import HTTP

@Suite("Lines on their way")
struct LinesTests {
  private static let names = [
    "X-A", "x-b", "Cookie", "Content-Type", "Connection", "Host", "X-Long",
  ]
  private static let values = ["", "y", "a, b", "name=value", "0123456789abcdef\tz", "\u{e9}"]

  /// A head as somebody sent it, with what may stand around its values.
  private static func received(by chance: inout SplitMix) -> [UInt8] {
    var text = "HTTP/1.1 200 OK\r\n"
    for _ in 0..<Int.random(in: 0...6, using: &chance) {
      let before = ["", " ", "\t", "  "].randomElement(using: &chance) ?? ""
      let behind = ["", "", " ", "\t "].randomElement(using: &chance) ?? ""
      text += "\(Self.pick(names, &chance)):\(before)\(Self.pick(values, &chance))\(behind)\r\n"
    }
    return Array("\(text)\r\n".utf8)
  }

  private static func pick(_ texts: [String], _ chance: inout SplitMix) -> String {
    texts.randomElement(using: &chance) ?? ""
  }

  /// One change of those that a head meets on its way.
  private static func change(_ fields: inout Fields, by chance: inout SplitMix) {
    switch Int.random(in: 0..<6, using: &chance) {
    case 0: fields.remove(Self.pick(names, &chance))
    case 1: fields.set(Self.pick(names, &chance), Self.pick(values, &chance))
    case 2: fields.append(name: Self.pick(names, &chance), value: Self.pick(values, &chance))
    case 3: fields.append(.forwarded) { $0.append(literal: " for=\u{1}x ") }
    case 4: fields.respell { $0 == .cookie }
    default: fields.removeHopByHop()
    }
  }

  @Test("lines are written one by one, whether they lie behind one another or not")
  func written() throws {
    for seed in UInt64(0)..<2000 {
      var chance = SplitMix(seed: seed)
      var head = try #require(readResponse([Self.received(by: &chance)]).head)
      for _ in 0..<Int.random(in: 0...5, using: &chance) { Self.change(&head.fields, by: &chance) }
      var expected = "HTTP/1.1 200 OK\r\n"
      for field in head.fields { expected += "\(field.name): \(field.value)\r\n" }
      let octets = head.serialized()
      #expect(String(decoding: octets, as: UTF8.self) == expected + "\r\n", "seed \(seed)")
      #expect(octets.count == (expected + "\r\n").utf8.count, "seed \(seed)")
    }
  }

  @Test("crumbs of a cookie lie in one line")
  func cookies() throws {
    var block = FieldBlock(byteCountMax: 4096, targetByteCountMax: 1024)
    for (name, value) in [
      (":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"),
      ("cookie", "a=1"), ("cookie", "b=2"), ("x", "y"), ("cookie", "c=3"),
    ] {
      block.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
    }
    let head = try block.request()
    #expect(
      String(decoding: head.serialized(), as: UTF8.self)
        == "GET / HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2; c=3\r\nx: y\r\n\r\n")
  }

  @Test("every octet is of the classes that the RFCs put it in")
  func classes() {
    let marks = Set("!#$%&'*+-.^_`|~".utf8)
    for octet in UInt8.min ... .max {
      let character = Character(Unicode.Scalar(octet))
      let isAlphanumeric = octet < 0x80 && (character.isLetter || character.isNumber)
      #expect(octet.isTokenOctet == (isAlphanumeric || marks.contains(octet)), "\(octet)")
    }
  }

  @Test("the first octet that no value has is found, wherever it stands")
  func valueOctets() {
    for count in 0..<20 {
      for octet in [0, 8, 9, 10, 13, 31, 32, 127, 128, 255] as [UInt8] {
        for place in 0..<count {
          var octets = [UInt8](repeating: 0x61, count: count)
          octets[place] = octet
          if place + 1 < count { octets[place + 1] = 9 }
          let expected = octets.firstIndex { !($0 >= 32 && $0 != 127 || $0 == 9) } ?? count
          #expect(octets.span.valueByteCount == expected, "\(octets)")
        }
      }
    }
  }
}
