/// What an authentic token says.
public struct Claims: Sendable, Equatable {
  /// Who it speaks for (RFC 7519 §4.1.2).
  public var subject: String?
  /// When it is no longer taken, in seconds since 1970: what its `exp` says (RFC 7519 §4.1.4) and,
  /// behind that, the leeway that the verifier gives to clocks. A tunnel that ends with its token
  /// ends here, so that no request is admitted to a tunnel that is over already.
  public var expiry: Int64?
  /// All claims by name, as the token has them.
  public var values: [String: ClaimValue]

  /// Claims with a subject, the end of their time in seconds since 1970, and others by name.
  public init(subject: String? = nil, expiry: Int64? = nil, values: [String: ClaimValue] = [:]) {
    self.subject = subject
    self.expiry = expiry
    self.values = values
  }

  /// The text of a string, a number or a truth value; `nil` for a list, an object, null, and a
  /// claim that is not there.
  ///
  /// A dot leads into an object: `user.name`. A name that itself has dots, as those of claims in
  /// the style of `https://example.com/role`, is tried whole first.
  public func text(_ claim: String) -> String? {
    if claim == "sub", let subject = self.subject { return subject }
    return Self.value(at: claim[...], in: self.values)?.text
  }

  private static func value(at path: Substring, in object: [String: ClaimValue]) -> ClaimValue? {
    if let value = object[String(path)] { return value }
    for dot in path.indices where path[dot] == "." {
      guard case .object(let inner)? = object[String(path[..<dot])] else { continue }
      if let value = Self.value(at: path[dot...].dropFirst(), in: inner) { return value }
    }
    return nil
  }
}

/// One JSON value of a token.
public enum ClaimValue: Sendable, Equatable {
  /// A string.
  case text(String)
  /// A number without a fraction that fits.
  case integer(Int64)
  /// Any other number.
  case number(Double)
  /// A truth value.
  case flag(Bool)
  /// An array.
  case list([ClaimValue])
  /// An object.
  case object([String: ClaimValue])
  /// The value `null`.
  case null

  /// The text of a string, a number or a truth value.
  public var text: String? {
    switch self {
    case .text(let text): text
    case .integer(let integer): String(integer)
    case .number(let number): String(number)
    case .flag(let flag): String(flag)
    case .list, .object, .null: nil
    }
  }
}

extension ClaimValue: Codable {
  /// Reads whichever JSON value is there.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let integer = try? container.decode(Int64.self) {
      self = .integer(integer)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let list = try? container.decode([ClaimValue].self) {
      self = .list(list)
    } else {
      self = .object(try container.decode([String: ClaimValue].self))
    }
  }

  /// Writes the JSON value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let text): try container.encode(text)
    case .integer(let integer): try container.encode(integer)
    case .number(let number): try container.encode(number)
    case .flag(let flag): try container.encode(flag)
    case .list(let list): try container.encode(list)
    case .object(let object): try container.encode(object)
    case .null: try container.encodeNil()
    }
  }
}
