internal import CLinux
internal import Glibc

/// A bell for threads that may block: once rung, it stays rung for all who wait.
public final class Alarm: Sendable {
  private let descriptor: CInt

  /// - Throws: where the process has no descriptor left.
  public init() throws(Errno) {
    self.descriptor = sluice_eventfd()
    guard self.descriptor >= 0 else { throw Errno(rawValue: errno) }
  }

  deinit { _ = Glibc.close(self.descriptor) }

  /// Wakes everybody, now and later.
  public func ring() { _ = eventfd_write(self.descriptor, 1) }

  /// Makes the bell silent again, for the one thread that it calls.
  public func rearm() {
    var count: eventfd_t = 0
    _ = unsafe eventfd_read(self.descriptor, &count)
  }

  /// Waits until the bell has been rung, but not beyond `timeout`; whether it has been.
  public func wait(timeout: Duration) -> Bool {
    let deadline = Deadline.now().advanced(by: timeout)
    while true {
      let left = deadline.duration(since: .now())
      var entry = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
      // SAFETY: one entry, which lives for the duration of the call.
      let count = unsafe poll(&entry, 1, left.clampedMillisecondsUp)
      if count > 0 { return true }
      if left == .zero { return false }
    }
  }
}
