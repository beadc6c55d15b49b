import ArgumentParser
import Configuration
import Control
import Foundation

struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Have a running edge read its configuration again.",
    discussion: """
      The edge is asked at the admin address that the file names, with the token that stands there. \
      Exits with 0 where the edge runs with the new configuration, and with 1 where it does not, \
      with everything that is wrong.
      """)

  @OptionGroup var file: ConfigurationFile

  func run() throws {
    let client = AdminClient(try self.file.adminRules())
    switch client.call("POST", "/reload") {
    case .success(let answer) where answer.status == 200:
      print("reloaded: \(answer.text("changes") ?? "nothing")")
    case .success(let answer):
      fail(answer.texts("problems") ?? ["sluice: \(answer.text("reason") ?? "\(answer.status)")"])
    case .failure(let failure): fail(["sluice: \(failure.reason)"])
    }
  }
}

extension ConfigurationFile {
  /// Where the edge is asked; the rest of the file may have errors. Where there is none, ends with 1.
  func adminRules() throws -> AdminRules {
    do throws(ConfigurationErrors) {
      let rules = try Configuration.admin(
        path: self.config, environment: ProcessInfo.processInfo.environment)
      if let rules { return rules }
    } catch {
      fail(error.problems.map(\.description))
    }
    fail(["sluice: \(self.config) names no admin address"])
  }
}
