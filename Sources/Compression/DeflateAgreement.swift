public import WebSocket

/// What a server and a client agreed on for permessage-deflate (RFC 7692 §7.1).
public struct DeflateAgreement: Sendable, Equatable {
  /// The extension's name.
  public static let extensionName = "permessage-deflate"

  /// The window of the server's compressor as a power of two, 9...12.
  public let serverWindowBits: Int
  /// The window that the client keeps to, 8...12; `nil` where it cannot be told, and takes up to 15.
  public let clientWindowBits: Int?
  /// Whether the server's messages may refer to those before (§7.1.1.1).
  public let serverKeepsContext: Bool
  /// Whether the client's messages may refer to those before (§7.1.1.2).
  public let clientKeepsContext: Bool

  /// Accepts the first offer of permessage-deflate that can be accepted, ``OffloadLimits`` being
  /// our policy.
  ///
  /// - Parameter offers: the client's extensions in their order; others than this are passed over.
  /// - Returns: `nil` where there is no such offer. Unknown, repeated and malformed parameters
  ///   decline the offer that they stand in (§7), and so does a server window of 8 bits.
  public static func negotiate(offers: [Extension]) -> DeflateAgreement? {
    for offer in offers where offer.name.lowercased() == Self.extensionName {
      if let agreement = DeflateAgreement(accepting: offer) { return agreement }
    }
    return nil
  }

  private init?(accepting offer: Extension) {
    var wishes = Wishes()
    for parameter in offer.parameters {
      guard wishes.read(parameter) else { return nil }
    }
    let serverWindowBits = wishes.serverWindowBits ?? OffloadLimits.serverWindowBitsMax
    guard serverWindowBits >= OffloadLimits.windowBitsMin else { return nil }
    self.serverWindowBits = min(serverWindowBits, OffloadLimits.serverWindowBitsMax)
    self.clientWindowBits = wishes.clientWindowBits.map {
      min($0, OffloadLimits.clientWindowBitsMax)
    }
    self.serverKeepsContext = !wishes.names.contains("server_no_context_takeover")
    self.clientKeepsContext = !wishes.names.contains("client_no_context_takeover")
  }

  /// What stands in the Sec-WebSocket-Extensions of the server's 101.
  public var response: Extension {
    var parameters: [Extension.Parameter] = []
    if !self.serverKeepsContext { parameters.append(.init(name: "server_no_context_takeover")) }
    if !self.clientKeepsContext { parameters.append(.init(name: "client_no_context_takeover")) }
    let bits = String(self.serverWindowBits)
    parameters.append(.init(name: "server_max_window_bits", value: bits))
    if let bits = self.clientWindowBits.map(String.init) {
      parameters.append(.init(name: "client_max_window_bits", value: bits))
    }
    return Extension(name: Self.extensionName, parameters: parameters)
  }

  /// The window with which the client's messages are inflated. A client that promised 8 bits may
  /// use 9 unknowingly: its zlib may.
  var inflationWindowBits: Int {
    max(self.clientWindowBits ?? OffloadLimits.windowBitsMax, OffloadLimits.windowBitsMin)
  }
}

/// The parameters of one offer.
private struct Wishes {
  var names: Set<String> = []
  var serverWindowBits: Int?
  var clientWindowBits: Int?

  /// Takes note of the next parameter. `false` where it must decline the offer.
  mutating func read(_ parameter: Extension.Parameter) -> Bool {
    let name = parameter.name.lowercased()
    guard self.names.insert(name).inserted else { return false }
    switch (name, parameter.value) {
    case ("server_no_context_takeover", nil), ("client_no_context_takeover", nil):
      return true
    case ("server_max_window_bits", let value?):
      self.serverWindowBits = Self.windowBits(value)
      return self.serverWindowBits != nil
    case ("client_max_window_bits", let value):
      // Without a value it says no more than that the client can be told (§7.1.2.2).
      self.clientWindowBits = value.map(Self.windowBits) ?? OffloadLimits.windowBitsMax
      return self.clientWindowBits != nil
    default:
      return false
    }
  }

  /// 8...15 in decimal, without leading zeros (§7.1.2.1).
  private static func windowBits(_ text: String) -> Int? {
    (8...15).first { String($0) == text }
  }
}
