import Yams

/// The tree of a YAML file, and the lines on which its parts stand.
struct Document {
  /// Aliases of aliases multiply: a file of a few lines can stand for more than fits in memory.
  static let nodeCountMax = 200_000

  /// Scalars stay as they are written, so that what is a number is decided here and not by the many
  /// readings of YAML 1.1; `<<` merges mappings.
  private static let resolver = Resolver.basic.appending(.merge)

  let root: Node

  /// Reads the one document of `yaml`. Syntax ends the reading: behind it nothing can be trusted.
  init(yaml: String, path: String) throws(Problem) {
    let node: Node?
    do {
      node = try Yams.compose(yaml: yaml, Self.resolver, .default, .utf8)
    } catch let error as YamlError {
      throw Self.problem(error, path: path)
    } catch {
      throw Problem(file: path, line: nil, keyPath: "", message: "not readable as YAML: \(error)")
    }
    guard let node else {
      throw Problem(
        file: path, line: nil, keyPath: "",
        message: "the file is empty: listeners and routes are needed")
    }
    self.root = node
  }

  private static func problem(_ error: YamlError, path: String) -> Problem {
    let (line, message): (Int?, String) =
      switch error {
      case .scanner(let context, let problem, let mark, _),
        .parser(let context, let problem, let mark, _),
        .composer(let context, let problem, let mark, _):
        (mark.line, "not YAML: \(problem)" + (context.map { " (\($0.text))" } ?? ""))
      case .reader(let problem, let offset, _, let yaml):
        (offset.map { Self.line(at: $0, of: yaml) }, "not YAML: \(problem)")
      case .duplicatedKeysInMapping(let keys, let context):
        (
          context.mark.line,
          "duplicate key: a mapping that begins here has more than one "
            + keys.map { "\"\($0)\"" }.joined(separator: " and ")
        )
      default: (nil, "not YAML: \(error)")
      }
    return Problem(file: path, line: line, keyPath: "", message: message)
  }

  private static func line(at offset: Int, of yaml: String) -> Int {
    1 + yaml.prefix(offset).count(where: \.isNewline)
  }

  /// The line of a place: that of its key, of the member of a list, or, where there is nothing at
  /// the place, of what is around it.
  func line(of place: Place) -> Int? {
    var node = self.root
    var line = node.mark?.line
    for step in place.steps {
      switch (step, node) {
      case (.key(let key), .mapping(let mapping)):
        guard let pair = Self.pair(of: key, in: mapping) else { return line }
        line = pair.key.mark?.line ?? line
        node = pair.value
      case (.index(let index), .sequence(let sequence)) where sequence.indices.contains(index):
        node = sequence[index]
        line = node.mark?.line ?? line
      default:
        return line
      }
    }
    return line
  }

  /// What stands at a place; `nil` where nothing does.
  func node(at place: Place) -> Node? {
    var node = self.root
    for step in place.steps {
      switch (step, node) {
      case (.key(let key), .mapping(let mapping)):
        guard let pair = Self.pair(of: key, in: mapping) else { return nil }
        node = pair.value
      case (.index(let index), .sequence(let sequence)) where sequence.indices.contains(index):
        node = sequence[index]
      default:
        return nil
      }
    }
    return node
  }

  /// The pair that counts: the mapping's own before those of the mappings it merges.
  private static func pair(of key: String, in mapping: Node.Mapping) -> (key: Node, value: Node)? {
    if let pair = mapping.first(where: { $0.key.scalar?.string == key }) { return pair }
    guard let merged = mapping.first(where: { $0.key.scalar?.string == "<<" })?.value else {
      return nil
    }
    for mapping in Self.mergedMappings(in: merged) {
      if let pair = Self.pair(of: key, in: mapping) { return pair }
    }
    return nil
  }

  /// All pairs that count, the mapping's own first.
  static func pairs(of mapping: Node.Mapping) -> [(key: String, value: Node)] {
    var keys = Set<String>()
    return Self.allPairs(of: mapping).filter { keys.insert($0.key).inserted }
  }

  /// The same with those behind them that do not count.
  private static func allPairs(of mapping: Node.Mapping) -> [(key: String, value: Node)] {
    let own = mapping.map { (key: $0.key.scalar?.string ?? "", value: $0.value) }
    let merged = own.first { $0.key == "<<" }.map { Self.mergedMappings(in: $0.value) } ?? []
    return own.filter { $0.key != "<<" } + merged.flatMap(Self.allPairs)
  }

  private static func mergedMappings(in node: Node) -> [Node.Mapping] {
    node.mapping.map { [$0] } ?? node.sequence?.compactMap(\.mapping) ?? []
  }
}

// MARK: - What the decoder would pass over

extension Document {
  /// A fault in the shape of the tree, and where it is.
  struct Fault {
    let place: Place
    let message: String
  }

  /// Whether the tree, every alias counted as what it stands for, is not larger than
  /// ``nodeCountMax``.
  var isBounded: Bool {
    var rest = Self.nodeCountMax
    return Self.count(self.root, &rest)
  }

  private static func count(_ node: Node, _ rest: inout Int) -> Bool {
    rest -= 1
    guard rest >= 0 else { return false }
    switch node {
    case .mapping(let mapping):
      return mapping.allSatisfy { Self.count($0.key, &rest) && Self.count($0.value, &rest) }
    case .sequence(let sequence):
      return sequence.allSatisfy { Self.count($0, &rest) }
    case .scalar, .alias:
      return true
    }
  }

  /// Keys that are not words, and merges of what is not a mapping: the decoder passes over them.
  func shapeFaults() -> [Fault] {
    var faults: [Fault] = []
    Self.walk(self.root, at: Place(), &faults)
    return faults
  }

  private static func walk(_ node: Node, at place: Place, _ faults: inout [Fault]) {
    switch node {
    case .mapping(let mapping):
      for (key, value) in mapping {
        guard let word = key.scalar?.string else {
          faults.append(Fault(place: place, message: "a key is a word, not a list or a mapping"))
          continue
        }
        let place = place.appending(AnyKey(stringValue: word))
        if word == "<<", !Self.isMergeable(value) {
          faults.append(Fault(place: place, message: "\"<<\" merges mappings, nothing else"))
        }
        Self.walk(value, at: place, &faults)
      }
    case .sequence(let sequence):
      for (index, value) in sequence.enumerated() {
        Self.walk(value, at: place.appending(index), &faults)
      }
    case .scalar, .alias:
      return
    }
  }

  private static func isMergeable(_ node: Node) -> Bool {
    node.mapping != nil || node.sequence?.allSatisfy { $0.mapping != nil } == true
  }
}
