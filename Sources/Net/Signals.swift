internal import CLinux
internal import Glibc

/// The signals with which a person or a supervisor says something to the process.
public enum Signal: Sendable, CaseIterable {
  /// SIGINT: end.
  case interrupt
  /// SIGTERM: end.
  case terminate
  /// SIGHUP: read the configuration again.
  case hangup
  /// SIGUSR2: give way to a new process.
  case succeed

  /// The number that the kernel knows it by.
  public var number: CInt {
    switch self {
    case .interrupt: SIGINT
    case .terminate: SIGTERM
    case .hangup: SIGHUP
    case .succeed: SIGUSR2
    }
  }

  /// Whether it asks the process to end.
  public var endsProcess: Bool { self == .interrupt || self == .terminate }
}

/// Takes signals on one thread, in plain code, instead of in a handler between any two instructions.
public enum SignalWait {
  /// Blocks these signals for this thread and those it starts, and ignores SIGPIPE. Called once,
  /// first thing in main.
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
      if let signal = Signal.allCases.first(where: { $0.number == number }) { return signal }
    }
  }

  /// Waits for the next of them, but not beyond `timeout`; `nil` where none came.
  public static func next(within timeout: Duration) -> Signal? {
    var set = Self.set()
    let nanoseconds = timeout.clampedNanoseconds
    var time = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    let number = unsafe sigtimedwait(&set, nil, &time)
    return Signal.allCases.first { $0.number == number }
  }

  private static func set() -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in Signal.allCases { unsafe sigaddset(&set, signal.number) }
    return set
  }
}
