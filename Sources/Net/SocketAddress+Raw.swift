internal import CLinux
internal import Glibc

/// Conversion to and from the kernel's sockaddr: nothing outside Net sees one.
extension SocketAddress {
  /// The address family, AF_INET, AF_INET6 or AF_UNIX.
  var family: CInt {
    switch self {
    case .ip(.v4, _): AF_INET
    case .ip(.v6, _): AF_INET6
    case .unix: AF_UNIX
    }
  }

  /// Calls `body` with the kernel's form of the address.
  func withRaw<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var storage = sockaddr_storage()
    let length = unsafe withUnsafeMutableBytes(of: &storage) { bytes in
      // SAFETY: sockaddr_storage is large and aligned enough for each of the three (RFC 3493 §3.10).
      switch self {
      case .ip(.v4(let octets), let port):
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = port.bigEndian
        raw.sin_addr.s_addr = octets.bigEndian
        unsafe bytes.storeBytes(of: raw, as: sockaddr_in.self)
        return MemoryLayout<sockaddr_in>.size
      case .ip(.v6(let high, let low), let port):
        var raw = sockaddr_in6()
        raw.sin6_family = sa_family_t(AF_INET6)
        raw.sin6_port = port.bigEndian
        unsafe withUnsafeMutableBytes(of: &raw.sin6_addr) { address in
          unsafe address.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
          unsafe address.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        unsafe bytes.storeBytes(of: raw, as: sockaddr_in6.self)
        return MemoryLayout<sockaddr_in6>.size
      case .unix(let path):
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        unsafe bytes.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
        let octets = Array(path.utf8.prefix(Self.unixPathByteCountMax))
        unsafe bytes[offset...].copyBytes(from: octets)
        return offset + octets.count + 1
      }
    }
    return unsafe withUnsafeBytes(of: &storage) { bytes in
      // SAFETY: every sockaddr begins with the fields of `sockaddr`.
      let raw = unsafe bytes.assumingMemoryBound(to: sockaddr.self)
      guard let start = raw.baseAddress else { preconditionFailure("an empty sockaddr_storage") }
      return unsafe body(start, socklen_t(length))
    }
  }

  /// Lets `body` fill a sockaddr, and reads it; `nil` for a family that Net does not know.
  static func reading(
    _ body: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Void
  ) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    unsafe withUnsafeMutableBytes(of: &storage) { bytes in
      // SAFETY: as above.
      let raw = unsafe bytes.assumingMemoryBound(to: sockaddr.self)
      guard let start = raw.baseAddress else { return }
      unsafe body(start, &length)
    }
    return unsafe withUnsafeBytes(of: &storage) {
      unsafe SocketAddress(raw: $0, count: Int(length))
    }
  }

  private init?(raw bytes: UnsafeRawBufferPointer, count: Int) {
    // SAFETY: `bytes` is a whole sockaddr_storage; the family says which of the three it holds.
    switch CInt(unsafe bytes.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET:
      let raw = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
      self = unsafe .ip(
        .v4(UInt32(bigEndian: raw.sin_addr.s_addr)), port: UInt16(bigEndian: raw.sin_port))
    case AF_INET6:
      let raw = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
      let address = unsafe withUnsafeBytes(of: raw.sin6_addr) { octets in
        unsafe IPAddress.unmapped(
          high: UInt64(bigEndian: octets.loadUnaligned(as: UInt64.self)),
          low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
      }
      self = unsafe .ip(address, port: UInt16(bigEndian: raw.sin6_port))
    case AF_UNIX:
      let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
      let path = unsafe bytes[min(offset, count)..<count].prefix { $0 != 0 }
      self = .unix(path: unsafe String(decoding: path, as: UTF8.self))
    default:
      return nil
    }
  }

  /// The address that getaddrinfo(3) found, with another port.
  init?(found raw: UnsafePointer<sockaddr>, length: socklen_t, port: UInt16) {
    let found = unsafe Self.reading { into, count in
      // SAFETY: getaddrinfo's entries are at most a sockaddr_storage long.
      let bytes = Int(min(length, count))
      unsafe UnsafeMutableRawPointer(into).copyMemory(from: raw, byteCount: bytes)
      count = socklen_t(bytes)
    }
    guard case .ip(let address, _) = found else { return nil }
    self = .ip(address, port: port)
  }
}
