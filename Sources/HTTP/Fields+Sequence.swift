extension Fields: Sequence {
  /// One field line: a view into the octets of the ``Fields`` that it comes from.
  public struct Field: Sendable, Equatable {
    // One array and not two slices of it: a request's fields are compared with dozens of names, and
    // each copy counts its references.
    let storage: [UInt8]
    let entry: Entry

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

    /// The name, in the case in which it was sent.
    public var name: String { String(decoding: self.nameOctets, as: UTF8.self) }

    /// The value. Octets that are not UTF-8 read as U+FFFD.
    public var value: String { String(decoding: self.valueOctets, as: UTF8.self) }

    /// Whether this is the field's name, in whatever case.
    public func isNamed(_ name: String) -> Bool {
      self.storage.equalsIgnoringCase(self.entry.name, name)
    }

    /// Whether the name is `name` to a reader that takes `_` and `-` for the same, as everything
    /// that hands fields on as environment variables does (RFC 3875 §4.1.18).
    public func isSpelledLike(_ name: String) -> Bool {
      self.entry.name.count == name.utf8.count
        && self.storage.span.extracting(self.entry.name).begins(like: name.utf8.span)
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
