import Net

/// Where the load goes: `ws://host:port/path` or `wss://…`.
struct Target: Equatable {
  let isSecure: Bool
  /// The host as it is written, for the certificate and the Host field.
  let host: String
  let port: UInt16
  /// Path and query; `/` where none is written.
  let path: String

  /// `nil` for text that is not a WebSocket URL.
  init?(parsing text: String) {
    let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "ws" || parts[0] == "wss" else { return nil }
    let slash = parts[1].firstIndex(of: "/") ?? parts[1].endIndex
    let authority = parts[1][..<slash]
    let colon = authority.lastIndex { $0 == ":" || $0 == "]" }.flatMap {
      authority[$0] == ":" ? $0 : nil
    }
    self.isSecure = parts[0] == "wss"
    self.host = String(authority[..<(colon ?? authority.endIndex)])
    let digits = colon.map { authority[authority.index(after: $0)...] }
    guard !self.host.isEmpty,
      let port = UInt16(portDigits: digits ?? (self.isSecure ? "443" : "80"))
    else { return nil }
    self.port = port
    self.path = slash == parts[1].endIndex ? "/" : String(parts[1][slash...])
  }

  /// The host with the port, as the Host field has it.
  var authority: String { "\(self.host):\(self.port)" }

  /// The address to connect to: that of the host, or the first one that its name has, one of IPv4
  /// before others, since that is where the peers listen.
  func resolve() throws(NameFault) -> SocketAddress {
    if let address = IPAddress(parsing: self.host.filter { $0 != "[" && $0 != "]" }) {
      return .ip(address, port: self.port)
    }
    let addresses = try NameLookup.resolve(self.host).addresses
    let v4 = addresses.first { if case .v4 = $0 { true } else { false } }
    guard let address = v4 ?? addresses.first else {
      throw NameFault(reason: "\(self.host) has no address")
    }
    return .ip(address, port: self.port)
  }
}
