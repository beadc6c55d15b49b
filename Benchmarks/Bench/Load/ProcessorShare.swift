import Glibc

/// The share of the processor that this process has.
enum ProcessorShare {
  /// Lets whoever waits for this processor run first.
  static func yield() { _ = sched_yield() }
}
