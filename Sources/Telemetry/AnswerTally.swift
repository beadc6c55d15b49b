internal import Synchronization

/// How often requests got each kind of answer. Most get the same as the one before, so that what came
/// last is looked up only when something else comes.
public final class AnswerTally: Sendable {
  private struct Numbers {
    var counts: [WorkerMeter.Answer: Int] = [:]
    var last: WorkerMeter.Answer?
    /// How often the last one came since it was looked up.
    var run = 0

    mutating func settle() {
      if let last = self.last, self.run > 0 { self.counts[last, default: 0] += self.run }
      self.run = 0
    }
  }

  private let numbers = Mutex(Numbers())

  init() {}

  /// One more of this.
  public func raise(_ answer: WorkerMeter.Answer) {
    self.numbers.withLock { numbers in
      if numbers.last != answer {
        numbers.settle()
        numbers.last = answer
      }
      numbers.run += 1
    }
  }

  /// What was counted.
  public var counts: [WorkerMeter.Answer: Int] {
    self.numbers.withLock { numbers in
      numbers.settle()
      return numbers.counts
    }
  }
}
