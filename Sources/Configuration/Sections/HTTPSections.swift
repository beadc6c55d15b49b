import Admission
import HTTP

/// A part of a file in whose place `true`, for its defaults, or `false`, for nothing, may stand.
protocol SwitchedSection: Decodable {
  associatedtype Rules
  /// What holds for `true`.
  static var standard: Rules { get }
  var rules: Rules { get }
}

extension Entry {
  /// The rules of a part; `nil` for `false`.
  func switched<Part: SwitchedSection>(_ part: Part.Type) -> Part.Rules? {
    guard self.writtenScalar != nil else { return self.part(part)?.rules }
    guard let scalar = self.scalar("true, false or keys and values") else { return nil }
    guard scalar.kind == .flag else {
      self.refuse(
        "true, false or keys and values are expected, \(self.quotation(of: scalar)) is one value")
      return nil
    }
    return scalar.characters == "true" ? part.standard : nil
  }
}

/// `routes[].http`
struct HTTPSection: SwitchedSection {
  enum Keys: String, CodingKey, CaseIterable {
    case responseTimeout = "response_timeout"
    case silenceTimeout = "silence_timeout"
    case bodySize = "body_size"
  }

  static var standard: HTTPRules { HTTPRules() }
  let rules: HTTPRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = Self.standard
    if let timeout = section[.responseTimeout]?.duration(in: .milliseconds(100) ... .seconds(3600))
    {
      rules.responseTimeout = timeout
    }
    if let timeout = section[.silenceTimeout]?.duration(in: .seconds(1) ... .seconds(86_400)) {
      rules.silenceTimeout = timeout
    }
    rules.bodyByteCountMax = section[.bodySize]?.byteCount(in: 1...1 << 40).map(UInt64.init)
    self.rules = rules
  }
}

/// `routes[].cors`
struct CORSSection: SwitchedSection {
  enum Keys: String, CodingKey, CaseIterable {
    case methods, headers, expose, credentials
    case maxAge = "max_age"
  }

  static var standard: CORSRules { CORSRules() }
  let rules: CORSRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    var rules = Self.standard
    if let entry = section[.methods] { rules.methods = entry.methods() }
    if let entry = section[.headers], let fields = entry.requestFields() {
      rules.requestFields = fields
    }
    if let entry = section[.expose] { rules.exposedFields = entry.crossOriginFields() }
    if let flag = section[.credentials]?.flag() { rules.allowsCredentials = flag }
    // A day is as long as any browser remembers it.
    if let age = section[.maxAge]?.duration(in: .zero ... .seconds(86_400)) { rules.maxAge = age }
    self.rules = rules
  }
}

extension Entry {
  /// Fetch §2.2.1: methods that no page can ask for.
  private static let forbiddenMethods = ["CONNECT", "TRACE", "TRACK"]

  fileprivate func methods() -> [String] {
    var seen = Set<String>()
    return (self.list() ?? []).compactMap { entry in
      guard let method = entry.text("a method") else { return nil }
      // Methods differ by case (RFC 9110 §9.1), and all that are in use are upper case.
      guard Fields.isName(method), method != "*", method == method.uppercased() else {
        entry.refuse("\"\(method)\" is not a method: they are words in upper case, as PATCH")
        return nil
      }
      guard !Self.forbiddenMethods.contains(method) else {
        entry.refuse("\(method) is a method that no browser lets a page use")
        return nil
      }
      guard seen.insert(method).inserted else {
        entry.refuse("duplicate: \(method) stands here twice")
        return nil
      }
      return method
    }
  }

  /// `any`, or a list of names.
  fileprivate func requestFields() -> CORSRules.RequestFields? {
    guard self.writtenScalar != nil else { return .listed(self.crossOriginFields()) }
    guard let scalar = self.scalar("`any` or a list of fields") else { return nil }
    if scalar.characters == "any" { return .any }
    self.refuse("`any` or a list of fields is expected, \(self.kind)")
    return nil
  }

  fileprivate func crossOriginFields() -> [String] {
    var seen = Set<String>()
    return (self.list() ?? []).compactMap { entry in
      guard let name = entry.text("the name of a field") else { return nil }
      guard Fields.isName(name), name != "*" else {
        entry.refuse("\"\(name)\" is not the name of a field (RFC 9110 §5.1)")
        return nil
      }
      guard seen.insert(name.lowercased()).inserted else {
        entry.refuse("duplicate: \(name) stands here twice")
        return nil
      }
      return name
    }
  }
}

// MARK: - What contradicts what

extension RouteSection {
  /// The rules of ordinary requests; records what has no meaning without them.
  static func http(_ section: Section<Keys>, _ admission: AdmissionRules) -> HTTPRules? {
    var rules = section[.http]?.switched(HTTPSection.self)
    let cors = section[.cors]?.switched(CORSSection.self)
    // What has no meaning beside rooms is found there.
    if rules == nil, !section.hasRooms {
      if cors != nil { section[.cors]?.refuse(Self.onlyWebSockets) }
      if admission.requestsPerClient != nil {
        section.entry.reading.refuse(
          Self.onlyWebSockets,
          at: section.entry.place.appending(Keys.limits)
            .appending(RouteLimitsSection.Keys.requestsPerClient))
      }
    }
    if let cors, cors.allowsCredentials, admission.origins == .any {
      section.entry.reading.refuse(
        "contradiction: with `origins: any` every page of the web could read and do what its "
          + "visitor may; list the origins",
        at: section.entry.place.appending(Keys.cors).appending(CORSSection.Keys.credentials))
    }
    rules?.cors = cors
    return rules
  }

  private static let onlyWebSockets =
    "contradiction: it goes with `http`, without which only WebSockets are forwarded"
}
