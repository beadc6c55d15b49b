internal import CLinux
internal import Glibc

/// What one receiving system call brought.
public enum Received: Equatable, Sendable {
  /// So many octets now stand in the buffer; `isLast` where the kernel had no more at that moment.
  case octets(Int, isLast: Bool)
  /// Nothing at present: the loop reports readiness again.
  case wouldBlock
  /// The peer will send nothing more.
  case endOfStream
  case failed(Errno)
}

/// What one sending system call took.
public enum Sent: Equatable, Sendable {
  /// So many octets, which may be fewer than were offered.
  case octets(Int)
  /// Nothing at present: the loop reports readiness again.
  case wouldBlock
  case failed(Errno)
}

/// One connected, or connecting, stream socket. One thin function for each system call: EINTR is
/// retried here, "would block" is a value, our own mistakes trap.
public struct Socket: ~Copyable, Sendable {
  let descriptor: OwnedDescriptor

  init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

  /// The place of a socket, empty: for what travels on another connection's. Of all that follows,
  /// only ``close()`` may be called.
  public static var none: Socket { Socket(.none) }

  /// Closes now. Octets that the kernel still holds for the peer are sent on.
  public consuming func close() { self.descriptor.close() }

  /// Receives into the buffer's free space, of which there must be some, no more than `limit`.
  public borrowing func receive(into buffer: inout Buffer, upTo limit: Int = .max) -> Received {
    let free = unsafe buffer.unsafeFreeSpace
    let asked = min(free.count, limit)
    precondition(asked > 0, "an empty buffer would read as end of stream")
    while true {
      // SAFETY: `free` is the buffer's own memory, borrowed for the duration of the call.
      let count = unsafe sluice_receive(self.descriptor.rawValue, free.baseAddress, asked)
      if count > 0 {
        buffer.produced(count)
        return .octets(count, isLast: count < asked)
      }
      if count == 0 { return .endOfStream }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(Self.peerFault(code))
      }
    }
  }

  /// Copies the next octets into the buffer's free space, no more than `limit`, and leaves them to be
  /// received. How many there were; 0 also where the stream has ended or broken, which the next
  /// receive tells.
  public borrowing func peek(into buffer: inout Buffer, upTo limit: Int) -> Int {
    let free = unsafe buffer.unsafeFreeSpace
    let asked = min(free.count, limit)
    // SAFETY: `free` is the buffer's own memory, borrowed for the duration of the call.
    let count = unsafe sluice_peek(self.descriptor.rawValue, free.baseAddress, asked)
    buffer.produced(max(0, count))
    return max(0, count)
  }

  /// Sends the buffer's octets, without consuming them.
  ///
  /// - Parameter hasMore: whether others follow at once: the kernel may wait for them.
  public borrowing func send(_ buffer: borrowing Buffer, hasMore: Bool = false) -> Sent {
    let octets = unsafe buffer.unsafeOctets
    while true {
      // SAFETY: `octets` is the buffer's own memory.
      let count = unsafe sluice_send(
        self.descriptor.rawValue, octets.baseAddress, octets.count, hasMore)
      if count >= 0 { return .octets(count) }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(Self.peerFault(code))
      }
    }
  }

  /// Sends several pieces with one call.
  borrowing func send(vectors: UnsafeMutableBufferPointer<iovec>) -> Sent {
    var message = unsafe msghdr()
    unsafe message.msg_iov = vectors.baseAddress
    unsafe message.msg_iovlen = vectors.count
    while true {
      // SAFETY: the vectors point into the caller's queue, which it borrows for the call.
      let count = unsafe sendmsg(self.descriptor.rawValue, &message, CInt(MSG_NOSIGNAL))
      if count >= 0 { return .octets(count) }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(Self.peerFault(code))
      }
    }
  }

  /// Where the connection is on this side; `nil` where the kernel does not say.
  public borrowing func localAddress() -> SocketAddress? {
    let number = self.descriptor.rawValue
    // SAFETY: getsockname fills at most the length it is given.
    return unsafe SocketAddress.reading { unsafe _ = getsockname(number, $0, &$1) }
  }

  /// Octets that the kernel holds for the peer, which has not taken them yet.
  public borrowing func untakenByteCount() -> Int {
    max(0, Int(sluice_untaken_count(self.descriptor.rawValue)))
  }

  /// Tells the peer that nothing more comes (TCP FIN).
  public borrowing func shutdownWrite() {
    // ENOTCONN after a reset: the end of the stream is then seen by the next receive.
    _ = shutdown(self.descriptor.rawValue, CInt(SHUT_WR))
  }

  /// Makes the coming close a reset (RST): what is queued is dropped, the peer sees an abort.
  public borrowing func resetOnClose() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    self.setOption(SOL_SOCKET, SO_LINGER, &linger)
  }

  /// The outcome of a connect that was in progress: `nil` where it succeeded.
  public borrowing func connectFault() -> Errno? {
    var code: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    // SAFETY: `code` is the int that SO_ERROR fills.
    let result = unsafe getsockopt(self.descriptor.rawValue, SOL_SOCKET, SO_ERROR, &code, &length)
    guard result == 0 else { return Errno(rawValue: errno) }
    return code == 0 ? nil : Errno(rawValue: code)
  }

  /// A connection being made to `address`; success or failure shows as readiness to write.
  ///
  /// - Throws: what the kernel says at once: no descriptor, no route, no such unix socket.
  public static func connecting(to address: SocketAddress) throws(Errno) -> Socket {
    let number = sluice_socket_stream(address.family)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    let socket = Socket(OwnedDescriptor(owning: number))
    socket.disableDelay(address.family)
    // SAFETY: `raw` lives for the duration of the call.
    let result = unsafe address.withRaw { unsafe connect(number, $0, $1) }
    let code = errno
    if result == 0 || code == EINPROGRESS { return socket }
    socket.close()
    throw Errno(rawValue: code)
  }

  /// TCP_NODELAY: a small message does not wait for the acknowledgement of the one before.
  borrowing func disableDelay(_ family: CInt) {
    guard family != AF_UNIX else { return }
    var one: CInt = 1
    self.setOption(CInt(IPPROTO_TCP), TCP_NODELAY, &one)
  }

  private borrowing func setOption<Value: BitwiseCopyable>(
    _ level: CInt, _ name: CInt, _ value: inout Value
  ) {
    // SAFETY: each caller passes the C type that the option is documented to take.
    _ = unsafe setsockopt(
      self.descriptor.rawValue, level, name, &value, socklen_t(MemoryLayout<Value>.size))
  }

  /// A peer can cause any error but these two, which would be our own mistakes.
  static func peerFault(_ code: CInt) -> Errno {
    precondition(code != EBADF && code != EFAULT, "socket call: errno \(code)")
    return Errno(rawValue: code)
  }
}
