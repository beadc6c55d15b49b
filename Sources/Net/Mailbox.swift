internal import CLinux
internal import Glibc
internal import Synchronization

/// How other threads talk to a worker: a queue and an eventfd that wakes its loop.
///
/// Off the hot path. Messages of one sender arrive in order; posting never blocks on the receiver.
public final class Mailbox<Message: Sendable>: Sendable {
  /// `nil` once nobody reads it any more.
  private let queue = Mutex<[Message]?>([])
  /// An eventfd, readable while messages wait. Owned here, registered in the receiver's loop.
  let wake: CInt

  /// - Throws: where the process has no descriptor left.
  public init() throws(Errno) {
    let descriptor = sluice_eventfd()
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    self.wake = descriptor
  }

  deinit { _ = Glibc.close(self.wake) }

  /// Adds a message and wakes the receiver. May be called from any thread.
  public func post(_ message: Message) {
    let wasEmpty = self.queue.withLock { queue in
      queue?.append(message)
      return queue?.count == 1
    }
    // Only the first message of a batch pays for the system call; the counter cannot overflow.
    if wasEmpty { _ = eventfd_write(self.wake, 1) }
  }

  /// All messages so far, oldest first. Called by the receiver alone.
  public func take() -> [Message] {
    var count: eventfd_t = 0
    _ = unsafe eventfd_read(self.wake, &count)
    return self.queue.withLock { queue in
      guard let messages = queue else { return [] }
      queue = []
      return messages
    }
  }

  /// Drops what is there, and what still comes. Called by the receiver alone, at its end.
  public func close() {
    // Outside of the lock: what is dropped may tell its sender.
    _ = self.queue.withLock { queue in
      let messages = queue
      queue = nil
      return messages
    }
  }
}
