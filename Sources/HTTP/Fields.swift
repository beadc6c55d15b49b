/// The fields of a message in their order, octets kept exactly as they were sent.
///
/// All names and values lie in one array of octets, and a second array says where each of them
/// begins and ends: a parsed head costs two allocations however many fields it has. Removing a
/// field forgets where it is; its octets go when the whole value goes. What is added lies there as it
/// goes over the wire, and so does most of what was received: lines behind one another are written at once.
///
/// Names compare without regard to the case of ASCII letters (RFC 9110 §5.1).
public struct Fields: Sendable {
  struct Entry: Sendable {
    var name: Range<Int>
    var value: Range<Int>
    /// Which name it is to a reader that takes `_` and `-` for the same, see ``FieldName/init(like:)``.
    var likeness = FieldName.other
    /// Which name it is. One with `_` is none that has a rule.
    var known = FieldName.other

    /// Where name and value lie. Which name it is has not been found out yet.
    init(name: Range<Int>, value: Range<Int>) {
      self.name = name
      self.value = value
    }

    /// A line under a name that is written in its usual way.
    init(_ known: FieldName, name: Range<Int>, value: Range<Int>) {
      self.init(name: name, value: value)
      self.likeness = known
      self.known = known
    }

    /// A line whose name has these octets.
    init(_ octets: Span<UInt8>, name: Range<Int>, value: Range<Int>) {
      self.init(name: name, value: value)
      self.recognize(octets)
    }

    /// Finds out which name `octets`, those of the name, are.
    mutating func recognize(_ octets: Span<UInt8>) {
      self.likeness = FieldName(like: octets)
      self.known = self.likeness.unlessUnderscored(octets)
    }
  }

  private(set) var storage: [UInt8]
  private(set) var entries: [Entry]

  /// No field at all.
  public init() {
    self.storage = []
    self.entries = []
  }

  /// `entries` are ranges of `storage`, checked and recognized.
  init(storage: [UInt8], entries: [Entry]) {
    self.storage = storage
    self.entries = entries
  }

  /// `scanned` are ranges of `storage` that the scanner has found, values perhaps with spaces
  /// behind them.
  init(storage: consuming [UInt8], scanned: consuming [Entry]) {
    self.init(storage: storage, entries: scanned)
    for index in self.entries.indices {
      var entry = self.entries[index]
      entry.value = self.storage.trimmed(entry.value)
      entry.recognize(self.storage.span.extracting(entry.name))
      self.entries[index] = entry
    }
  }

  /// How many field lines there are.
  public var count: Int { self.entries.count }

  /// Whether there is no field line.
  public var isEmpty: Bool { self.entries.isEmpty }

  /// Whether `text` may be a field's name: a token of RFC 9110 §5.6.2.
  public static func isName(_ text: String) -> Bool {
    text.utf8.span.isToken
  }

  /// Whether `text` may be a field's value as it is: without control characters other than the tab
  /// and without spaces at its ends (RFC 9110 §5.5).
  public static func isValue(_ text: String) -> Bool {
    guard text.utf8.allSatisfy(\.isValueOctet) else { return false }
    return text.utf8.first?.isWhitespace != true && text.utf8.last?.isWhitespace != true
  }
}

// MARK: - Editing

extension Fields {
  /// Adds a field line behind all others.
  ///
  /// The value may come from a token's claim or a file: a control character in it becomes a space,
  /// as RFC 9110 §5.5 has it, so that no value can begin a line of its own. A name that is no token
  /// (see ``isName(_:)``) adds nothing.
  public mutating func append(name: String, value: String) {
    self.append(name: name.utf8.span, value: value.utf8.span)
  }

  /// Adds a field line behind all others: as ``append(name:value:)``, for octets that need not be
  /// UTF-8. Those from 0x80 up stay as they are.
  public mutating func append(nameOctets: ArraySlice<UInt8>, valueOctets: ArraySlice<UInt8>) {
    self.append(name: nameOctets.span, value: valueOctets.span)
  }

  private mutating func append(name: Span<UInt8>, value: Span<UInt8>) {
    if name.isToken { self.append(token: name, value) }
  }

  private mutating func append(token name: Span<UInt8>, _ value: Span<UInt8>) {
    var entry = Entry(name, name: 0..<0, value: 0..<0)
    (entry.name, entry.value) = self.storage.appendLine(name, value)
    self.entries.append(entry)
  }

  /// Adds a field line behind all others, under a name that has a rule.
  mutating func append(_ name: FieldName, _ value: String) {
    let line = self.storage.appendLine(name.spelling.octets, value.utf8.span)
    self.entries.append(Entry(name, name: line.name, value: line.value))
  }

  /// Adds a field line behind all others, whose value is what `write` appends to the octets.
  mutating func append(_ name: FieldName, _ write: (inout [UInt8]) -> Void) {
    let line = self.storage.appendLine(name.spelling.octets, write)
    self.entries.append(Entry(name, name: line.name, value: line.value))
  }

  /// Adds a field line of another message behind all others, octet for octet.
  public mutating func append(_ field: Field) {
    var entry = field.entry
    let octets = field.storage.span
    (entry.name, entry.value) = self.storage.appendLine(
      octets.extracting(field.entry.name), octets.extracting(field.entry.value))
    self.entries.append(entry)
  }

  /// Removes every field line of this name.
  public mutating func remove(_ name: String) {
    self.entries.removeAll { [storage] in storage.equalsIgnoringCase($0.name, name) }
  }

  /// Removes the field lines for which `isRemoved` holds.
  public mutating func removeAll(where isRemoved: (Field) -> Bool) {
    self.entries.removeAll { [storage] in isRemoved(Field(storage: storage, entry: $0)) }
  }

  /// Removes the field lines for which `isRemoved` holds.
  mutating func removeEntries(where isRemoved: (Entry) -> Bool) {
    self.entries.removeAll(where: isRemoved)
  }

  /// Removes the lines that belong to the connection (RFC 9110 §7.6.1), but for the names for which `isKept`
  /// holds.
  mutating func removeHopByHop(except isKept: (FieldName) -> Bool = { _ in false }) {
    let hopByHop = HopByHop(of: self)
    self.entries.removeAll { [storage] in
      !isKept($0.known) && hopByHop.contains($0, storage)
    }
  }

  /// Makes `value` the only value of this name: at the place of the first line that had the name,
  /// or behind all others. The rules for the value are those of ``append(name:value:)``.
  public mutating func set(_ name: String, _ value: String) {
    guard Self.isName(name) else { return }
    let place = self.index(of: name)
    self.append(token: name.utf8.span, value.utf8.span)
    guard let place else { return }
    let entry = self.entries.removeLast()
    self.remove(name)
    // Only lines behind `place` went, so that the place is still the right one.
    self.entries.insert(entry, at: place)
  }

  /// As ``set(_:_:)``, for a name that has a rule.
  mutating func set(_ name: FieldName, _ value: String) {
    let place = self.entries.firstIndex { $0.known == name }
    if let place, self.storage.span.extracting(self.entries[place].value).spells(value.utf8.span),
      self.count(name) == 1
    {
      return
    }
    self.append(name, value)
    guard let place else { return }
    self.entries[place] = self.entries.removeLast()
    guard self.count(name) > 1 else { return }
    let entry = self.entries[place]
    self.entries.removeAll { $0.known == name }
    self.entries.insert(entry, at: place)
  }

  /// The lines for which `isKept` holds, with room for `count` more of them and `byteCount` more octets.
  /// The octets of the other lines stay where they are, and nobody looks at them.
  func keeping(room count: Int, _ byteCount: Int, where isKept: (Entry) -> Bool) -> Fields {
    var fields = Fields()
    fields.storage.reserveCapacity(self.storage.count + byteCount)
    fields.storage.append(self.storage.span)
    fields.entries.reserveCapacity(self.entries.count + count)
    for index in self.entries.indices where isKept(self.entries[index]) {
      fields.entries.append(self.entries[index])
    }
    return fields
  }

  /// Writes the names for which `isRespelled` holds in their usual case.
  mutating func respell(where isRespelled: (FieldName) -> Bool) {
    for index in self.entries.indices where isRespelled(self.entries[index].known) {
      let start = self.storage.count
      self.storage.append(literal: self.entries[index].known.spelling)
      self.entries[index].name = start..<self.storage.count
    }
  }
}

// MARK: - Looking up

extension Fields {
  /// The value of the first line of this name. Octets that are not UTF-8 read as U+FFFD.
  public func first(_ name: String) -> String? {
    self.index(of: name).map { self.text(self.entries[$0].value) }
  }

  /// The values of all lines of this name, in their order, not split at commas.
  public func values(_ name: String) -> [String] {
    var values: [String] = []
    self.forEachEntry(name) { values.append(self.text($0.value)) }
    return values
  }

  /// How many lines have this name.
  public func count(_ name: String) -> Int {
    var count = 0
    self.forEachEntry(name) { _ in count += 1 }
    return count
  }

  /// Whether a line has this name.
  public func contains(_ name: String) -> Bool { self.index(of: name) != nil }

  /// The members of the comma list that all lines of this name are together (RFC 9110 §5.6.1),
  /// without spaces and tabs around them and without empty ones. Knows nothing of quoted strings.
  public func tokens(_ name: String) -> [String] {
    var tokens: [String] = []
    self.forEachEntry(name) { self.forEachMember(of: $0) { tokens.append(self.text($0)) } }
    return tokens
  }

  /// Whether the comma list of this name has the member `token`, in whatever case.
  public func contains(_ name: String, token: String) -> Bool {
    var isFound = false
    self.forEachEntry(name) {
      self.forEachMember(of: $0) {
        isFound = isFound || self.storage.equalsIgnoringCase($0, token)
      }
    }
    return isFound
  }

  /// The first line of this name, from the line `start` on.
  private func index(of name: String, from start: Int = 0) -> Int? {
    let name = name.utf8.span
    for index in start..<self.entries.count {
      // Nearly all other names are told by their length.
      guard self.entries[index].name.count == name.count else { continue }
      let other = self.storage.span.extracting(self.entries[index].name)
      if other.equalsIgnoringCase(name) { return index }
    }
    return nil
  }

  private func forEachEntry(_ name: String, _ body: (Entry) -> Void) {
    var start = 0
    while let index = self.index(of: name, from: start) {
      body(self.entries[index])
      start = index + 1
    }
  }

  /// Calls `body` with the place of each member of a line's comma list that is not empty.
  func forEachMember(of entry: Entry, _ body: (Range<Int>) -> Void) {
    var start = entry.value.lowerBound
    while start < entry.value.upperBound {
      var end = start
      while end < entry.value.upperBound, self.storage[end] != .comma { end += 1 }
      let member = self.storage.trimmed(start..<end)
      if !member.isEmpty { body(member) }
      start = end + 1
    }
  }

  func text(_ range: Range<Int>) -> String {
    String(decoding: self.storage[range], as: UTF8.self)
  }
}

// MARK: - Looking up names that have a rule

extension Fields {
  /// The first line of this name.
  func first(_ name: FieldName) -> Entry? {
    for index in self.entries.indices where self.entries[index].known == name {
      return self.entries[index]
    }
    return nil
  }

  /// How many lines have this name.
  func count(_ name: FieldName) -> Int {
    var count = 0
    for index in self.entries.indices where self.entries[index].known == name { count += 1 }
    return count
  }

  /// Whether a line has this name.
  func contains(_ name: FieldName) -> Bool { self.first(name) != nil }

  /// Whether there is one line of this name, with the value `value` in whatever case.
  func says(_ name: FieldName, _ value: StaticString) -> Bool {
    guard let entry = self.first(name), self.count(name) == 1 else { return false }
    return self.storage.span.extracting(entry.value).equalsIgnoringCase(value.octets)
  }

  /// Calls `body` with the place of each member of the comma list of this name.
  func forEachMember(_ name: FieldName, _ body: (Range<Int>) -> Void) {
    for index in self.entries.indices where self.entries[index].known == name {
      self.forEachMember(of: self.entries[index], body)
    }
  }

  /// Whether the comma list of this name has the member `token`, in whatever case.
  func contains(_ name: FieldName, token: StaticString) -> Bool {
    var isFound = false
    self.forEachMember(name) {
      isFound = isFound || self.storage.span.extracting($0).equalsIgnoringCase(token.octets)
    }
    return isFound
  }
}

extension Array<UInt8> {
  /// Appends a field line as it goes over the wire, and gives the places of name and value. Control
  /// characters in the value become spaces, and those at its ends are no part of it.
  mutating func appendLine(
    _ name: Span<UInt8>, _ value: Span<UInt8>
  ) -> (name: Range<Int>, value: Range<Int>) {
    let start = self.count
    self.append(addingCapacity: name.count + value.count + 4) { octets in
      octets.append(name)
      octets.append(.colon)
      octets.append(.space)
      octets.append(value)
      octets.appendLineEnd()
    }
    let end = start + name.count
    return (start..<end, self.cleaned(end + 2..<end + 2 + value.count))
  }

  /// Appends a field line as ``appendLine(_:_:)`` does, whose value is what `write` appends.
  mutating func appendLine(
    _ name: Span<UInt8>, _ write: (inout [UInt8]) -> Void
  ) -> (name: Range<Int>, value: Range<Int>) {
    let place = self.beginLine(name)
    write(&self)
    return (place, self.endLine(behind: place))
  }

  private mutating func beginLine(_ name: Span<UInt8>) -> Range<Int> {
    let start = self.count
    self.append(name)
    let end = self.count
    self.append(literal: ": ")
    return start..<end
  }

  private mutating func endLine(behind name: Range<Int>) -> Range<Int> {
    let value = self.cleaned(name.upperBound + 2..<self.count)
    self.appendLineEnd()
    return value
  }

  /// Makes spaces of the control characters in the value at `place`, and gives its place without spaces at
  /// its ends.
  private mutating func cleaned(_ place: Range<Int>) -> Range<Int> {
    let kept = self.span.extracting(place).valueByteCount
    for index in place.lowerBound + kept..<place.upperBound where !self[index].isValueOctet {
      self[index] = .space
    }
    return self.trimmed(place)
  }

  /// Whether the octets of `range` spell `text`, the case of ASCII letters left out of account.
  func equalsIgnoringCase(_ range: Range<Int>, _ text: String) -> Bool {
    guard range.count == text.utf8.count else { return false }
    return self.span.extracting(range).equalsIgnoringCase(text.utf8.span)
  }
}
