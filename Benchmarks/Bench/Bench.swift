import ArgumentParser

/// The benchmark's parts. `Benchmarks/run` starts them; each can also be used by itself.
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Load, a backend and a bare relay, to measure WebSocket proxies with.",
    discussion: """
      Try it without a proxy:
        bench backend --listen 127.0.0.1:9000 &
        bench load --to ws://127.0.0.1:9000/ --work echo --connections 64 --size 32 --time 2
      """,
    subcommands: [
      LoadCommand.self, StreamsCommand.self, RoomsCommand.self, BackendCommand.self,
      RelayCommand.self, TimersCommand.self,
    ])
}
