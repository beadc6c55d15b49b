import HTTP

/// Paths that a route answers for: everything below a path that ends in `/`, or one path.
///
/// Both sides are compared as ``HTTP/ComparablePath``, percent-decoded, and runs of `/` as one:
/// `/%61dmin/` must not slip past the route of `/admin/` into a wider one. A path on whose meaning
/// servers disagree (dot segments, encoded slashes and the like) matches no pattern at all.
public enum PathPattern: Hashable, Sendable, CustomStringConvertible {
  /// This path and no other.
  case exact(String)
  /// This path, which ends in `/`, and everything that begins with it.
  case prefix(String)

  /// Reads a path that begins with `/`; with a `/` at its end it stands for everything below.
  public init(parsing text: String) throws(PatternError) {
    func fault(_ reason: String) -> PatternError {
      PatternError(text, isNot: "a path pattern", because: reason)
    }
    guard text.hasPrefix("/") else { throw fault("a path begins with \"/\"") }
    guard !text.utf8.contains(where: { "*?# ".utf8.contains($0) }) else {
      throw fault(
        "\"*\", \"?\", \"#\" and spaces have no place in it; end it in \"/\" for a prefix")
    }
    guard let octets = ComparablePath(text)?.octets,
      let path = String(validating: octets, as: UTF8.self)
    else {
      throw fault(
        "dot segments, encoded slashes, backslashes, controls and broken \"%\" escapes never match")
    }
    guard !text.contains("//") else { throw fault("\"//\" is compared as \"/\": write it so") }
    self = octets.last == UInt8(ascii: "/") ? .prefix(path) : .exact(path)
  }

  /// Whether `path`, the target of a request up to its `?` and not decoded, is one of them.
  public func matches(_ path: String) -> Bool {
    guard let octets = ComparablePath(path)?.octets else { return false }
    return switch self {
    case .exact(let expected): octets.elementsEqual(expected.utf8)
    case .prefix(let expected): octets.starts(with: expected.utf8)
    }
  }

  /// The path, decoded.
  public var description: String {
    switch self {
    case .exact(let path), .prefix(let path): path
    }
  }
}

/// Which requests a route answers.
public struct RouteMatch: Hashable, Sendable {
  /// One of these; with none in the list, any host.
  public var hosts: [HostPattern]
  /// And a path among these.
  public var path: PathPattern

  /// A match of hosts, none meaning any, and a path.
  public init(hosts: [HostPattern], path: PathPattern) {
    self.hosts = hosts
    self.path = path
  }

  /// Whether the route answers for `host` (without a port) and `path` (not decoded, no query).
  public func matches(host: String, path: String) -> Bool {
    guard self.hosts.isEmpty || self.hosts.contains(where: { $0.matches(host) }) else {
      return false
    }
    return self.path.matches(path)
  }
}
