import Foundation

/// As much of JSON Schema (draft 2020-12) as config/sluice.schema.json uses. A word that it does not
/// know is never met, so that none is passed over.
struct Schema {
  private let root: JSONValue
  private static let annotations: Set = ["$schema", "$defs", "title", "description", "default"]

  init(json: String) throws { self.root = try JSONValue.read(json: json) }

  /// The schema, or, for a `$ref`, the definition it names.
  private func resolved(_ schema: JSONValue) -> JSONValue {
    guard let name = schema.members["$ref"]?.text?.split(separator: "/").last else { return schema }
    return self.definition(String(name))
  }

  private func definition(_ name: String) -> JSONValue {
    self.root.members["$defs"]?.members[name] ?? .nothing
  }

  /// The default of a key, in the definition of that name or at the top.
  func defaultValue(of key: String, in definition: String?) -> JSONValue? {
    let schema = definition.map(self.definition) ?? self.root
    return schema.members["properties"]?.members[key]?.members["default"]
  }

  /// The keys of every mapping whose keys are known, by the pattern of its place.
  func knownKeys() -> [String: Set<String>] {
    var keys: [String: Set<String>] = [:]
    self.walk(self.root, "", &keys)
    return keys
  }

  private func walk(_ schema: JSONValue, _ pattern: String, _ keys: inout [String: Set<String>]) {
    let schema = self.resolved(schema)
    if let properties = schema.members["properties"] {
      keys[pattern] = Set(properties.members.keys)
      for (key, schema) in properties.members {
        self.walk(schema, pattern.isEmpty ? key : "\(pattern).\(key)", &keys)
      }
    }
    if let items = schema.members["items"] { self.walk(items, "\(pattern)[]", &keys) }
    for alternative in schema.members["anyOf"]?.list ?? [] {
      self.walk(alternative, pattern, &keys)
    }
  }

  /// What is wrong with a value.
  func faults(of value: JSONValue) -> [String] { self.faults(of: value, self.root, "") }

  private func faults(of value: JSONValue, _ schema: JSONValue, _ place: String) -> [String] {
    schema.members.flatMap { word, rule -> [String] in
      switch word {
      case "$ref": self.faults(of: value, self.resolved(schema), place)
      case "anyOf", "oneOf": self.choiceFaults(of: value, word, rule.list, place)
      case "not": self.faults(of: value, rule, place).isEmpty ? ["\(place): not \(rule)"] : []
      case "properties":
        value.members.flatMap { key, member in
          rule.members[key].map { self.faults(of: member, $0, "\(place).\(key)") } ?? []
        }
      case "additionalProperties":
        self.otherFaults(of: value, rule, schema.members["properties"]?.members ?? [:], place)
      case "items": value.list.flatMap { self.faults(of: $0, rule, "\(place)[]") }
      case _ where Self.annotations.contains(word) || Self.isMet(word, rule, by: value): []
      default: ["\(place): \(word) \(rule), is \(value)"]
      }
    }
  }

  private func choiceFaults(
    of value: JSONValue, _ word: String, _ schemas: [JSONValue], _ place: String
  ) -> [String] {
    let count = schemas.count { self.faults(of: value, $0, place).isEmpty }
    return count == 1 || word == "anyOf" && count > 1 ? [] : ["\(place): \(word) meets \(count)"]
  }

  private func otherFaults(
    of value: JSONValue, _ rule: JSONValue, _ properties: [String: JSONValue], _ place: String
  ) -> [String] {
    value.members.filter { properties[$0.key] == nil }.flatMap { key, member in
      rule == .flag(false)
        ? ["\(place).\(key): unknown"] : self.faults(of: member, rule, "\(place).\(key)")
    }
  }

  /// A rule about values of another kind is met.
  private static func isMet(_ word: String, _ rule: JSONValue, by value: JSONValue) -> Bool {
    switch (word, value) {
    case ("type", _): rule.text == Self.type(of: value)
    case ("const", _): rule == value
    case ("enum", _): rule.list.contains(value)
    case ("required", .mapping(let members)):
      rule.list.allSatisfy { $0.text.map { members[$0] != nil } == true }
    case ("minProperties", .mapping(let members)): members.count >= rule.number ?? .max
    case ("minItems", .list(let members)): members.count >= rule.number ?? .max
    case ("maxItems", .list(let members)): members.count <= rule.number ?? .min
    case ("minLength", .text(let text)): text.count >= rule.number ?? .max
    case ("minimum", .number(let number)): number >= rule.number ?? .max
    case ("maximum", .number(let number)): number <= rule.number ?? .min
    case ("pattern", .text(let text)):
      text.range(of: rule.text ?? "$.^", options: .regularExpression) != nil
    case ("required", _), ("minProperties", _), ("minItems", _), ("maxItems", _), ("minLength", _),
      ("minimum", _), ("maximum", _), ("pattern", _):
      true
    default: false
    }
  }

  private static func type(of value: JSONValue) -> String {
    switch value {
    case .nothing: "null"
    case .flag: "boolean"
    case .number: "integer"
    case .text: "string"
    case .list: "array"
    case .mapping: "object"
    }
  }
}
