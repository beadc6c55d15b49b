/// A mapping whose keys are known: `Keys` lists all of them.
///
/// Making one records every other key that the mapping has, so that no key is ever passed over.
struct Section<Keys: CodingKey & CaseIterable> {
  let entry: Entry
  private let entries: [String: Entry]

  /// - Throws: ``Refused``, after recording that the value is no mapping.
  init(_ decoder: any Decoder, _ keys: Keys.Type) throws {
    self.entry = try Entry(decoder)
    let known = Keys.allCases.map(\.stringValue)
    self.entry.reading.know(known, at: self.entry.place)
    let members = try self.entry.members()
    for (key, entry) in members where !known.contains(key) {
      entry.refuse("unknown key" + suggestion(for: key, among: known))
    }
    self.entries = Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.entry) })
  }

  /// The value of a key; `nil` if the mapping does not have it.
  subscript(key: Keys) -> Entry? { self.entries[key.stringValue] }

  /// What the mapping, and the files that it names, come to; when all of it has been read.
  var fingerprint: String { self.entry.reading.fingerprint(of: self.entry.place) }

  /// The value of a key that the mapping must have; records that it is missing.
  func required(_ key: Keys, _ explanation: String = "") -> Entry? {
    if let entry = self[key] { return entry }
    let tail = explanation.isEmpty ? "" : ": \(explanation)"
    self.entry.reading.refuse("missing" + tail, at: self.entry.place.appending(key))
    return nil
  }
}
