internal import CLinux
internal import Glibc
internal import Synchronization

/// What one accept(2) brought.
public enum Accepted: ~Copyable {
  case connection(Socket, peer: SocketAddress?)
  /// Nobody waits.
  case wouldBlock
  /// The connection went away before it was taken; the next one may be there.
  case aborted
  /// No descriptor or memory is left: accepting must pause, or the loop would spin.
  case exhausted(Errno)
}

/// A socket that clients connect to. It listens until ``close()``, or until the last reference to it
/// goes: then who waits and was not accepted is reset, unless another process has the socket, too.
public final class ListeningSocket: Sendable {
  let descriptor: CInt
  /// Where it listens; the port is the real one where 0 was asked for.
  public let address: SocketAddress
  /// Whether a unix socket's file goes with this descriptor.
  private let ownsPath: Atomic<Bool>
  private let isClosed = Atomic<Bool>(false)

  /// Connections that the kernel keeps until they are accepted (it may allow fewer: somaxconn).
  public static let backlogCount: CInt = 65_535

  /// Binds and listens. TCP sockets share their address with others of this user (SO_REUSEPORT):
  /// each worker has one, and the kernel spreads the connections.
  ///
  /// - Throws: the address in use or not permitted, or a path that cannot be made.
  public convenience init(binding address: SocketAddress) throws(Errno) {
    let number = sluice_socket_stream(address.family)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    do throws(Errno) {
      try Self.prepare(number, for: address)
    } catch {
      _ = Glibc.close(number)
      throw error
    }
    self.init(number, Self.boundAddress(number) ?? address, ownsPath: true)
  }

  /// Makes sure that nobody else listens at a TCP address. ``init(binding:)`` alone would share it
  /// with any process of the same user, which would then take half of the connections.
  ///
  /// - Throws: the address in use.
  public static func requireFree(_ address: SocketAddress) throws(Errno) {
    guard case .ip(_, let port) = address, port != 0 else { return }
    let number = sluice_socket_stream(address.family)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    defer { _ = Glibc.close(number) }
    Self.enable(number, SOL_SOCKET, SO_REUSEADDR)
    guard unsafe address.withRaw({ unsafe bind(number, $0, $1) }) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Another descriptor of the same listening socket, for a second worker of a unix listener.
  public convenience init(sharing other: ListeningSocket) throws(Errno) {
    let number = fcntl(other.descriptor, F_DUPFD_CLOEXEC, 0)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    self.init(number, other.address, ownsPath: false)
  }

  private init(_ descriptor: CInt, _ address: SocketAddress, ownsPath: Bool) {
    self.descriptor = descriptor
    self.address = address
    self.ownsPath = Atomic(ownsPath)
  }

  /// A socket that the process was started with; `nil` where the number is no listening stream
  /// socket of a family that is known here.
  /// A unix socket's file is somebody else's until ``ownPath(_:)``.
  public convenience init?(inheriting number: CInt) {
    guard Self.option(number, SO_ACCEPTCONN) == 1, Self.option(number, SO_TYPE) == Self.streamType,
      let address = Self.boundAddress(number)
    else { return nil }
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    if case .ip = address { Self.enable(number, CInt(IPPROTO_TCP), TCP_NODELAY) }
    self.init(number, address, ownsPath: false)
  }

  private static let streamType = CInt(SOCK_STREAM.rawValue)

  /// An option of the socket level whose value is an int; `nil` for what is no socket.
  private static func option(_ number: CInt, _ name: CInt) -> CInt? {
    var value: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    // SAFETY: both options are ints.
    guard unsafe getsockopt(number, SOL_SOCKET, name, &value, &length) == 0 else { return nil }
    return value
  }

  /// Whether a unix socket's file goes when this is closed: not where another process listens there.
  public func ownPath(_ owns: Bool) { self.ownsPath.store(owns, ordering: .relaxed) }

  deinit { self.close() }

  /// Stops listening at once. The one thread that accepts here calls it, and accepts no more.
  public func close() {
    guard !self.isClosed.exchange(true, ordering: .relaxed) else { return }
    if self.ownsPath.load(ordering: .relaxed), case .unix(let path) = self.address {
      _ = unsafe unlink(path)
    }
    _ = Glibc.close(self.descriptor)
  }

  private static func prepare(_ number: CInt, for address: SocketAddress) throws(Errno) {
    switch address {
    case .ip(let ip, _):
      Self.enable(number, SOL_SOCKET, SO_REUSEADDR)
      Self.enable(number, SOL_SOCKET, SO_REUSEPORT)
      // A v4 wildcard listener beside a v6 one is the user's choice, unless the v6 one is `[::]`
      // and means both.
      if case .v6 = ip { Self.disable(number, CInt(IPPROTO_IPV6), IPV6_V6ONLY) }
      // Accepted sockets inherit it: one system call less for each connection.
      Self.enable(number, CInt(IPPROTO_TCP), TCP_NODELAY)
    case .unix(let path):
      try Self.removeStaleSocket(path)
    }
    // SAFETY: the address lives for the duration of the call.
    guard unsafe address.withRaw({ unsafe bind(number, $0, $1) }) == 0,
      listen(number, Self.backlogCount) == 0
    else { throw Errno(rawValue: errno) }
  }

  /// A socket file that nobody listens on any more is left by a process that was killed.
  private static func removeStaleSocket(_ path: String) throws(Errno) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw Errno(rawValue: EADDRINUSE) }
    do throws(Errno) {
      let probe = try Socket.connecting(to: .unix(path: path))
      probe.close()
    } catch {
      if error == .connectionRefused { _ = unsafe unlink(path) }
      return
    }
    throw Errno(rawValue: EADDRINUSE)
  }

  private static func enable(_ number: CInt, _ level: CInt, _ name: CInt) {
    Self.set(number, level, name, 1)
  }

  private static func disable(_ number: CInt, _ level: CInt, _ name: CInt) {
    Self.set(number, level, name, 0)
  }

  private static func set(_ number: CInt, _ level: CInt, _ name: CInt, _ value: CInt) {
    var value = value
    // SAFETY: all three options take an int.
    _ = unsafe setsockopt(number, level, name, &value, socklen_t(MemoryLayout<CInt>.size))
  }

  private static func boundAddress(_ number: CInt) -> SocketAddress? {
    // SAFETY: getsockname fills at most the length it is given.
    unsafe SocketAddress.reading { unsafe _ = getsockname(number, $0, &$1) }
  }

  /// Takes one waiting connection.
  public func accept() -> Accepted {
    while true {
      var number: CInt = -1
      // SAFETY: accept4 fills at most the length it is given.
      let peer = unsafe SocketAddress.reading {
        number = unsafe sluice_accept(self.descriptor, $0, &$1)
      }
      if number >= 0 { return .connection(Socket(OwnedDescriptor(owning: number)), peer: peer) }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code where Errno(rawValue: code).isExhaustion:
        return .exhausted(Errno(rawValue: code))
      default:
        // accept(2) reports network errors of the new connection here: they end that one only.
        return .aborted
      }
    }
  }
}
