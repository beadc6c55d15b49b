/// The fields of a message in their order, octets kept exactly as they were sent.
///
/// All names and values lie in one array of octets, and a second array says where each of them
/// begins and ends: a parsed head costs two allocations however many fields it has. Removing a
/// field forgets where it is; its octets go when the whole value goes.
///
/// Names compare without regard to the case of ASCII letters (RFC 9110 §5.1).
public struct Fields: Sendable {
  struct Entry: Sendable {
    var name: Range<Int>
    var value: Range<Int>
  }

  private(set) var storage: [UInt8]
  private(set) var entries: [Entry]

  /// No field at all.
  public init() {
    self.storage = []
    self.entries = []
  }

  /// `entries` are ranges of `storage` that the scanner has found, values perhaps with spaces
  /// behind them.
  init(storage: [UInt8], entries: [Entry]) {
    self.storage = storage
    self.entries = entries
    for index in self.entries.indices {
      self.entries[index].value = storage.trimmed(entries[index].value)
    }
  }

  /// How many field lines there are.
  public var count: Int { self.entries.count }

  /// Whether there is no field line.
  public var isEmpty: Bool { self.entries.isEmpty }

  /// Whether `text` may be a field's name: a token of RFC 9110 §5.6.2.
  public static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy(\.isTokenOctet)
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
    self.append(name: name.utf8, value: value.utf8)
  }

  /// Adds a field line behind all others: as ``append(name:value:)``, for octets that need not be
  /// UTF-8. Those from 0x80 up stay as they are.
  public mutating func append(nameOctets: ArraySlice<UInt8>, valueOctets: ArraySlice<UInt8>) {
    self.append(name: nameOctets, value: valueOctets)
  }

  private mutating func append(name: some Collection<UInt8>, value: some Collection<UInt8>) {
    guard !name.isEmpty, name.allSatisfy(\.isTokenOctet) else { return }
    let nameStart = self.storage.count
    self.storage.append(contentsOf: name)
    let valueStart = self.storage.count
    for octet in value { self.storage.append(octet.isValueOctet ? octet : .space) }
    let value = self.storage.trimmed(valueStart..<self.storage.count)
    self.entries.append(Entry(name: nameStart..<valueStart, value: value))
  }

  /// Adds a field line of another message behind all others, octet for octet.
  public mutating func append(_ field: Field) {
    let nameStart = self.storage.count
    self.storage.append(contentsOf: field.nameOctets)
    let valueStart = self.storage.count
    self.storage.append(contentsOf: field.valueOctets)
    self.entries.append(
      Entry(name: nameStart..<valueStart, value: valueStart..<self.storage.count))
  }

  /// Removes every field line of this name.
  public mutating func remove(_ name: String) {
    self.entries.removeAll { [storage] in storage.equalsIgnoringCase($0.name, name) }
  }

  /// Removes the field lines for which `isRemoved` holds.
  public mutating func removeAll(where isRemoved: (Field) -> Bool) {
    self.entries.removeAll { [storage] in isRemoved(Field(storage: storage, entry: $0)) }
  }

  /// Makes `value` the only value of this name: at the place of the first line that had the name,
  /// or behind all others. The rules for the value are those of ``append(name:value:)``.
  public mutating func set(_ name: String, _ value: String) {
    guard Self.isName(name) else { return }
    guard let place = self.entries.firstIndex(where: { self.isNamed($0, name) }) else {
      self.append(name: name, value: value)
      return
    }
    self.append(name: name, value: value)
    let entry = self.entries.removeLast()
    self.remove(name)
    // Only lines behind `place` went, so that the place is still the right one.
    self.entries.insert(entry, at: place)
  }

  /// Makes room for `count` more field lines with `byteCount` octets in all.
  mutating func reserve(count: Int, byteCount: Int) {
    self.entries.reserveCapacity(self.entries.count + count)
    self.storage.reserveCapacity(self.storage.count + byteCount)
  }
}

// MARK: - Looking up

extension Fields {
  /// The value of the first line of this name. Octets that are not UTF-8 read as U+FFFD.
  public func first(_ name: String) -> String? {
    for entry in self.entries where self.isNamed(entry, name) { return self.text(entry.value) }
    return nil
  }

  /// The values of all lines of this name, in their order, not split at commas.
  public func values(_ name: String) -> [String] {
    var values: [String] = []
    for entry in self.entries where self.isNamed(entry, name) {
      values.append(self.text(entry.value))
    }
    return values
  }

  /// How many lines have this name.
  public func count(_ name: String) -> Int {
    var count = 0
    for entry in self.entries where self.isNamed(entry, name) { count += 1 }
    return count
  }

  /// Whether a line has this name.
  public func contains(_ name: String) -> Bool {
    self.entries.contains { self.isNamed($0, name) }
  }

  /// The members of the comma list that all lines of this name are together (RFC 9110 §5.6.1),
  /// without spaces and tabs around them and without empty ones. Knows nothing of quoted strings.
  public func tokens(_ name: String) -> [String] {
    var tokens: [String] = []
    self.forEachMember(name) { range in
      tokens.append(self.text(range))
      return true
    }
    return tokens
  }

  /// Whether the comma list of this name has the member `token`, in whatever case.
  public func contains(_ name: String, token: String) -> Bool {
    var isFound = false
    self.forEachMember(name) { range in
      isFound = self.storage.equalsIgnoringCase(range, token)
      return !isFound
    }
    return isFound
  }

  /// Calls `body` with the place of each member that is not empty, until it returns `false`.
  private func forEachMember(_ name: String, _ body: (Range<Int>) -> Bool) {
    for entry in self.entries where self.isNamed(entry, name) {
      var start = entry.value.lowerBound
      while start <= entry.value.upperBound {
        var end = start
        while end < entry.value.upperBound, self.storage[end] != .comma { end += 1 }
        let member = self.storage.trimmed(start..<end)
        if !member.isEmpty, !body(member) { return }
        start = end + 1
      }
    }
  }

  private func isNamed(_ entry: Entry, _ name: String) -> Bool {
    self.storage.equalsIgnoringCase(entry.name, name)
  }

  private func text(_ range: Range<Int>) -> String {
    String(decoding: self.storage[range], as: UTF8.self)
  }
}

extension Array<UInt8> {
  /// Whether the octets of `range` spell `text`, the case of ASCII letters left out of account.
  func equalsIgnoringCase(_ range: Range<Int>, _ text: String) -> Bool {
    guard range.count == text.utf8.count else { return false }
    var index = range.lowerBound
    for octet in text.utf8 {
      guard self[index].lowercased == octet.lowercased else { return false }
      index += 1
    }
    return true
  }
}
