internal import Net
internal import Synchronization

/// Where names are asked for, and who hears of the answers.
struct NameSource: Sendable {
  let question: Resolver.Question
  let lifetime: Resolver.LifetimeQuestion
  let observe: Resolver.Observer
}

/// One name, the groups that use it, and the thread that asks for it.
final class NameWatch: Sendable {
  private struct State {
    /// None after the end.
    var users: [Group]
    /// The last good answer.
    var addresses: [IPAddress]?
  }

  private let name: String
  private let source: NameSource
  /// The lock is held while groups are told, so that nobody tells them an older answer later.
  private let state: Mutex<State>
  private let ended: Alarm
  /// Rung after the first answer, good or bad, and at the end.
  let answered: Alarm

  /// A watch whose thread is not running yet.
  ///
  /// - Parameter users: at least one.
  init(_ name: String, of source: NameSource, for users: [Group]) throws(Errno) {
    self.name = name
    self.source = source
    self.state = Mutex(State(users: users))
    self.ended = try Alarm()
    self.answered = try Alarm()
  }

  func start() throws(Errno) {
    try Thread.start(name: "resolver") { self.run() }.detach()
  }

  /// Tells these groups instead of those before, at once if there is something to tell.
  func serve(_ users: [Group]) {
    self.state.withLock { state in
      state.users = users
      guard let addresses = state.addresses else { return }
      for group in users { group.update(self.name, to: addresses) }
    }
  }

  /// Ends the thread, after the question that it may be asking: the answer reaches nobody.
  func end() {
    self.state.withLock { $0.users = [] }
    self.ended.ring()
    self.answered.ring()
  }

  private func run() {
    var last: Resolver.Answer?
    var pause = Resolver.retryInterval
    repeat {
      let answer = self.ask()
      guard self.tell(answer) else { return }
      if !Self.isSame(answer, last) { self.source.observe(self.name, answer) }
      last = answer
      self.answered.ring()
      pause = Resolver.pause(after: self.withLifetime(answer))
    } while !self.ended.wait(timeout: pause)
  }

  private func ask() -> Resolver.Answer {
    do throws(NameFault) {
      return .success(try self.source.question(self.name))
    } catch {
      return .failure(error)
    }
  }

  /// Gives the groups the addresses of a good answer; `false` where nobody uses the name any
  /// longer.
  private func tell(_ answer: Resolver.Answer) -> Bool {
    self.state.withLock { state in
      if case .success(let found) = answer {
        state.addresses = found.addresses
        for group in state.users { group.update(self.name, to: found.addresses) }
      }
      return !state.users.isEmpty
    }
  }

  /// The answer, with its lifetime where that could be found out. Name servers that do not answer
  /// hold up nobody here: the addresses are in use already.
  private func withLifetime(_ answer: Resolver.Answer) -> Resolver.Answer {
    guard case .success(let found) = answer, found.lifetime == nil else { return answer }
    return .success(
      NameAnswer(addresses: found.addresses, lifetime: self.source.lifetime(self.name)))
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
