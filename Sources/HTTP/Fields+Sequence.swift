extension Fields: Sequence {
  /// One field line: a view into the octets of the ``Fields`` that it comes from.
  public struct Field: Sendable, Equatable {
    /// The octets of the name, in the case in which they were sent.
    public let nameOctets: ArraySlice<UInt8>
    /// The octets of the value, without the spaces and tabs around them.
    public let valueOctets: ArraySlice<UInt8>

    init(storage: [UInt8], entry: Entry) {
      self.nameOctets = storage[entry.name]
      self.valueOctets = storage[entry.value]
    }

    private init(nameOctets: ArraySlice<UInt8>, valueOctets: ArraySlice<UInt8>) {
      self.nameOctets = nameOctets
      self.valueOctets = valueOctets
    }

    /// The same line under a name that is known to be a token.
    func renamed(_ name: String) -> Field {
      Field(nameOctets: Array(name.utf8)[...], valueOctets: self.valueOctets)
    }

    /// The name, in the case in which it was sent.
    public var name: String { String(decoding: self.nameOctets, as: UTF8.self) }

    /// The value. Octets that are not UTF-8 read as U+FFFD.
    public var value: String { String(decoding: self.valueOctets, as: UTF8.self) }

    /// Whether this is the field's name, in whatever case.
    public func isNamed(_ name: String) -> Bool {
      self.nameOctets.count == name.utf8.count
        && zip(self.nameOctets, name.utf8).allSatisfy { $0.lowercased == $1.lowercased }
    }

    /// Whether the name is `name` to a reader that takes `_` and `-` for the same, as everything
    /// that hands fields on as environment variables does (RFC 3875 §4.1.18).
    public func isSpelledLike(_ name: String) -> Bool {
      self.nameOctets.count == name.utf8.count
        && zip(self.nameOctets, name.utf8).allSatisfy { Self.folded($0) == Self.folded($1) }
    }

    /// Whether the name begins with `beginning`, to the same reader.
    func nameBegins(like beginning: String) -> Bool {
      self.nameOctets.count >= beginning.utf8.count
        && zip(self.nameOctets, beginning.utf8).allSatisfy { Self.folded($0) == Self.folded($1) }
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
