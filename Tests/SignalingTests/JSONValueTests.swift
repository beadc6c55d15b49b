import Foundation
import Net
import Testing

@testable import Signaling

private func text(_ value: String) -> String? { JSONValue.text(Array(value.utf8).span) }
private func integer(_ value: String) -> Int? { JSONValue.integer(Array(value.utf8).span) }

@Suite("JSON values are read")
struct JSONValueTests {
  @Test(
    "strings, with each escape",
    arguments: [
      (#""""#, ""), (#""a b""#, "a b"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
      (#""\u0041\u00e9\u20AC""#, "Aé€"), (#""\u0000""#, "\u{0}"), (#""\uFFFF""#, "\u{FFFF}"),
      (#""\ud834\udd1e""#, "𝄞"), (#""x\uD83D\uDE00y""#, "x😀y"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"),
      (#""\uD800\uDC00""#, "\u{10000}"), (#""\ud834\udd1e\ud834\udd1e""#, "𝄞𝄞"),
      (#""\\ud800""#, #"\ud800"#), (#""\\\\""#, #"\\"#), ("\"ü😀\u{7F}\"", "ü😀\u{7F}"),
    ])
  func strings(value: String, expected: String) throws {
    #expect(text(value) == expected)
    #expect(try JSON(parsing: Array(value.utf8)) == .string(expected))
  }

  @Test(
    "half of a surrogate pair is no text",
    arguments: [
      #""\ud800""#, #""\udc00""#, #""\ud800x""#, #""\ud800\n""#, #""\ud800\ud800""#,
      #""\udc00\ud800""#,
      #""\ud800\u0041""#, #""\ud800\\udc00""#, #""x\udfff""#, #""\ud834\udd1e\ud834""#,
      #""\ud83d\\""#,
    ])
  func surrogates(value: String) { #expect(text(value) == nil) }

  @Test("what is no string has no text", arguments: ["1", "null", "true", "[]", "{}", "-1"])
  func others(value: String) { #expect(text(value) == nil) }

  @Test(
    "whole numbers, as far as they fit",
    arguments: [
      ("0", 0), ("-0", 0), ("7", 7), ("-7", -7), ("9007199254740991", 1 << 53 - 1),
      ("9223372036854775807", .max), ("-9223372036854775807", -.max),
      ("-9223372036854775808", .min),
    ])
  func integers(value: String, expected: Int) { #expect(integer(value) == expected) }

  @Test(
    "anything else is none",
    arguments: [
      "9223372036854775808", "-9223372036854775809", "92233720368547758070", "18446744073709551616",
      "123456789012345678901234567890", "1.0", "1e3", "1E3", "-1.5", "0.0", "0e0", "\"1\"", "null",
      "true", "[1]", "{}",
    ])
  func noIntegers(value: String) { #expect(integer(value) == nil) }

  @Test("truth values")
  func flags() {
    #expect(JSONValue.flag(Array("true".utf8).span) == true)
    #expect(JSONValue.flag(Array("false".utf8).span) == false)
    for other in ["1", "0", "null", "\"true\"", "[]", "{}"] {
      #expect(JSONValue.flag(Array(other.utf8).span) == nil)
    }
  }

  @Test("the first octet tells the kind")
  func kinds() {
    let kinds: [(String, JSONValue.Kind)] = [
      ("\"\"", .string), ("{}", .object), ("[]", .array), ("true", .flag), ("false", .flag),
      ("null", .null), ("0", .number), ("-1", .number),
    ]
    for (value, kind) in kinds { #expect(JSONValue.kind(Array(value.utf8).span) == kind) }
  }
}

@Suite("JSON is written")
struct JSONWriterTests {
  @Test("Foundation reads each character back, and so do we")
  func characters() throws {
    var all = (0...0x2FF).compactMap { Unicode.Scalar($0 as UInt32) }
    all += [0x2028, 0x2029, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFF, 0x1F600, 0x10FFFF].compactMap {
      Unicode.Scalar($0 as UInt32)
    }
    for scalar in all {
      let text = "a\(Character(scalar))b"
      var octets: [UInt8] = []
      octets.write(string: text)
      #expect(try JSON(parsing: octets) == .string(text))
      #expect(JSONValue.text(octets.span) == text)
    }
  }

  @Test("texts made of chance are read back", arguments: 0..<5 as Range<UInt64>)
  func chance(seed: UInt64) throws {
    var chance = SplitMix(seed: seed)
    for _ in 0..<300 {
      var text = ""
      for _ in 0..<Int.random(in: 0..<20, using: &chance) {
        let limit: UInt32 = Bool.random(using: &chance) ? 0x80 : 0x11_0000
        let number = UInt32.random(in: 0..<limit, using: &chance)
        if let scalar = Unicode.Scalar(number) { text.unicodeScalars.append(scalar) }
      }
      var octets: [UInt8] = []
      octets.write(string: text)
      #expect(try JSON(parsing: octets) == .string(text), "seed \(seed)")
    }
  }

  @Test("numbers, flags and lists")
  func others() {
    func written(_ write: (inout [UInt8]) -> Void) -> String {
      var octets: [UInt8] = []
      write(&octets)
      return String(decoding: octets, as: UTF8.self)
    }
    for number in [0, 7, 10, -1, 1 << 53 - 1, .max, .min] {
      #expect(written { $0.write(number: number) } == "\(number)")
    }
    #expect(written { $0.write(number: UInt64.max) } == "18446744073709551615")
    #expect(written { $0.write(flag: true) } + written { $0.write(flag: false) } == "truefalse")
    #expect(written { $0.write(list: [] as [Int]) { $1.write(number: $0) } } == "[]")
    #expect(written { $0.write(list: [1]) { $1.write(number: $0) } } == "[1]")
    #expect(written { $0.write(list: [1, 2, 3]) { $1.write(number: $0) } } == "[1,2,3]")
  }
}
