import Yams

/// A value that is neither a list nor a mapping, as it is written.
struct Scalar {
  enum Kind {
    /// Nothing, `~` or `null`.
    case nothing
    /// `true` or `false`.
    case flag
    /// Digits, perhaps with a sign, a point or an exponent.
    case number
    case text
  }

  let characters: String
  /// Written without quotes: only then can it be something else than text (YAML 1.2.2 §10.3.2).
  let isPlain: Bool

  var kind: Kind {
    guard self.isPlain else { return .text }
    switch self.characters {
    case "", "~", "null", "Null", "NULL": return .nothing
    case "true", "false": return .flag
    default: return self.characters.wholeMatch(of: Self.number) != nil ? .number : .text
    }
  }

  /// The numbers of YAML 1.2.2 §10.3.2 that people write.
  private static var number: Regex<Substring> {
    /[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?/
  }

  /// How the value is quoted in a problem, cut where it is long.
  var quotation: String {
    let limit = 80
    let text = self.characters.count > limit ? "\(self.characters.prefix(limit))…" : self.characters
    return self.kind == .text || text.isEmpty ? "\"\(text)\"" : text
  }
}

extension Scalar: Decodable, ScalarConstructible {
  static func construct(from scalar: Node.Scalar) -> Scalar? {
    Scalar(characters: scalar.string, isPlain: scalar.style == .plain)
  }

  /// The decoder of YAML makes the value with ``construct(from:)`` and never comes here.
  init(from decoder: any Decoder) throws {
    self = try decoder.singleValueContainer().decode(Scalar.self)
  }
}
