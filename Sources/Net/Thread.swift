internal import CLinux
internal import Glibc

/// A thread of the kernel's, for a worker's loop or a call that blocks.
@safe public struct Thread: Sendable {
  private let handle: pthread_t

  /// Names are cut to what the kernel keeps (pthread_setname_np(3): 16 with the NUL).
  private static let nameByteCountMax = 15

  /// Starts a thread that runs `body` once. Signals are for ``SignalWait``: no thread started here
  /// receives one.
  ///
  /// - Throws: where the system allows no further thread.
  public static func start(
    name: String, _ body: @escaping @Sendable () -> Void
  ) throws(Errno) -> Thread {
    let box = unsafe Unmanaged.passRetained(Body(body))
    var handle = pthread_t()
    let code = unsafe pthread_create(
      &handle, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        // SAFETY: `argument` is the box that was retained above, taken back exactly once.
        unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    guard code == 0 else {
      unsafe box.release()
      throw Errno(rawValue: code)
    }
    _ = unsafe pthread_setname_np(handle, String(name.prefix(Self.nameByteCountMax)))
    return Thread(handle: handle)
  }

  /// Lets the thread end by itself: nobody will ``join()`` it. Once only.
  public func detach() { _ = pthread_detach(self.handle) }

  /// Waits until the thread has ended. Once only, and not after ``detach()``.
  public func join() { _ = pthread_join(self.handle, nil) }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
