extension Fields: Sequence {
  /// One field line: a view into the octets of the ``Fields`` that it comes from.
  public struct Field: Sendable, Equatable {
    // One array and not two slices of it: a request's fields are compared with dozens of names, and
    // each copy counts its references.
    private let storage: [UInt8]
    private let entry: Entry

    init(storage: [UInt8], entry: Entry) {
      self.storage = storage
      self.entry = entry
    }

    /// The octets of the name, in the case in which they were sent.
    public var nameOctets: ArraySlice<UInt8> { self.storage[self.entry.name] }

    /// The octets of the value, without the spaces and tabs around them.
    public var valueOctets: ArraySlice<UInt8> { self.storage[self.entry.value] }

    /// Whether both have the same name and value, octet for octet.
    public static func == (lhs: Field, rhs: Field) -> Bool {
      lhs.nameOctets == rhs.nameOctets && lhs.valueOctets == rhs.valueOctets
    }

    /// The same line under a name that is known to be a token.
    func renamed(_ name: String) -> Field {
      let octets = Array(name.utf8)
      let value = octets.count..<octets.count + self.entry.value.count
      return Field(
        storage: octets + self.valueOctets, entry: Entry(name: 0..<octets.count, value: value))
    }

    /// The name, in the case in which it was sent.
    public var name: String { String(decoding: self.nameOctets, as: UTF8.self) }

    /// The value. Octets that are not UTF-8 read as U+FFFD.
    public var value: String { String(decoding: self.valueOctets, as: UTF8.self) }

    /// Whether this is the field's name, in whatever case.
    public func isNamed(_ name: String) -> Bool {
      self.storage.equalsIgnoringCase(self.entry.name, name)
    }

    /// Whether one of these is the field's name.
    func isNamed(anyOf names: [String]) -> Bool {
      for name in names where self.isNamed(name) { return true }
      return false
    }

    /// Whether the name is `name` to a reader that takes `_` and `-` for the same, as everything
    /// that hands fields on as environment variables does (RFC 3875 §4.1.18).
    public func isSpelledLike(_ name: String) -> Bool {
      self.entry.name.count == name.utf8.count && self.nameBegins(like: name)
    }

    /// Whether the name is one of these to the same reader.
    func isSpelledLike(anyOf names: [String]) -> Bool {
      for name in names where self.isSpelledLike(name) { return true }
      return false
    }

    /// Whether the name begins with `beginning`, to the same reader.
    func nameBegins(like beginning: String) -> Bool {
      guard self.entry.name.count >= beginning.utf8.count else { return false }
      var index = self.entry.name.lowerBound
      for octet in beginning.utf8 {
        guard Self.folded(self.storage[index]) == Self.folded(octet) else { return false }
        index += 1
      }
      return true
    }

    private static func folded(_ octet: UInt8) -> UInt8 {
      octet == .underscore ? 0x2D : octet.lowercased
    }
  }

  /// Walks over the field lines in their order.
  public struct Iterator: IteratorProtocol {
    private let storage: [UInt8]
    private var entries: IndexingIterator<[Entry]>

    init(_ fields: Fields) {
      self.storage = fields.storage
      self.entries = fields.entries.makeIterator()
    }

    /// The next field line, `nil` behind the last.
    public mutating func next() -> Field? {
      guard let entry = self.entries.next() else { return nil }
      return Field(storage: self.storage, entry: entry)
    }
  }

  /// The field lines in their order.
  public func makeIterator() -> Iterator { Iterator(self) }

  /// How many lines there are: exact.
  public var underestimatedCount: Int { self.entries.count }
}

extension Fields: Equatable {
  /// Whether both have the same lines in the same order, octet for octet.
  public static func == (lhs: Fields, rhs: Fields) -> Bool {
    lhs.count == rhs.count && lhs.elementsEqual(rhs)
  }
}
