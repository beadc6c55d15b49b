/// Why a text with variables has no value.
enum VariableFault: Error, Equatable {
  case unterminated
  case malformed(expression: String)
  case unset(name: String)

  /// What is wrong. The expression is part of the text, which may be a secret.
  func message(quoting isQuotable: Bool) -> String {
    switch self {
    case .unterminated: "\"${\" has no \"}\" (a literal one is written \"$${\")"
    case .malformed(let expression):
      (isQuotable ? "\"${\(expression)}\"" : "what follows \"${\"")
        + " is not a variable: ${NAME} and ${NAME:-default} are "
        + "(a literal \"${\" is written \"$${\")"
    case .unset(let name): "the environment variable \(name) is not set"
    }
  }
}

/// `text` with every `${NAME}` replaced by that variable of the environment, and every
/// `${NAME:-default}` by it or, where it is unset or empty, by the default. `$${` stands for `${`;
/// any other `$` for itself. What a variable holds is not looked at again.
func replacingVariables(
  in text: String, from environment: [String: String]
) throws(VariableFault) -> String {
  var result = ""
  var rest = text[...]
  while let dollar = rest.firstIndex(of: "$") {
    result += rest[..<dollar]
    rest = rest[dollar...]
    if rest.hasPrefix("$${") {
      result += "${"
      rest = rest.dropFirst(3)
    } else if rest.hasPrefix("${") {
      guard let end = rest.firstIndex(of: "}") else {
        throw .unterminated
      }
      result += try value(ofVariable: rest[..<end].dropFirst(2), from: environment)
      rest = rest[end...].dropFirst()
    } else {
      result += "$"
      rest = rest.dropFirst()
    }
  }
  return result + rest
}

private func value(
  ofVariable expression: Substring, from environment: [String: String]
) throws(VariableFault) -> String {
  let nameEnd = expression.firstIndex(of: ":") ?? expression.endIndex
  let name = expression[..<nameEnd]
  let tail = expression[nameEnd...]
  guard isVariableName(name), tail.isEmpty || tail.hasPrefix(":-") else {
    throw .malformed(expression: String(expression))
  }
  if let value = environment[String(name)], !value.isEmpty || tail.isEmpty { return value }
  guard !tail.isEmpty else {
    throw .unset(name: String(name))
  }
  return String(tail.dropFirst(2))
}

private func isVariableName(_ name: Substring) -> Bool {
  guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
  return name.utf8.allSatisfy { octet in
    (0x30...0x39).contains(octet) || (0x41...0x5A).contains(octet)
      || (0x61...0x7A).contains(octet) || octet == 0x5F
  }
}
