import Testing

@testable import Configuration

/// The whole example with one thing changed, in every way and at every place.
@Suite("nothing in a file goes unnoticed")
struct MutationTests {
  private static func problems(_ value: JSONValue) throws -> [Problem] {
    let json = try value.json()
    do {
      _ = try Fixtures.parse(json)
      return []
    } catch {
      return error.problems
    }
  }

  @Test("a value of the wrong kind is a problem at its place")
  func wrongKinds() throws {
    let example = try JSONValue.read(json: wholeExample)
    #expect(try Self.problems(example).isEmpty)
    for (place, value) in example.parts() {
      var replacements: [JSONValue] = [.nothing, .list([.list([.text("x")])])]
      switch value {
      case .mapping, .list: replacements += [.text(""), .number(17)]
      // An empty one is a heartbeat with its defaults, where the word `off` stands.
      default: replacements.append(.mapping(["surely_unknown": .text("x")]))
      }
      for replacement in replacements {
        let problems = try Self.problems(example.replacing(place.steps[...], with: replacement))
        #expect(
          problems.contains { $0.keyPath.hasPrefix(place.description) && $0.line != nil },
          "\(place) = \(replacement): \(problems)")
      }
    }
  }

  @Test("a key that nobody knows is a problem in every mapping but those of free keys")
  func unknownKeys() throws {
    let example = try JSONValue.read(json: wholeExample)
    for case (let place, .mapping) in example.parts() {
      let isFree = place.pattern.hasSuffix(".forward_claims") || place.pattern.hasSuffix(".set")
      let unknown = place.appending(AnyKey(stringValue: "surely_unknown"))
      let problems = try Self.problems(example.replacing(unknown.steps[...], with: .text("X-1")))
      #expect(problems.map(\.keyPath) == (isFree ? [] : [unknown.description]))
      #expect(problems.allSatisfy { $0.message == "unknown key" })
    }
  }

  @Test("a file cut short at any octet is refused, and never stops the process")
  func cuts() {
    let file = Fixtures.file(
      route: """
        idle_timeout: 5m
        auth: { api_keys: { keys: ["${JWT_SECRET}"] } }
        """)
    let octets = Array(file.utf8)
    #expect(Fixtures.problems(file).isEmpty)
    for end in octets.indices {
      let yaml = String(decoding: octets[..<end], as: UTF8.self)
      #expect(!Fixtures.problems(yaml).isEmpty, "\(end)")
    }
  }
}
