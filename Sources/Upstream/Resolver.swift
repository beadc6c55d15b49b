public import Net

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

  private let watches: [NameWatch]

  /// Starts to resolve the names of `groups`.
  ///
  /// - Parameters:
  ///   - question: how a name is looked up.
  ///   - lifetime: how the lifetime is, after the addresses are in use.
  ///   - observe: told of each answer that differs from the one before, for the log.
  public init(
    for groups: [Group], asking question: @escaping Question = NameLookup.resolve,
    lifetime: @escaping LifetimeQuestion = NameLookup.lifetime(of:),
    observe: @escaping @Sendable (String, Answer) -> Void
  ) throws(Errno) {
    let names = groups.reduce(into: Set<String>()) { $0.formUnion($1.names) }
    var watches: [NameWatch] = []
    for name in names.sorted() {
      let users = groups.filter { $0.names.contains(name) }
      watches.append(try NameWatch(name, users, question, lifetime, observe))
    }
    self.watches = watches
    do throws(Errno) {
      for watch in watches { try watch.start() }
    } catch {
      self.stop()
      throw error
    }
  }

  /// Blocks until each name was asked for once, but not beyond `timeout`: tunnels that come before
  /// an answer find no server.
  public func waitForFirstAnswers(timeout: Duration) {
    let deadline = Deadline.now().advanced(by: timeout)
    for watch in self.watches {
      _ = watch.answered.wait(timeout: deadline.duration(since: .now()))
    }
  }

  /// Ends the threads, each after the question it may be asking.
  public func stop() { for watch in self.watches { watch.stopped.ring() } }
}

extension Resolver {
  /// How long after `answer` the name is asked for again.
  static func pause(after answer: Answer) -> Duration {
    guard case .success(let found) = answer else { return Self.retryInterval }
    return min(max(found.lifetime ?? Self.lifetimeOfUnknown, Self.lifetimeMin), Self.lifetimeMax)
  }
}

/// One name, the groups that use it, and the thread that asks for it.
private final class NameWatch: Sendable {
  private let name: String
  private let users: [Group]
  private let question: Resolver.Question
  private let lifetime: Resolver.LifetimeQuestion
  private let observe: @Sendable (String, Resolver.Answer) -> Void
  let answered: Alarm
  let stopped: Alarm

  init(
    _ name: String, _ users: [Group], _ question: @escaping Resolver.Question,
    _ lifetime: @escaping Resolver.LifetimeQuestion,
    _ observe: @escaping @Sendable (String, Resolver.Answer) -> Void
  ) throws(Errno) {
    self.name = name
    self.users = users
    self.question = question
    self.lifetime = lifetime
    self.observe = observe
    self.answered = try Alarm()
    self.stopped = try Alarm()
  }

  func start() throws(Errno) {
    try Thread.start(name: "resolver") { self.run() }.detach()
  }

  private func run() {
    var last: Resolver.Answer?
    var pause = Resolver.retryInterval
    repeat {
      let answer = self.ask()
      if case .success(let found) = answer {
        for group in self.users { group.update(self.name, to: found.addresses) }
      }
      if !Self.isSame(answer, last) { self.observe(self.name, answer) }
      last = answer
      self.answered.ring()
      pause = Resolver.pause(after: self.withLifetime(answer))
    } while !self.stopped.wait(timeout: pause)
  }

  /// The answer, with its lifetime where that could be found out. Name servers that do not answer
  /// hold up nobody here: the addresses are in use already.
  private func withLifetime(_ answer: Resolver.Answer) -> Resolver.Answer {
    guard case .success(let found) = answer, found.lifetime == nil else { return answer }
    return .success(
      NameAnswer(addresses: found.addresses, lifetime: self.lifetime(self.name)))
  }

  private func ask() -> Resolver.Answer {
    do throws(NameFault) {
      return .success(try self.question(self.name))
    } catch {
      return .failure(error)
    }
  }

  /// Whether two answers mean the same to a tunnel: the lifetime counts down and is not compared.
  private static func isSame(_ one: Resolver.Answer, _ two: Resolver.Answer?) -> Bool {
    switch (one, two) {
    case (.success(let one), .success(let two)): Set(one.addresses) == Set(two.addresses)
    case (.failure(let one), .failure(let two)): one == two
    default: false
    }
  }
}
