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
    ComparablePath(path).map { self.matches($0) } ?? false
  }

  func matches(_ path: ComparablePath) -> Bool {
    switch self {
    case .exact(let expected): path.octets.elementsEqual(expected.utf8)
    case .prefix(let expected): path.octets.starts(with: expected.utf8)
    }
  }

  /// The path, decoded.
  public var description: String {
    switch self {
    case .exact(let path), .prefix(let path): path
    }
  }
}

/// What of a request routes are chosen by, read once for all of them.
public struct RequestPlace: Sendable {
  /// `nil` where the host is none; no pattern of hosts matches it.
  let host: Host?
  /// `nil` where servers disagree on the path; no pattern matches it.
  let path: ComparablePath?

  /// The host (without a port) and the path (not decoded, no query) of a request.
  ///
  /// - Parameter host: `nil` where no route goes by it.
  public init(host: String?, path: String) {
    // A dot at the end, which makes a name absolute (RFC 3986 §3.2.2), changes nothing.
    self.host = host.flatMap { host in
      Host(parsing: host.utf8.last == UInt8(ascii: ".") ? host.dropLast() : host[...])
    }
    self.path = ComparablePath(path)
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
    self.matches(RequestPlace(host: host, path: path))
  }

  /// Whether the route answers for a request at `place`.
  public func matches(_ place: RequestPlace) -> Bool {
    guard let path = place.path, self.path.matches(path) else { return false }
    guard !self.hosts.isEmpty else { return true }
    guard let host = place.host else { return false }
    return self.hosts.contains { $0.matches(host) }
  }
}
