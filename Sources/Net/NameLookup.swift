internal import CLinux
internal import Glibc

/// What a name stands for, and for how long.
public struct NameAnswer: Equatable, Sendable {
  /// All addresses, in the order in which they should be tried (RFC 6724).
  public let addresses: [IPAddress]
  /// How long the answer may be used; `nil` where that is not known.
  public let lifetime: Duration?

  /// An answer, as a lookup or a test makes it.
  public init(addresses: [IPAddress], lifetime: Duration?) {
    self.addresses = addresses
    self.lifetime = lifetime
  }
}

/// Why a name has no addresses.
public struct NameFault: Error, Equatable, Sendable {
  /// The C library's sentence.
  public let reason: String

  /// A fault, as a lookup or a test makes it.
  public init(reason: String) { self.reason = reason }
}

/// Looks names up the way the system is configured to (hosts file, search list, name servers).
public enum NameLookup {
  /// Blocks until the system's resolver answers: never called on a worker. The lifetime is a question
  /// of its own, ``lifetime(of:)``.
  public static func resolve(_ name: String) throws(NameFault) -> NameAnswer {
    NameAnswer(addresses: try self.addresses(of: name), lifetime: nil)
  }

  /// How long the name servers' answer about `name` may be used; `nil` where none of them has one
  /// (/etc/hosts). getaddrinfo(3) keeps the records' lifetimes to itself, so they are asked for once
  /// more, after the addresses are in use: a name server that is down must not hold these up.
  ///
  /// Blocks: never called on a worker.
  public static func lifetime(of name: String) -> Duration? {
    let types = [CInt(ns_t_a.rawValue), CInt(ns_t_aaaa.rawValue)]
    let lifetimes = types.map { unsafe sluice_dns_lifetime(name, $0) }.filter { $0 >= 0 }
    return lifetimes.min().map { .seconds($0) }
  }

  /// All addresses of `name`, in the order in which they should be tried (RFC 6724). Those of a
  /// family that this machine has no address of are left out, unless it has none but
  /// loopback: then there is nothing to go by.
  private static func addresses(of name: String) throws(NameFault) -> [IPAddress] {
    do throws(NameFault) {
      return try self.addresses(of: name, flags: AI_ADDRCONFIG)
    } catch {
      return try self.addresses(of: name, flags: 0)
    }
  }

  private static func addresses(
    of name: String, flags: CInt
  ) throws(NameFault) -> [IPAddress] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = flags
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(name, nil, &hints, &list)
    guard code == 0 else {
      throw unsafe NameFault(reason: String(cString: gai_strerror(code)))
    }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [IPAddress] = []
    var entry = unsafe list
    while let current = unsafe entry {
      // SAFETY: the list is getaddrinfo's own and lives until freeaddrinfo above.
      if let raw = unsafe current.pointee.ai_addr,
        case .ip(let address, _)? = unsafe SocketAddress(
          found: raw, length: current.pointee.ai_addrlen, port: 0),
        !addresses.contains(address)
      {
        addresses.append(address)
      }
      unsafe entry = current.pointee.ai_next
    }
    return addresses
  }
}
