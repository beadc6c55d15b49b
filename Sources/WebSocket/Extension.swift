import HTTP

/// One extension as it is offered or accepted (RFC 6455 §9.1), such as
/// `permessage-deflate; server_no_context_takeover`.
public struct Extension: Sendable, Hashable {
  /// A parameter with or without a value.
  public struct Parameter: Sendable, Hashable {
    /// The name, in the case in which it was sent.
    public let name: String
    /// The value, without the quotes that it may have stood in.
    public let value: String?

    /// A parameter. Both parts are tokens (RFC 9110 §5.6.2).
    public init(name: String, value: String? = nil) {
      self.name = name
      self.value = value
    }
  }

  /// The name.
  public let name: String
  /// The parameters in their order.
  public let parameters: [Parameter]

  /// An extension. The name is a token.
  public init(name: String, parameters: [Parameter] = []) {
    self.name = name
    self.parameters = parameters
  }

  /// The most extensions that a list may have, and the most parameters that one of them may have.
  public static let countMax = 16

  /// The list that all Sec-WebSocket-Extensions lines of `fields` are together; empty where there
  /// is no such line, `nil` where the list is malformed or longer than ``countMax``.
  static func list(in fields: Fields) -> [Extension]? {
    var extensions: [Extension] = []
    for field in fields where field.isNamed("sec-websocket-extensions") {
      var parser = ExtensionParser(field.valueOctets)
      guard let parsed = parser.parseList() else { return nil }
      extensions += parsed
      guard extensions.count <= Self.countMax else { return nil }
    }
    return extensions
  }
}

extension Extension: CustomStringConvertible {
  /// The extension as it stands in the field.
  public var description: String {
    self.parameters.reduce(self.name) { text, parameter in
      text + "; " + parameter.name + (parameter.value.map { "=" + $0 } ?? "")
    }
  }
}

/// Reads one line of Sec-WebSocket-Extensions.
private struct ExtensionParser {
  private let octets: ArraySlice<UInt8>
  private var index: Int

  init(_ octets: ArraySlice<UInt8>) {
    self.octets = octets
    self.index = octets.startIndex
  }

  /// `1#extension`: at least one, and empty members are passed over (RFC 9110 §5.6.1.2).
  mutating func parseList() -> [Extension]? {
    var extensions: [Extension] = []
    repeat {
      self.skipWhitespace()
      if self.index == self.octets.endIndex || self.octets[self.index] == 0x2C { continue }
      guard extensions.count < Extension.countMax, let next = self.parseExtension() else {
        return nil
      }
      extensions.append(next)
    } while self.skip(0x2C)
    return self.index == self.octets.endIndex && !extensions.isEmpty ? extensions : nil
  }

  private mutating func parseExtension() -> Extension? {
    guard let name = self.parseToken() else { return nil }
    var parameters: [Extension.Parameter] = []
    while self.skip(0x3B) {
      guard parameters.count < Extension.countMax, let name = self.parseToken() else { return nil }
      var value: String?
      if self.skip(0x3D) {
        value = self.parseValue()
        guard value != nil else { return nil }
      }
      parameters.append(Extension.Parameter(name: name, value: value))
    }
    return Extension(name: name, parameters: parameters)
  }

  /// A token, or a quoted string that is a token once the quotes are off (RFC 6455 §9.1).
  private mutating func parseValue() -> String? {
    guard self.skip(0x22) else { return self.parseToken() }
    var value: [UInt8] = []
    while self.index < self.octets.endIndex {
      var octet = self.octets[self.index]
      self.index += 1
      if octet == 0x22 {
        let text = String(decoding: value, as: UTF8.self)
        self.skipWhitespace()
        return Fields.isName(text) ? text : nil
      }
      if octet == 0x5C {
        guard self.index < self.octets.endIndex else { return nil }
        octet = self.octets[self.index]
        self.index += 1
      }
      value.append(octet)
    }
    return nil
  }

  private mutating func parseToken() -> String? {
    self.skipWhitespace()
    let start = self.index
    while self.index < self.octets.endIndex, !Self.separators.contains(self.octets[self.index]) {
      self.index += 1
    }
    let token = String(decoding: self.octets[start..<self.index], as: UTF8.self)
    self.skipWhitespace()
    return Fields.isName(token) ? token : nil
  }

  /// Space, tab, `"`, `,`, `;` and `=`: what ends a token. Whatever else is none fails the check.
  private static let separators: [UInt8] = [0x20, 0x09, 0x22, 0x2C, 0x3B, 0x3D]

  private mutating func skipWhitespace() {
    while self.index < self.octets.endIndex,
      self.octets[self.index] == 0x20 || self.octets[self.index] == 0x09
    { self.index += 1 }
  }

  /// Passes over white space and then `octet`, if it is there.
  private mutating func skip(_ octet: UInt8) -> Bool {
    self.skipWhitespace()
    guard self.index < self.octets.endIndex, self.octets[self.index] == octet else { return false }
    self.index += 1
    return true
  }
}
