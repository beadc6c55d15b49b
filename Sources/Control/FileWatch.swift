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
      for path in self.reloader.directories() {
        do throws(Errno) {
          // Again each time: a directory that was replaced is another one.
          try self.watch.add(path)
          refused.remove(path)
        } catch {
          guard refused.insert(path).inserted else { continue }
          log().warning(
            "a directory cannot be watched", metadata: ["path": "\(path)", "reason": "\(error)"])
        }
      }
      self.reloader.reloadIfChanged()
      guard self.watch.wait(timeout: refused.isEmpty ? nil : .seconds(5)) else { continue }
      self.awaitQuiet()
    }
  }

  private func awaitQuiet() {
    let end = Deadline.now().advanced(by: Self.quietTimeMax)
    while Deadline.now() < end, self.watch.wait(timeout: Self.quietTime) {}
  }
}
