import HTTP

/// What the backend does for a path.
enum Service: Equatable {
  case echo
  case sink
  /// `left` counts down; `nil` has no end.
  case source(byteCount: Int, left: UInt64?)

  /// The largest message that a source sends.
  static let byteCountMax = 1 << 30

  /// `nil` for a source whose size or count is not a number.
  init?(_ head: RequestHead) {
    switch head.path {
    case "/sink": self = .sink
    case "/source":
      let query = head.query ?? ""
      guard let size = Self.number("size", in: query, else: 16_384), size <= Self.byteCountMax,
        let count = Self.number("count", in: query, else: 0)
      else { return nil }
      self = .source(byteCount: Int(size), left: count == 0 ? nil : count)
    default: self = .echo
    }
  }

  private static func number(
    _ name: String, in query: String, else value: UInt64
  ) -> UInt64? {
    let parameter = query.split(separator: "&").first { $0.hasPrefix("\(name)=") }
    guard let parameter else { return value }
    return UInt64(parameter.dropFirst(name.utf8.count + 1))
  }
}
