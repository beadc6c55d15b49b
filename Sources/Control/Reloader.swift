public import Configuration
public import Edge
internal import Foundation
internal import Logging
public import Net
internal import Synchronization

/// Reads the configuration again and gives it to the edge: on a signal, on a request, or when a file
/// has changed.
public final class Reloader: Sendable {
  /// Why the configuration is read again.
  public enum Trigger: String, Sendable, Codable {
    /// SIGHUP.
    case signal
    /// One of its files has changed.
    case file
    /// The admin API.
    case request
  }

  /// What became of it.
  public enum Outcome: Sendable, Equatable {
    /// The edge runs with it.
    case adopted(Changes)
    /// Nothing has changed: everything that is wrong with it.
    case refused([String])
  }

  private let path: String
  private let environment: [String: String]
  private let surroundings: Surroundings
  private let edge: Edge
  private let webhooks: Webhooks
  private let notice: ServiceNotice
  /// What the files held when they were last read, good or bad; and whose turn it is.
  private let stamps: Mutex<[FileStamp]>
  /// What became of all readings so far.
  private let past = Mutex(History())

  /// - Parameters:
  ///   - path: the configuration file that the edge was started with.
  ///   - environment: the values of `${NAME}`, which never change while the process lives.
  ///   - surroundings: what configurations use while they are in force.
  ///   - webhooks: who is told of rooms by what the configuration says.
  ///   - notice: who is told that a reload begins and ends.
  public init(
    path: String, environment: [String: String], surroundings: Surroundings = Surroundings(),
    edge: Edge, webhooks: Webhooks, notice: ServiceNotice = ServiceNotice(socket: nil)
  ) {
    self.path = path
    self.environment = environment
    self.surroundings = surroundings
    self.edge = edge
    self.webhooks = webhooks
    self.notice = notice
    self.stamps = Mutex(edge.configuration.files)
  }

  /// Reads the file now. One after the other, whoever asks; it may take seconds where names of servers
  /// have to be resolved.
  @discardableResult
  public func reload(because trigger: Trigger) -> Outcome {
    self.stamps.withLock { stamps in
      self.notice.reloading()
      // Before the reading: what changes during it is seen as a change later.
      stamps = stamps.map { FileStamp(of: $0.path) }
      let outcome = self.outcome(&stamps)
      self.past.withLock { $0.add(outcome, trigger) }
      self.note(outcome, trigger)
      self.notice.ready(status: outcome.status)
      return outcome
    }
  }

  private func outcome(_ stamps: inout [FileStamp]) -> Outcome {
    // Also where it is refused: what it alone names is forgotten.
    defer {
      self.surroundings.keySets.serve(self.edge)
      self.webhooks.adopt(self.edge.configuration, self.edge.log)
    }
    do {
      let configuration = try Configuration.load(
        path: self.path, environment: self.environment, surroundings: self.surroundings)
      self.webhooks.prepare(configuration)
      let changes = try self.edge.adopt(configuration)
      stamps = configuration.files
      return .adopted(changes)
    } catch let error as ConfigurationErrors {
      return .refused(error.problems.map(\.description))
    } catch {
      return .refused(["\(error)"])
    }
  }

  private func note(_ outcome: Outcome, _ trigger: Trigger) {
    let log = self.edge.log
    switch outcome {
    case .adopted(let changes):
      log.notice(
        "reloaded", metadata: ["trigger": "\(trigger.rawValue)", "changes": "\(changes)"])
    case .refused(let problems):
      for problem in problems { log.error("configuration", metadata: ["problem": "\(problem)"]) }
      log.error(
        "reload refused: the edge goes on with the configuration it has",
        metadata: ["trigger": "\(trigger.rawValue)", "problems": "\(problems.count)"])
    }
  }

  /// The directories in which a change of a file can show: those of the files as they are named, and
  /// those to which links lead.
  func directories() -> Set<String> {
    let paths = self.stamps.withLock { $0.map(\.path) }
    return paths.reduce(into: []) { directories, path in
      let named = URL(fileURLWithPath: path)
      directories.insert(named.deletingLastPathComponent().path)
      directories.insert(named.resolvingSymlinksInPath().deletingLastPathComponent().path)
    }
  }

  /// How often the configuration was read again. Where it is as before, so are ``directories()``.
  var readingCount: Int { self.past.withLock { $0.adoptedCount + $0.refusedCount } }

  /// What became of the readings so far.
  var history: History { self.past.withLock { $0 } }

  /// Reads the configuration again if its files are not what they were.
  func reloadIfChanged() {
    let isChanged = self.stamps.withLock { $0.contains { FileStamp(of: $0.path) != $0 } }
    if isChanged { self.reload(because: .file) }
  }
}

extension Reloader.Outcome {
  /// A line for the supervisor.
  fileprivate var status: String {
    switch self {
    case .adopted: "serving"
    case .refused: "serving with the configuration before; the present file is refused"
    }
  }
}

extension Reloader {
  /// What became of readings.
  struct History: Sendable {
    /// One of them.
    struct Entry: Sendable {
      /// As in `2026-01-31T12:00:00.123Z`.
      let time: String
      let trigger: Trigger
      let outcome: Outcome

      var isGood: Bool { if case .adopted = self.outcome { true } else { false } }
    }

    private(set) var adoptedCount = 0
    private(set) var refusedCount = 0
    private(set) var last: Entry?

    mutating func add(_ outcome: Outcome, _ trigger: Trigger) {
      let entry = Entry(time: WallClock.now().timestamp, trigger: trigger, outcome: outcome)
      if entry.isGood { self.adoptedCount += 1 } else { self.refusedCount += 1 }
      self.last = entry
    }
  }
}
