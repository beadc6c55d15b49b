/// What a writer of HTTP/2 needs of fields: octets where they lie, so that none is copied.
extension Fields {
  /// The fields without those that belong to a connection of HTTP/1 (RFC 9113 §8.2.2).
  public func withoutConnectionFields() -> Fields {
    guard self.entries.contains(where: \.belongsToConnection) else { return self }
    var fields = self
    fields.removeEntries(where: \.belongsToConnection)
    return fields
  }

  /// The octets that all lines lie in, others among them.
  public var octets: Span<UInt8> {
    @_lifetime(borrow self)
    get { self.storage.span }
  }

  /// Where the name and the value of the line `index`, which is below ``count``, lie in ``octets``.
  public func place(of index: Int) -> (name: Range<Int>, value: Range<Int>) {
    (self.entries[index].name, self.entries[index].value)
  }

  /// Whether the line `index` is not worth remembering for the next answer: it never comes again, or is
  /// somebody's secret (RFC 7541 §7.1.3).
  public func isUnique(_ index: Int) -> Bool {
    switch self.entries[index].known {
    case .requestID, .setCookie: true
    default: false
    }
  }
}

extension Fields.Entry {
  fileprivate var belongsToConnection: Bool {
    switch self.known {
    case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade: true
    default: false
    }
  }
}
