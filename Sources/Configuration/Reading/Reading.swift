import Yams

/// The reading of one file: what it is read with, and what was found wrong so far.
///
/// The decoder hands it, through `userInfo`, to every part of the file. Nothing that is wrong in a
/// part stops the reading: it is recorded here, the part gets a value that is never used, and a
/// file with a problem makes no configuration.
final class Reading {
  let directory: String
  let environment: [String: String]
  let surroundings: Surroundings
  private let path: String
  let document: Document
  private(set) var problems: [Problem] = []

  /// The files that were named so far, and where.
  private(set) var files: [(stamp: FileStamp, place: Place)] = []

  /// Where secrets stand.
  private(set) var secrets: Set<Place> = []

  /// The names that were taken so far, by what they name, and where.
  private var claims: [Naming: [String: Place]] = [:]
  /// The upstreams that routes name, checked when all names are known.
  private var upstreamMentions: [(name: String, place: Place)] = []
  /// The keys of every mapping that was read, by the pattern of its place, so that a test can hold
  /// the schema against them.
  private(set) var knownKeys: [String: [String]] = [:]

  init(
    document: Document, path: String, directory: String, environment: [String: String],
    surroundings: Surroundings
  ) {
    self.document = document
    self.path = path
    self.directory = directory
    self.environment = environment
    self.surroundings = surroundings
  }

  /// Decodes the whole file.
  ///
  /// - Throws: everything that is wrong with it.
  func decode<Part: Decodable>(_ part: Part.Type) throws(ConfigurationErrors) -> Part {
    guard self.document.isBounded else {
      self.refuse("more than \(Document.nodeCountMax) values, aliases resolved", at: Place())
      throw ConfigurationErrors(self.problems)
    }
    for fault in self.document.shapeFaults() { self.refuse(fault.message, at: fault.place) }
    let decoded = self.decodedRoot(part)
    guard let decoded, self.problems.isEmpty else { throw ConfigurationErrors(self.problems) }
    return decoded
  }

  private func decodedRoot<Part: Decodable>(_ part: Part.Type) -> Part? {
    guard let key = CodingUserInfoKey.reading else { return nil }
    do {
      return try YAMLDecoder().decode(part, from: self.document.root, userInfo: [key: self])
    } catch {
      // A part that gives up has said why. Should one not have, the file is still refused.
      if self.problems.isEmpty { self.refuse("\(error)", at: Place()) }
      return nil
    }
  }

  func refuse(_ message: String, at place: Place) {
    self.problems.append(
      Problem(
        file: self.path, line: self.document.line(of: place), keyPath: place.description,
        message: message))
  }

  /// Notes a file that the configuration names at `place`, before anybody reads it: a file that is
  /// replaced between the two is then seen as changed by the next reading, not missed.
  func note(file path: String, at place: Place) {
    self.files.append((FileStamp(of: path), place))
  }

  func note(secretAt place: Place) { self.secrets.insert(place) }

  func know(_ keys: [String], at place: Place) { self.knownKeys[place.pattern] = keys }
}

/// What went wrong has been recorded; the part has no value.
struct Refused: Error {}

extension CodingUserInfoKey {
  /// Where the decoder carries the ``Reading``.
  static var reading: CodingUserInfoKey? { CodingUserInfoKey(rawValue: "sluice.reading") }
}

// MARK: - Names

/// What a name names: names of one kind differ.
enum Naming: String {
  case listener
  case route
  case upstream
}

extension Reading {
  /// Takes a name; records a problem if an earlier part has it.
  func claim(_ name: String, as naming: Naming, at place: Place) {
    guard let earlier = self.claims[naming]?[name] else {
      self.claims[naming, default: [:]][name] = place
      return
    }
    let line = self.document.line(of: earlier).map { " on line \($0)" } ?? ""
    self.refuse("duplicate: \"\(name)\" is also \(earlier)\(line)", at: place)
  }

  /// Notes that a route sends to the upstream of this name.
  func mention(upstream name: String, at place: Place) {
    self.upstreamMentions.append((name, place))
  }

  /// Whether a route sends to any upstream.
  var mentionsUpstreams: Bool { !self.upstreamMentions.isEmpty }

  /// Records every mention of an upstream that is not there.
  func checkUpstreamMentions() {
    let names = self.claims[.upstream, default: [:]].keys.sorted()
    for (name, place) in self.upstreamMentions where !names.contains(name) {
      self.refuse(
        "there is no upstream \"\(name)\"" + suggestion(for: name, among: names), at: place)
    }
  }
}
