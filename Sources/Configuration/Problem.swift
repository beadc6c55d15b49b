/// One thing that is wrong with a configuration file.
public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, as its path was given.
  public let file: String
  /// Counted from one; `nil` where the problem has no place in the file, as when it cannot be read.
  public let line: Int?
  /// Where in the tree of keys, as in `routes[1].limits`; empty for the file as a whole.
  public let keyPath: String
  /// What is wrong. It quotes the file, never a secret.
  public let message: String

  /// A problem at a place.
  public init(file: String, line: Int?, keyPath: String, message: String) {
    self.file = file
    self.line = line
    self.keyPath = keyPath
    self.message = message
  }

  /// `config/sluice.yaml:23: routes[1].idle_timeout: "5" is not a duration …`
  public var description: String {
    let place = self.line.map { "\(self.file):\($0)" } ?? self.file
    let subject = self.keyPath.isEmpty ? "" : "\(self.keyPath): "
    return "\(place): \(subject)\(self.message)"
  }
}

/// Everything that is wrong with a configuration file, in the order of its lines.
public struct ConfigurationErrors: Error, Sendable, CustomStringConvertible {
  /// At least one.
  public let problems: [Problem]

  init(_ problems: [Problem]) {
    var seen = Set<Problem>()
    let distinct = problems.filter { seen.insert($0).inserted }
    // The sort keeps the order of problems of one line: it is stable.
    self.problems = distinct.sorted { ($0.line ?? 0) < ($1.line ?? 0) }
  }

  /// One problem a line.
  public var description: String {
    self.problems.map(\.description).joined(separator: "\n")
  }
}
