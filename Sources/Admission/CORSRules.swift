public import HTTP

/// What pages of other origins may do with a route (the CORS protocol, WHATWG Fetch §3.3). Which
/// origins those are, the route's ``OriginRule`` says.
///
/// A browser decides by what it is told. Whoever is not allowed something is told nothing of it,
/// which is no refusal: the answer itself is as for everybody.
public struct CORSRules: Sendable, Hashable {
  /// Fields that a page may add to a request.
  public enum RequestFields: Sendable, Hashable {
    /// All that it asks for.
    case any
    /// Those with these names.
    case listed([String])
  }

  /// The methods that a page may use. Browsers let it use GET, HEAD and POST in any case.
  public var methods: [String]
  /// The fields that a page may add to a request.
  public var requestFields: RequestFields
  /// The fields of an answer that a page may read, beside those that it always may.
  public var exposedFields: [String]
  /// Whether a browser may send cookies and show the page what they bring. It means nothing where
  /// every origin is allowed: that would be every page of the web in the user's name.
  public var allowsCredentials: Bool
  /// How long a browser may remember the answer to a preflight, in whole seconds.
  public var maxAge: Duration

  /// Rules whose names have been checked.
  public init(
    methods: [String] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    requestFields: RequestFields = .any, exposedFields: [String] = [],
    allowsCredentials: Bool = false, maxAge: Duration = .seconds(600)
  ) {
    self.methods = methods
    self.requestFields = requestFields
    self.exposedFields = exposedFields
    self.allowsCredentials = allowsCredentials
    self.maxAge = maxAge
  }
}

extension CORSRules {
  /// Whether a browser asks what a page may do, before it does it (§3.3.2, "CORS-preflight request").
  /// No browser sends credentials along, so that it is answered before anything is examined.
  public static func isPreflight(_ head: RequestHead) -> Bool {
    head.method == "OPTIONS" && head.fields.contains("Origin")
      && head.fields.contains("Access-Control-Request-Method")
  }

  /// Whether a field of a server's answer is one of those that the edge alone writes.
  public static func owns(_ field: Fields.Field) -> Bool {
    field.nameOctets.prefix(Self.fieldPrefix.utf8.count).spellsIgnoringASCIICase(Self.fieldPrefix)
  }

  private static let fieldPrefix = "Access-Control-"

  /// The fields of the answer to a preflight, which has status 204 and no content.
  public func preflightAnswer(to head: RequestHead, origins: OriginRule) -> Fields {
    var fields = Fields()
    if let origin = self.allowedOrigin(head, origins) {
      self.permission(origin, origins).forEach { fields.append(name: $0, value: $1) }
      fields.append(
        name: "Access-Control-Allow-Methods", value: self.methods.joined(separator: ", "))
      let names = self.allowedFields(head)
      if !names.isEmpty {
        fields.append(
          name: "Access-Control-Allow-Headers", value: names.joined(separator: ", "))
      }
      let seconds = max(0, self.maxAge.components.seconds)
      fields.append(name: "Access-Control-Max-Age", value: String(seconds))
    }
    // Fetch §3.3.5 asks for Origin; the rest is for caches that keep answers to OPTIONS all the same.
    fields.append(
      name: "Vary", value: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
    return fields
  }

  /// The fields that every other answer of the route gets, a refusal too: without them the page would
  /// not learn why.
  public func answerFields(
    to head: RequestHead, origins: OriginRule
  ) -> [(name: String, value: String)] {
    var fields: [(name: String, value: String)] = []
    if let origin = self.allowedOrigin(head, origins) {
      fields += self.permission(origin, origins)
      if !self.exposedFields.isEmpty {
        let names = self.exposedFields.joined(separator: ", ")
        fields.append((name: "Access-Control-Expose-Headers", value: names))
      }
    }
    return fields + [(name: "Vary", value: "Origin")]
  }

  /// What Access-Control-Allow-Origin says; `nil` for nothing.
  private func allowedOrigin(_ head: RequestHead, _ origins: OriginRule) -> String? {
    // The same for everybody, so that a cache may keep one answer (§3.3.5).
    if origins == .any { return "*" }
    // Of two nobody knows which one counts (RFC 6454 §7.3).
    let values = head.fields.values("Origin")
    guard values.count == 1, let origin = values.first, origins.admits(origin) else { return nil }
    return origin
  }

  private func permission(
    _ origin: String, _ origins: OriginRule
  ) -> [(name: String, value: String)] {
    let credentials = [(name: "Access-Control-Allow-Credentials", value: "true")]
    return [(name: "Access-Control-Allow-Origin", value: origin)]
      + (self.allowsCredentials && origins != .any ? credentials : [])
  }

  /// Names, never `*`: that leaves Authorization out, and is only a name where cookies are sent.
  private func allowedFields(_ head: RequestHead) -> [String] {
    switch self.requestFields {
    case .listed(let names): return names
    case .any:
      let names = head.fields.tokens("Access-Control-Request-Headers")
      return names.allSatisfy(Fields.isName) ? names : []
    }
  }
}
