/// A place in the tree of keys of a file.
struct Place: Hashable, CustomStringConvertible {
  enum Step: Hashable {
    case key(String)
    case index(Int)
  }

  var steps: [Step] = []

  init(_ steps: [Step] = []) { self.steps = steps }

  init(_ codingPath: [any CodingKey]) {
    self.steps = codingPath.map { key in
      key.intValue.map(Step.index) ?? .key(key.stringValue)
    }
  }

  func appending(_ key: some CodingKey) -> Place { Place(self.steps + [.key(key.stringValue)]) }
  func appending(_ index: Int) -> Place { Place(self.steps + [.index(index)]) }

  /// `routes[1].match.hosts[0]`
  var description: String { self.text { "[\($0)]" } }

  /// The same for all members of a list: `routes[].match.hosts[]`.
  var pattern: String { self.text { _ in "[]" } }

  private func text(index: (Int) -> String) -> String {
    self.steps.reduce(into: "") { text, step in
      switch step {
      case .key(let key): text += text.isEmpty ? key : ".\(key)"
      case .index(let number): text += index(number)
      }
    }
  }
}
