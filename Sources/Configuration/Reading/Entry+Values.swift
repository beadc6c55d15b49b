import Admission
import HTTP
import Token
import Upstream

extension Entry {
  /// The scalar with its variables replaced; records if it is none, or nothing.
  func scalar(_ expected: String) -> Scalar? {
    guard let written = self.writtenScalar else {
      self.refuse("\(expected) is expected, \(self.kind)")
      return nil
    }
    guard written.kind != .nothing else {
      self.refuse(
        "there is no value: \(expected) is expected (leave the key out for its default; the word "
          + "null stands in quotes)")
      return nil
    }
    do {
      let characters = try replacingVariables(
        in: written.characters, from: self.reading.environment)
      // Quotes around a variable say nothing about what it holds.
      let isReplaced = characters != written.characters
      return Scalar(characters: characters, isPlain: written.isPlain || isReplaced)
    } catch {
      self.refuse(error.message(quoting: self.isQuotable))
      return nil
    }
  }

  /// Text that is not empty. A number or a flag without quotes is none: YAML readers disagree on
  /// what `1.10` or `0x1F` becomes as text.
  func text(_ expected: String = "text") -> String? {
    guard let text = self.textOrEmpty(expected) else { return nil }
    guard !text.isEmpty else {
      self.refuse("it is empty: \(expected) is expected")
      return nil
    }
    return text
  }

  /// Text, also none at all.
  func textOrEmpty(_ expected: String = "text") -> String? {
    guard let scalar = self.scalar(expected) else { return nil }
    let isWrittenAsText = self.writtenScalar?.kind == .text
    guard isWrittenAsText || scalar.kind == .text else {
      self.refuse(
        "\(self.quotation(of: scalar)) is no text without quotes: \(expected) is expected")
      return nil
    }
    return scalar.characters
  }

  /// A whole number in `range`.
  func integer(in range: ClosedRange<Int>) -> Int? {
    let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard let scalar = self.scalar(expected) else { return nil }
    guard scalar.kind == .number, let number = Int(scalar.characters), range.contains(number) else {
      let hint =
        scalar.kind == .text && Int(scalar.characters) != nil
        ? " (numbers stand without quotes)" : ""
      self.refuse("\(self.quotation(of: scalar)) is not \(expected)\(hint)")
      return nil
    }
    return number
  }

  /// `true` or `false`.
  func flag() -> Bool? {
    guard let scalar = self.scalar("true or false") else { return nil }
    guard scalar.kind == .flag else {
      let isQuoted = ["true", "false"].contains(scalar.characters)
      self.refuse(
        "\(self.quotation(of: scalar)) is not true or false"
          + (isQuoted ? " (which stand without quotes)" : ""))
      return nil
    }
    return scalar.characters == "true"
  }

  /// A duration in `range`.
  func duration(in range: ClosedRange<Duration>) -> Duration? {
    guard let scalar = self.scalar("a duration") else { return nil }
    guard let duration = Quantity.duration(parsing: scalar.characters) else {
      self.refuse("\(self.quotation(of: scalar)) is not a duration (as 250ms, 30s, 5m or 1h)")
      return nil
    }
    guard range.contains(duration) else {
      let bounds =
        "\(Quantity.text(of: range.lowerBound)) to \(Quantity.text(of: range.upperBound))"
      self.refuse("\(self.quotation(of: scalar)) is out of range: \(bounds)")
      return nil
    }
    return duration
  }

  /// A number of octets in `range`.
  func byteCount(in range: ClosedRange<Int>) -> Int? {
    guard let scalar = self.scalar("a size") else { return nil }
    guard let count = Quantity.byteCount(parsing: scalar.characters) else {
      self.refuse("\(self.quotation(of: scalar)) is not a size (as 512B, 64KiB or 1MiB)")
      return nil
    }
    guard range.contains(count) else {
      let bounds = [range.lowerBound, range.upperBound].map(Quantity.text(ofByteCount:))
      self.refuse(
        "\(self.quotation(of: scalar)) is out of range: \(bounds.joined(separator: " to "))")
      return nil
    }
    return count
  }

  /// How often a second something may happen.
  func permitsPerSecond() -> Double? {
    guard let scalar = self.scalar("a rate") else { return nil }
    guard let rate = Quantity.permitsPerSecond(parsing: scalar.characters) else {
      self.refuse("\(self.quotation(of: scalar)) is not a rate (N/s, N/m or N/h)")
      return nil
    }
    return rate
  }

  /// How many octets a second.
  func bytesPerSecond() -> Double? {
    guard let scalar = self.scalar("a rate of octets") else { return nil }
    guard let rate = Quantity.bytesPerSecond(parsing: scalar.characters) else {
      self.refuse(
        "\(self.quotation(of: scalar)) is not a rate of octets (as 64KiB/s, 1MiB/m or 1GiB/h)")
      return nil
    }
    return rate
  }

  /// One of the words of `choice`.
  func choice<Choice: RawRepresentable<String> & CaseIterable>(_ choice: Choice.Type) -> Choice? {
    let words = Choice.allCases.map(\.rawValue)
    let expected = "one of \(words.joined(separator: ", "))"
    guard let word = self.text(expected) else { return nil }
    if let value = Choice(rawValue: word) { return value }
    self.refuse("\"\(word)\" is not \(expected)" + suggestion(for: word, among: words))
    return nil
  }
}

// MARK: - Values of other targets

/// An error of another target that has a sentence for people.
protocol Explained: Error {
  var message: String { get }
}

extension PatternError: Explained {}
extension KeyError: Explained {}
extension ServerURLError: Explained {}
extension HashKeyError: Explained {}
extension WebURLError: Explained {}

extension Entry {
  /// What `parse` makes of the text; its sentence is the problem where it fails.
  func parsed<Value, Failure: Explained>(
    _ expected: String, _ parse: (String) throws(Failure) -> Value
  ) -> Value? {
    guard let text = self.text(expected) else { return nil }
    do {
      return try parse(text)
    } catch {
      self.refuse(error.message)
      return nil
    }
  }
}

extension Entry {
  /// Where something lies that is fetched while the configuration is in force.
  func webURL() -> WebURL? {
    self.parsed("a URL") { text throws(WebURLError) in try WebURL(parsing: text) }
  }
}

// MARK: - Files

extension Entry {
  /// The longest file with a secret or keys.
  static let secretFileByteCountMax = 1 << 20

  /// A path, seen from the folder of the configuration file where it is relative.
  func path() -> String? {
    guard let text = self.text("a path") else { return nil }
    let path = resolvedPath(text, from: self.reading.directory)
    self.reading.note(file: path, at: self.place)
    return path
  }

  /// The path of a directory that is there now. What it holds is read when it is asked for.
  func directory() -> String? {
    guard let text = self.text("the path of a directory") else { return nil }
    let path = resolvedPath(text, from: self.reading.directory)
    if let fault = directoryFault(at: path) {
      self.refuse(fault.message)
      return nil
    }
    return path
  }

  /// The text of the file at `path`, which this entry names.
  func contents(ofFile path: String) -> String? {
    let path = resolvedPath(path, from: self.reading.directory)
    self.reading.note(file: path, at: self.place)
    do {
      return try readFile(at: path, byteCountMax: Self.secretFileByteCountMax)
    } catch {
      self.refuse(error.message)
      return nil
    }
  }

  /// The path behind `file:`; `nil` where `text` does not begin so.
  static func filePath(in text: String) -> String? {
    text.hasPrefix("file:") ? String(text.dropFirst("file:".count)) : nil
  }

  /// A secret: the text itself, or, as `file:PATH`, what the file holds without the line break at
  /// its end. No problem quotes it.
  func secret() -> String? {
    guard let text = self.secretly.text("a secret") else { return nil }
    guard let path = Self.filePath(in: text) else { return text }
    guard var secret = self.contents(ofFile: path) else { return nil }
    if secret.last?.isNewline == true { secret.removeLast() }
    guard !secret.isEmpty else {
      self.refuse("\(path) is empty: it should hold a secret")
      return nil
    }
    return secret
  }
}
