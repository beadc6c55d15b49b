internal import CLinux
internal import Glibc

/// Why a system call failed, as errno(3) says it.
public struct Errno: Error, Hashable, Sendable {
  /// The number in errno.
  public let rawValue: CInt

  /// Any number, known to this system or not.
  public init(rawValue: CInt) { self.rawValue = rawValue }

  /// Nobody listens there.
  public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
  /// The peer or the way to it is silent.
  public static let timedOut = Errno(rawValue: ETIMEDOUT)
  /// The other end closed or aborted the connection (ECONNRESET, EPIPE).
  public var isReset: Bool { self.rawValue == ECONNRESET || self.rawValue == EPIPE }
  /// The process or the system has no descriptor or no memory left for one more socket.
  public var isExhaustion: Bool {
    [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(self.rawValue)
  }
}

extension Errno: CustomStringConvertible {
  /// The C library's sentence for the number.
  public var description: String {
    // SAFETY: strerror's result is a NUL-terminated string that lives until this thread's next
    // call (glibc keeps one for each thread), and it is copied here.
    unsafe strerror(self.rawValue).map { unsafe String(cString: $0) } ?? "errno \(self.rawValue)"
  }
}
