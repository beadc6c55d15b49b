import Foundation

@testable import Configuration

/// A value of JSON, so that tests can take files apart and put them together again.
indirect enum JSONValue: Codable, Hashable {
  case nothing
  case flag(Bool)
  case number(Int)
  case text(String)
  case list([JSONValue])
  case mapping([String: JSONValue])

  init(from decoder: any Decoder) throws {
    if let members = try? [String: JSONValue](from: decoder) {
      self = .mapping(members)
    } else if let members = try? [JSONValue](from: decoder) {
      self = .list(members)
    } else {
      let scalar = try decoder.singleValueContainer()
      if let flag = try? scalar.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? scalar.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try scalar.decode(String.self))
      }
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .nothing: try container.encodeNil()
    case .flag(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    case .list(let members): try container.encode(members)
    case .mapping(let members): try container.encode(members)
    }
  }

  static func read(json: String) throws -> JSONValue {
    try JSONDecoder().decode(JSONValue.self, from: Data(json.utf8))
  }

  static func read(yaml: String) throws -> JSONValue {
    try Configuration.reading(yaml: yaml, path: "a.yaml", directory: ".", environment: [:])
      .decode(JSONValue.self)
  }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .prettyPrinted
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

extension JSONValue {
  var members: [String: JSONValue] { if case .mapping(let members) = self { members } else { [:] } }
  var list: [JSONValue] { if case .list(let members) = self { members } else { [] } }
  var text: String? { if case .text(let text) = self { text } else { nil } }
  var number: Int? { if case .number(let number) = self { number } else { nil } }

  /// All values in it, itself first, and where they stand.
  func parts(at place: Place = Place()) -> [(place: Place, value: JSONValue)] {
    var parts = [(place, self)]
    for (key, member) in self.members {
      parts += member.parts(at: place.appending(AnyKey(stringValue: key)))
    }
    for (index, member) in self.list.enumerated() {
      parts += member.parts(at: place.appending(index))
    }
    return parts
  }

  /// The same with `replacement` at a place.
  func replacing(_ steps: ArraySlice<Place.Step>, with replacement: JSONValue) -> JSONValue {
    switch (steps.first, self) {
    case (nil, _):
      return replacement
    case (.key(let key)?, .mapping(var members)):
      members[key] = (members[key] ?? .nothing).replacing(steps.dropFirst(), with: replacement)
      return .mapping(members)
    case (.index(let index)?, .list(var members)):
      members[index] = members[index].replacing(steps.dropFirst(), with: replacement)
      return .list(members)
    default:
      return self
    }
  }
}
