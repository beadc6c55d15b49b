public import Logging
public import Net

/// Reloads when one of the configuration's files has changed.
///
/// What counts is what the files hold: an event only says when to look. So renames by editors, links
/// that are swapped, and files that are written again as they were, all come out right.
public final class FileWatch: Sendable {
  private let reloader: Reloader
  private let watch: DirectoryWatch

  /// How long the files must be left alone before they are read: editors write in several steps.
  private static let quietTime = Duration.milliseconds(200)
  /// How long a directory that never comes to rest is waited for.
  private static let quietTimeMax = Duration.seconds(2)
  /// How soon it shows that other directories are to be watched, or that one can be watched again.
  private static let lookTime = Duration.seconds(5)

  /// Starts to watch.
  ///
  /// - Throws: what the system lacks.
  public static func start(
    _ reloader: Reloader, log: @escaping @Sendable () -> Logger
  ) throws(Errno) {
    let watch = FileWatch(reloader, try DirectoryWatch())
    try Thread.start(name: "files") { watch.run(log) }.detach()
  }

  private init(_ reloader: Reloader, _ watch: DirectoryWatch) {
    self.reloader = reloader
    self.watch = watch
  }

  private func run(_ log: () -> Logger) {
    var refused: Set<String> = []
    while true {
      let readingCount = self.reloader.readingCount
      let directories = self.reloader.directories()
      refused.formIntersection(directories)
      for path in directories { self.add(path, &refused, log) }
      // Before the first reading too: a write may have begun before the watch did.
      self.awaitQuiet()
      self.reloader.reloadIfChanged()
      self.awaitChange(since: readingCount, isWatchingAll: refused.isEmpty)
    }
  }

  /// Waits until a file may have changed, or other directories are to be watched: those that a reload
  /// named, whoever asked for it, or those that could not be watched before.
  private func awaitChange(since readingCount: Int, isWatchingAll: Bool) {
    repeat {
      guard self.reloader.readingCount == readingCount else { return }
      if self.watch.wait(timeout: Self.lookTime) { return }
    } while isWatchingAll
  }

  /// Watches a directory, again each time: one that was replaced is another one.
  private func add(_ path: String, _ refused: inout Set<String>, _ log: () -> Logger) {
    do throws(Errno) {
      try self.watch.add(path)
      refused.remove(path)
    } catch {
      guard refused.insert(path).inserted else { return }
      log().warning(
        "a directory cannot be watched", metadata: ["path": "\(path)", "reason": "\(error)"])
    }
  }

  private func awaitQuiet() {
    let end = Deadline.now().advanced(by: Self.quietTimeMax)
    while Deadline.now() < end, self.watch.wait(timeout: Self.quietTime) {}
  }
}
