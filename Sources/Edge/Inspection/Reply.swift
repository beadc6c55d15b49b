internal import Synchronization

/// Where a worker's answer to a question goes. A worker that has ended answers by dropping it.
final class Reply<Answer: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Answer?, Never>?>

  private init(_ continuation: CheckedContinuation<Answer?, Never>) {
    self.continuation = Mutex(continuation)
  }

  deinit { self.resume(nil) }

  /// Answers, once.
  func give(_ answer: Answer) { self.resume(answer) }

  private func resume(_ answer: Answer?) {
    let continuation = self.continuation.withLock { $0.take() }
    continuation?.resume(returning: answer)
  }

  /// Asks, and waits for the answer; `nil` where the worker has ended.
  static func asking(_ ask: (Reply<Answer>) -> Void) async -> Answer? {
    await withCheckedContinuation { ask(Reply($0)) }
  }
}
