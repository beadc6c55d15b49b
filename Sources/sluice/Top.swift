import ArgumentParser
import Control
import Foundation
import Net

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch a running edge in the terminal.",
    discussion: """
      Shows connections, rates, routes and servers, once a second, until Ctrl-C. The edge is asked at \
      the admin address that the file names.
      """)

  @OptionGroup var file: ConfigurationFile

  @Flag(help: "Print once, and end: counts instead of rates.")
  var once = false

  func run() throws {
    let client = AdminClient(try self.file.adminRules())
    var before: StatsTable?
    repeat {
      let table = try self.ask(client)
      let isTerminal = isatty(STDOUT_FILENO) == 1
      // Home, and what is left of the page before is cleared behind the new one.
      let (begin, end) = isTerminal && !self.once ? ("\u{1B}[H", "\u{1B}[J") : ("", "")
      print(begin + table.text(since: before, clearsLines: isTerminal && !self.once) + end)
      before = table
    } while !self.once && !Self.isEnded(within: .seconds(1))
  }

  private func ask(_ client: AdminClient) throws -> StatsTable {
    switch client.call("GET", "/stats") {
    case .success(let answer) where answer.status == 200:
      guard let table = StatsTable(json: answer.octets) else {
        fail(["sluice: what the edge answers is not what this version understands"])
      }
      return table
    case .success(let answer): fail(["sluice: \(answer.text("reason") ?? "\(answer.status)")"])
    case .failure(let failure): fail(["sluice: \(failure.reason)"])
    }
  }

  /// Whether a signal came: they are blocked for the whole program.
  private static func isEnded(within timeout: Duration) -> Bool {
    SignalWait.next(within: timeout)?.endsProcess ?? false
  }
}
