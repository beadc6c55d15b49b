public import Net
internal import Synchronization

/// Keeps the names in groups resolved: a thread for each name asks the system, which may block,
/// and asks again when the answer's lifetime ends.
public final class Resolver: Sendable {
  /// An answer is used at least this long, lest a lifetime of 0 keep the name server busy.
  public static let lifetimeMin = Duration.seconds(1)
  /// A name server's lifetimes are cut to this.
  public static let lifetimeMax = Duration.seconds(300)
  /// How long an answer without a lifetime (from a hosts file) is used.
  public static let lifetimeOfUnknown = Duration.seconds(30)
  /// When a name that gave no answer is asked for again; the last good addresses stay in use.
  public static let retryInterval = Duration.seconds(5)

  /// What became of one question.
  public typealias Answer = Result<NameAnswer, NameFault>
  /// Asks for one name. May block.
  public typealias Question = @Sendable (String) throws(NameFault) -> NameAnswer
  /// Asks how long an answer that does not say so may be used. May block.
  public typealias LifetimeQuestion = @Sendable (String) -> Duration?
  /// Is told of an answer.
  public typealias Observer = @Sendable (String, Answer) -> Void

  private struct State {
    var watches: [String: NameWatch] = [:]
    var isStopped = false
  }

  private let source: NameSource
  /// Who begins, reloads or ends the process changes it; never a worker.
  private let state = Mutex(State())

  /// A resolver that serves nobody yet.
  ///
  /// - Parameters:
  ///   - question: how a name is looked up.
  ///   - lifetime: how the lifetime is, after the addresses are in use.
  ///   - observe: told of each answer that differs from the one before, for the log.
  public init(
    asking question: @escaping Question = NameLookup.resolve,
    lifetime: @escaping LifetimeQuestion = NameLookup.lifetime(of:),
    observe: @escaping Observer
  ) {
    self.source = NameSource(question: question, lifetime: lifetime, observe: observe)
  }

  /// A resolver that serves `groups` from the beginning.
  public convenience init(
    for groups: [Group], asking question: @escaping Question = NameLookup.resolve,
    lifetime: @escaping LifetimeQuestion = NameLookup.lifetime(of:),
    observe: @escaping Observer
  ) throws(Errno) {
    self.init(asking: question, lifetime: lifetime, observe: observe)
    try self.serve(groups)
  }

  /// Resolves the names of `groups` from now on, and of no others. A name that was resolved before
  /// gives the groups its last addresses at once and is not asked for anew.
  ///
  /// - Throws: what the system lacks for the names that are new; the groups of before are served
  ///   on.
  public func serve(_ groups: [Group]) throws(Errno) {
    try self.state.withLock { (state) throws(Errno) in
      guard !state.isStopped else { return }
      let users = Self.users(among: groups)
      let new = users.filter { state.watches[$0.key] == nil }
      let begun = try self.begin(new)
      for (name, watch) in state.watches {
        if let groups = users[name] { watch.serve(groups) } else { watch.end() }
      }
      state.watches = state.watches.filter { users[$0.key] != nil }
      state.watches.merge(begun) { old, _ in old }
    }
  }

  /// The groups that use each name.
  private static func users(among groups: [Group]) -> [String: [Group]] {
    var users: [String: [Group]] = [:]
    for group in groups {
      for name in group.names { users[name, default: []].append(group) }
    }
    return users
  }

  /// Watches all these names, or none where the system refuses one.
  private func begin(_ users: [String: [Group]]) throws(Errno) -> [String: NameWatch] {
    var begun: [String: NameWatch] = [:]
    do throws(Errno) {
      for (name, groups) in users {
        let watch = try NameWatch(name, of: self.source, for: groups)
        try watch.start()
        begun[name] = watch
      }
    } catch {
      for watch in begun.values { watch.end() }
      throw error
    }
    return begun
  }

  /// Blocks until each name has been asked for once, but not beyond `timeout`: tunnels that come
  /// before an answer find no server.
  public func waitForFirstAnswers(timeout: Duration) {
    let deadline = Deadline.now().advanced(by: timeout)
    for watch in self.state.withLock({ Array($0.watches.values) }) {
      _ = watch.answered.wait(timeout: deadline.duration(since: .now()))
    }
  }

  /// Ends the threads for good, each after the question it may be asking.
  public func stop() {
    self.state.withLock { state in
      for watch in state.watches.values { watch.end() }
      state = State(isStopped: true)
    }
  }
}

extension Resolver {
  /// How long after `answer` the name is asked for again.
  static func pause(after answer: Answer) -> Duration {
    guard case .success(let found) = answer else { return Self.retryInterval }
    return min(max(found.lifetime ?? Self.lifetimeOfUnknown, Self.lifetimeMin), Self.lifetimeMax)
  }
}
