internal import CLinux
internal import Glibc

/// The signals a person or a supervisor ends the process with.
public enum Signal: Sendable {
  case interrupt
  case terminate

  /// The number that the kernel knows it by.
  public var number: CInt { self == .interrupt ? SIGINT : SIGTERM }
}

/// Takes signals on one thread, in plain code, instead of in a handler between any two instructions.
public enum SignalWait {
  /// Blocks SIGINT and SIGTERM for this thread and those it starts, and ignores SIGPIPE. Called
  /// once, first thing in main.
  public static func block() {
    var set = Self.set()
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    _ = signal(SIGPIPE, SIG_IGN)
  }

  /// Waits for the next of the blocked signals.
  public static func next() -> Signal {
    var set = Self.set()
    while true {
      var number: CInt = 0
      guard unsafe sigwait(&set, &number) == 0 else { continue }
      return number == SIGINT ? .interrupt : .terminate
    }
  }

  private static func set() -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGINT)
    unsafe sigaddset(&set, SIGTERM)
    return set
  }
}
