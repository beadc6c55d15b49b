/// Where a socket is bound or connects to.
public enum SocketAddress: Hashable, Sendable {
  /// An IP address and a TCP port.
  case ip(IPAddress, port: UInt16)
  /// A socket in the file system.
  case unix(path: String)

  /// The longest path of a unix socket, in octets (unix(7): 108 with the terminating NUL).
  public static let unixPathByteCountMax = 107

  /// Reads `0.0.0.0:8443`, `[::]:8443`, `unix:/run/sluice.sock`, and `:8443` for every IPv4 and
  /// IPv6 address of the machine. `nil` for anything else: names are not looked up here.
  public init?(parsing text: some StringProtocol) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst("unix:".count))
      // A NUL would end the path early for the kernel.
      guard !path.isEmpty, path.utf8.count <= Self.unixPathByteCountMax, !path.utf8.contains(0)
      else { return nil }
      self = .unix(path: path)
      return
    }
    guard let colon = text.lastIndex(of: ":"),
      let port = UInt16(portDigits: text[text.index(after: colon)...])
    else { return nil }
    let host = text[..<colon]
    // An IPv6 address stands in brackets, or its last group could be taken for the port.
    guard !host.contains(":") || host.hasPrefix("[") else { return nil }
    guard let address = IPAddress(parsing: host.isEmpty ? "::" : String(host)) else { return nil }
    self = .ip(address, port: port)
  }

  /// The IP address, `nil` for a unix socket.
  public var ipAddress: IPAddress? {
    if case .ip(let address, _) = self { address } else { nil }
  }
}

extension SocketAddress: CustomStringConvertible {
  /// The form that ``init(parsing:)`` reads.
  public var description: String {
    switch self {
    case .ip(.v4(let address), let port): "\(IPAddress.v4(address)):\(port)"
    case .ip(let address, let port): "[\(address)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

extension UInt16 {
  /// A port: decimal digits and nothing else, no sign as `UInt16(_:)` takes it.
  public init?(portDigits text: some StringProtocol) {
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(text) else {
      return nil
    }
    self = number
  }
}
