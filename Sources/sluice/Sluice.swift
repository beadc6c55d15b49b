import ArgumentParser
import Net

/// The command line. Each command has a file of its own.
@main
struct Sluice: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "A WebSocket edge: tunnels to backends, and rooms for WebRTC signaling.",
    discussion: """
      Try it without a configuration:
        sluice echo --listen 127.0.0.1:9001
        sluice proxy --to ws://127.0.0.1:9001
        sluice rooms
      """,
    version: Version.text,
    subcommands: [
      Run.self, Check.self, Reload.self, Top.self, Proxy.self, RoomsCommand.self, TokenCommand.self,
      Echo.self,
      VersionCommand.self,
    ])

  static func main() {
    // Before anything starts a thread: all of them inherit the mask.
    SignalWait.block()
    self.main(nil)
  }
}

/// What this binary is.
enum Version {
  static let text = "0.1.0"
}

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the version.")

  func run() { print("sluice \(Version.text)") }
}
