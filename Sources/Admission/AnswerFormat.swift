/// The form in which a refusal is explained to whom asked.
enum AnswerFormat: CaseIterable {
  // In the order of our own preference, which decides where the client's does not.
  case json
  case text
  case html

  /// The form that a client likes best (RFC 9110 §12.5.1). JSON where it says nothing, and where it
  /// takes none of them: an explanation that can be passed over beats none.
  ///
  /// - Parameter accept: the value of the Accept field, several lines as one list.
  init(accept: String?) {
    let ranges = (accept ?? "")[...].pieces(separatedBy: ",").compactMap(MediaRange.init)
    var best = (format: AnswerFormat.json, weight: 0)
    for format in Self.allCases {
      let match = ranges.compactMap { $0.match(format) }.max { $0.precision < $1.precision }
      if let match, match.weight > best.weight { best = (format, match.weight) }
    }
    self = best.format
  }

  fileprivate var mediaType: (type: String, subtype: String) {
    switch self {
    case .json: ("application", "json")
    case .text: ("text", "plain")
    case .html: ("text", "html")
    }
  }

  /// The fields that go with content of the form.
  var fields: [Refusal.Field] {
    let type = "\(self.mediaType.type)/\(self.mediaType.subtype)"
    switch self {
    case .json: return [.init(name: "Content-Type", value: type)]
    case .text: return [.init(name: "Content-Type", value: "\(type); charset=utf-8")]
    case .html:
      return [
        .init(name: "Content-Type", value: "\(type); charset=utf-8"),
        // Nothing in the page is anybody else's; should it ever be, no browser will run it.
        .init(
          name: "Content-Security-Policy", value: "default-src 'none'; style-src 'unsafe-inline'"),
      ]
    }
  }
}

/// One member of an Accept field: `type "/" subtype`, either perhaps `*`, with a weight. Parameters
/// other than the weight are passed over: no form has any that a client could want otherwise.
private struct MediaRange {
  let type: Substring
  let subtype: Substring
  /// In thousandths.
  let weight: Int

  /// `nil` for a member that is none: it counts for nothing.
  init?(_ member: Substring) {
    let parts = member.pieces(separatedBy: ";").map(\.trimmed)
    guard let (type, subtype) = parts.first?.parts(aroundFirst: "/"), type.isToken,
      subtype.isToken
    else { return nil }
    self.type = type
    self.subtype = subtype
    let weights = parts.dropFirst().compactMap { part -> Substring? in
      guard let (name, value) = part.parts(aroundFirst: "="),
        name.equalsIgnoringASCIICase("q")
      else { return nil }
      return value
    }
    guard let weight = weights.first.map(Self.weight) ?? 1000 else { return nil }
    self.weight = weight
  }

  /// RFC 9110 §12.4.2: `0` or `1`, perhaps with up to three decimals, at most 1.
  private static func weight(_ text: Substring) -> Int? {
    let (whole, decimals) = text.parts(aroundFirst: ".") ?? (text, "")
    guard whole == "0" || whole == "1", decimals.utf8.count <= 3,
      decimals.utf8.allSatisfy(\.isASCIIDigit)
    else { return nil }
    let padded = decimals + String(repeating: "0", count: 3 - decimals.utf8.count)
    guard let thousandths = Int(whole + padded), thousandths <= 1000 else { return nil }
    return thousandths
  }

  /// How much a form is wanted, and how precisely it was named; `nil` where it is not meant.
  func match(_ format: AnswerFormat) -> (precision: Int, weight: Int)? {
    let (type, subtype) = format.mediaType
    if self.type == "*", self.subtype == "*" { return (0, self.weight) }
    guard self.type.equalsIgnoringASCIICase(type) else { return nil }
    if self.subtype == "*" { return (1, self.weight) }
    return self.subtype.equalsIgnoringASCIICase(subtype) ? (2, self.weight) : nil
  }
}
