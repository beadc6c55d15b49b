/// One value of a file, not yet read, and where it stands.
///
/// Every way of reading it gives `nil` where the value is wrong, after recording what is wrong and
/// where: a caller that then goes on with a default loses nothing, as the file is refused anyway.
struct Entry {
  let place: Place
  let reading: Reading
  private let decoder: any Decoder
  /// Whether problems may quote the value.
  private(set) var isQuotable = true

  /// Fails only outside a ``Reading``.
  init(_ decoder: any Decoder) throws {
    guard let key = CodingUserInfoKey.reading, let reading = decoder.userInfo[key] as? Reading
    else {
      throw Refused()
    }
    self.decoder = decoder
    self.reading = reading
    self.place = Place(decoder.codingPath)
  }

  /// Records that the value is wrong.
  func refuse(_ message: String) { self.reading.refuse(message, at: self.place) }

  /// The same value, which no problem will quote.
  var secretly: Entry {
    self.reading.note(secretAt: self.place)
    var entry = self
    entry.isQuotable = false
    return entry
  }

  /// How a problem names the value, which is written as `scalar`.
  func quotation(of scalar: Scalar) -> String { self.isQuotable ? scalar.quotation : "the value" }

  /// The value as a part of the file of its own.
  func part<Part: Decodable>(_ part: Part.Type) -> Part? {
    let problemCount = self.reading.problems.count
    do {
      return try Part(from: self.decoder)
    } catch {
      // A part that gives up has said why. Should one not have, the file is refused all the same:
      // a route must never lose its `auth` in silence.
      if self.reading.problems.count == problemCount { self.refuse("\(error)") }
      return nil
    }
  }
}

/// Any key of a mapping.
struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

// MARK: - Lists and mappings

extension Entry {
  /// The members of a mapping in the order of the file, those of merged mappings included.
  ///
  /// - Throws: ``Refused``, after recording that it is none.
  func members() throws(Refused) -> [(key: String, entry: Entry)] {
    do {
      let container = try self.decoder.container(keyedBy: AnyKey.self)
      var seen = Set<String>()
      return try container.allKeys.filter { seen.insert($0.stringValue).inserted }.map { key in
        (key.stringValue, try Entry(container.superDecoder(forKey: key)))
      }
    } catch {
      self.refuse("keys and values are expected, \(self.kind)")
      throw Refused()
    }
  }

  /// The members of a list that must have one.
  func list() -> [Entry]? {
    do {
      var container = try self.decoder.unkeyedContainer()
      var entries: [Entry] = []
      while !container.isAtEnd { entries.append(try Entry(container.superDecoder())) }
      guard entries.isEmpty else { return entries }
      self.refuse("the list is empty")
    } catch {
      self.refuse("a list is expected, \(self.kind)")
    }
    return nil
  }

  /// The value that is neither; `nil`, without a record, if it is one of them.
  var writtenScalar: Scalar? { try? self.decoder.singleValueContainer().decode(Scalar.self) }

  /// What the value is, for a problem.
  var kind: String {
    if let scalar = self.writtenScalar {
      return scalar.kind == .nothing
        ? "there is no value" : "\(self.quotation(of: scalar)) is one value"
    }
    return (try? self.decoder.unkeyedContainer()) == nil
      ? "keys and values are given" : "a list is given"
  }
}
