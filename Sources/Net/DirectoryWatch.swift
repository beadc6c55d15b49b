internal import CLinux
internal import Glibc

/// Tells that something has changed in one of several directories (inotify(7)).
///
/// What is watched are directories, not files: editors and Kubernetes put a new file, or a new link,
/// in the place of the old one, and whoever watches the old one sees nothing any more.
public final class DirectoryWatch: Sendable {
  private let descriptor: CInt

  /// Files and links that came, went, or were written and closed; and the directory's own end.
  private static let interest =
    UInt32(IN_CLOSE_WRITE) | UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM)
    | UInt32(IN_MOVED_TO) | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ONLYDIR)

  /// Watches nothing yet.
  ///
  /// - Throws: where the user has as many watches as allowed, or the process no descriptor left.
  public init() throws(Errno) {
    self.descriptor = inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))
    guard self.descriptor >= 0 else { throw Errno(rawValue: errno) }
  }

  deinit { _ = Glibc.close(self.descriptor) }

  /// Watches one more directory; one that is watched already stays so.
  public func add(_ path: String) throws(Errno) {
    guard unsafe inotify_add_watch(self.descriptor, path, Self.interest) >= 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Waits until something has changed, but not beyond `timeout` (`nil`: for ever), and forgets what
  /// it was; whether something had.
  public func wait(timeout: Duration?) -> Bool {
    var entry = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
    // SAFETY: one entry, which lives for the duration of the call.
    let count = unsafe poll(&entry, 1, timeout.map { $0.clampedMillisecondsUp } ?? -1)
    guard count > 0 else { return false }
    self.drain()
    return true
  }

  private func drain() {
    var octets = [UInt8](repeating: 0, count: 4096)
    while true {
      // SAFETY: at most the array's count is written.
      let count = unsafe octets.withUnsafeMutableBytes { bytes in
        unsafe Glibc.read(self.descriptor, bytes.baseAddress, bytes.count)
      }
      guard count > 0 || (count < 0 && errno == EINTR) else { return }
    }
  }
}
