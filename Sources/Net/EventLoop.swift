internal import CLinux
internal import Glibc

/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
  /// The kernel's bits (epoll_ctl(2)).
  public let rawValue: UInt32
  /// Any of the kernel's bits; those without a name here stay and mean nothing.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Octets, an end of stream or an error can be received.
  public static let readable = Readiness(rawValue: EPOLLIN.rawValue)
  /// The kernel takes octets again.
  public static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
  /// The peer has sent its last octet: receiving goes on until the end of the stream is seen.
  public static let peerEnded = Readiness(rawValue: EPOLLRDHUP.rawValue)
  /// The socket is broken or closed in both directions.
  public static let failed = Readiness(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
}

/// One readiness report.
public struct Event: Sendable {
  /// Whose descriptor it is.
  public let token: Token
  /// What it is ready for.
  public let readiness: Readiness

  /// A report, as the loop or a test makes it.
  public init(token: Token, readiness: Readiness) {
    self.token = token
    self.readiness = readiness
  }
}

/// An epoll instance and the reports of its last wait.
///
/// Connections are registered once, for everything and edge-triggered: no epoll_ctl on the hot
/// path. Whoever stops reading before the kernel says "would block" must remember that itself.
@safe public struct EventLoop: ~Copyable {
  /// Reports taken per system call.
  public static let eventCountMax = 512

  private let descriptor: CInt
  private let events: UnsafeMutablePointer<epoll_event>

  /// - Throws: where the process has no descriptor left.
  public init() throws(Errno) {
    let number = sluice_epoll_create()
    guard number >= 0 else { throw Errno(rawValue: errno) }
    self.descriptor = number
    unsafe self.events = .allocate(capacity: Self.eventCountMax)
  }

  deinit {
    unsafe self.events.deallocate()
    _ = Glibc.close(self.descriptor)
  }

  /// Waits until something is ready or `timeout` is over, `nil` for ever; gives the report count.
  public mutating func wait(timeout: Duration?) -> Int {
    self.wait(milliseconds: timeout.map { $0.clampedMillisecondsUp } ?? -1)
  }

  /// Waits until something is ready or the clock reads `deadline`; gives the report count.
  ///
  /// - Parameter now: what the clock read a moment ago.
  public mutating func wait(until deadline: Deadline, now: Deadline) -> Int {
    guard deadline != .never else { return self.wait(milliseconds: -1) }
    // Rounded up: a wake-up before a deadline would only go back to waiting.
    return self.wait(milliseconds: deadline.nanoseconds(since: now).clampedMillisecondsUp)
  }

  private mutating func wait(milliseconds: CInt) -> Int {
    while true {
      // SAFETY: `events` has room for eventCountMax entries.
      let count = unsafe sluice_epoll_wait(
        self.descriptor, self.events, CInt(Self.eventCountMax), milliseconds)
      if count >= 0 { return Int(count) }
      precondition(errno == EINTR, "epoll_wait: errno \(errno)")
    }
  }

  /// Report number `index` of the last wait.
  public subscript(index: Int) -> Event {
    precondition(index >= 0 && index < Self.eventCountMax)
    // SAFETY: the last wait filled the entries below its result, which the caller counts to.
    let event = unsafe self.events[index]
    return unsafe Event(
      token: Token(epollData: event.data.u64), readiness: Readiness(rawValue: event.events))
  }

  /// Registers a connection for everything, edge-triggered.
  public borrowing func add(_ socket: borrowing Socket, as token: Token) throws(Errno) {
    let interest =
      EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
    try self.control(EPOLL_CTL_ADD, socket.descriptor.rawValue, interest, token)
  }

  /// Registers a listener, level-triggered: whoever accepts some leaves the rest for the next turn.
  /// Of workers whose descriptors are of one unix socket, only one is woken for a connection (EPOLLEXCLUSIVE).
  public borrowing func add(_ listener: ListeningSocket, as token: Token) throws(Errno) {
    let interest = EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue
    try self.control(EPOLL_CTL_ADD, listener.descriptor, interest, token)
  }

  /// Ends the reports about a listener, which stays open.
  public borrowing func remove(_ listener: ListeningSocket) {
    try? self.control(
      EPOLL_CTL_DEL, listener.descriptor, 0, Token(slot: 0, generation: 0))
  }

  /// Registers a mailbox, which must outlive the loop.
  public borrowing func add<Message>(
    _ mailbox: Mailbox<Message>, as token: Token
  ) throws(Errno) {
    try self.control(EPOLL_CTL_ADD, mailbox.wake, EPOLLIN.rawValue, token)
  }

  private borrowing func control(
    _ operation: CInt, _ number: CInt, _ interest: UInt32, _ token: Token
  ) throws(Errno) {
    var event = unsafe epoll_event()
    unsafe event.events = interest
    unsafe event.data.u64 = token.epollData
    // SAFETY: `event` lives for the duration of the call.
    guard unsafe epoll_ctl(self.descriptor, operation, number, &event) == 0 else {
      throw Errno(rawValue: errno)
    }
  }
}
