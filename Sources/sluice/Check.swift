import ArgumentParser
import Configuration
import Foundation

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a configuration and print everything that is wrong with it.",
    discussion: """
      Exits with 0 where the configuration can be used, certificates and keys included, and with \
      1 where it cannot. Each problem stands on a line of its own: file:line: key: what is wrong.
      """)

  @OptionGroup var file: ConfigurationFile

  func run() throws {
    let configuration = try self.file.load()
    let counts = [
      Self.count(configuration.listeners.count, "listener"),
      Self.count(configuration.routes.count, "route"),
      Self.count(configuration.upstreams.count, "upstream"),
    ]
    print("\(self.file.config): ok, \(counts.joined(separator: ", "))")
  }

  private static func count(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}

/// The option that names the configuration, and what is done with it.
struct ConfigurationFile: ParsableArguments {
  @Option(name: [.short, .long], help: ArgumentHelp("The configuration file.", valueName: "file"))
  var config: String

  init() {}

  init(config: String) { self.config = config }

  /// Reads and checks the file; where it is wrong, prints why and ends with 1.
  ///
  /// - Parameter surroundings: what the configuration uses while it is in force; nothing where it never
  ///   will be.
  func load(_ surroundings: Surroundings = Surroundings()) throws -> Configuration {
    do throws(ConfigurationErrors) {
      return try Configuration.load(
        path: self.config, environment: ProcessInfo.processInfo.environment,
        surroundings: surroundings)
    } catch {
      fail(error.problems.map(\.description))
    }
  }
}

/// Ends the process with 1 and these lines on standard error.
func fail(_ lines: [String]) -> Never {
  FileHandle.standardError.write(Data(lines.map { "\($0)\n" }.joined().utf8))
  Foundation.exit(1)
}
