import Yams

/// The file for people to see while it is in force.
extension Reading {
  /// What stands in the place of a secret.
  private static let mask = "********"

  /// The file as JSON, without what is secret in it. Variables and the names of files stay as they are
  /// written: what they hold is not shown.
  func maskedJSON() -> String {
    var text = ""
    self.write(self.document.root, at: Place(), isSecret: false, to: &text)
    return text
  }

  private func write(_ node: Node, at place: Place, isSecret: Bool, to text: inout String) {
    let isSecret = isSecret || self.secrets.contains(place)
    switch node {
    case .mapping(let mapping):
      text += "{"
      // With merged mappings where they count: their secrets are known by those places.
      for (index, (key, value)) in Document.pairs(of: mapping).enumerated() {
        text += (index > 0 ? "," : "") + Self.quoted(key) + ":"
        let place = place.appending(AnyKey(stringValue: key))
        self.write(value, at: place, isSecret: isSecret, to: &text)
      }
      text += "}"
    case .sequence(let sequence):
      text += "["
      for (index, member) in sequence.enumerated() {
        if index > 0 { text += "," }
        self.write(member, at: place.appending(index), isSecret: isSecret, to: &text)
      }
      text += "]"
    case .scalar(let scalar): text += Self.json(scalar, isSecret: isSecret)
    case .alias: text += "null"
    }
  }

  private static func json(_ scalar: Node.Scalar, isSecret: Bool) -> String {
    let string = scalar.string
    // A default, or text beside a variable, would show some of the secret.
    let isReference =
      string.hasPrefix("file:") || string.wholeMatch(of: /\$\{[A-Za-z0-9_]+\}/) != nil
    if isSecret, !isReference { return Self.quoted(Self.mask) }
    let written = Scalar(characters: string, isPlain: scalar.style == .plain)
    switch written.kind {
    case .flag: return string
    case .number where Int(string).map(String.init) == string: return string
    case .nothing: return "null"
    default: return Self.quoted(string)
    }
  }

  /// RFC 8259 §7.
  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\u{0}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
