import ArgumentParser
import Net
import TLS

struct StreamsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "streams",
    abstract: "Put WebSockets over HTTP/2 (RFC 8441) on a server and measure it.",
    discussion: """
      Each WebSocket waits for its echo before it sends again (closed loop). What is reported of \
      connections is said of WebSockets: HTTP/2 connections there are so many for each --streams.
      """)

  @Option(
    help: ArgumentHelp(
      "ws://host:port/path, where HTTP/2 is spoken at once, or wss://…; / is the echo.",
      valueName: "url"))
  var to: String

  @Option(help: "echo or idle.")
  var work = Work.echo

  @Option(help: "HTTP/2 connections.")
  var connections = 1

  @Option(help: "WebSockets of each of them.")
  var streams = 64

  @Option(help: "Octets of a message.")
  var size = 32

  @Option(help: ArgumentHelp("PEM file with the authority to trust.", valueName: "file"))
  var ca: String?

  @OptionGroup var measuring: Measuring

  func validate() throws {
    guard Target(parsing: self.to) != nil else {
      throw ValidationError("\"\(self.to)\" is no URL: ws://127.0.0.1:9000/ is one")
    }
    try require(self.work == .echo || self.work == .idle, "--work: echo or idle")
    try require((1...10_000).contains(self.connections), "--connections: 1 to 10000")
    try require((1...1000).contains(self.streams), "--streams: 1 to 1000")
    try require((0...(1 << 20)).contains(self.size), "--size: 0 to 1048576")
  }

  func run() throws {
    _ = ProcessLimits.raiseDescriptorLimit()
    let plan = try self.plan()
    var generator = try StreamsGenerator(
      plan, messageByteCountMax: self.size, announce: self.measuring.announce)
    let tally = generator.run()
    let report = Report(plan: plan.load, tally: tally)
    say(self.measuring.json ? report.json : report.text)
    guard tally.isFlawless else { throw ExitCode.failure }
  }

  private func plan() throws -> StreamsPlan {
    guard let target = Target(parsing: self.to) else { throw ExitCode.validationFailure }
    let tls =
      target.isSecure
      ? try ClientContext(ca: self.ca, serverName: nil, offersHTTP2: true) : nil
    let load = Plan(
      work: self.work, direction: .up, sizes: .fixed(self.size),
      connectionCount: self.connections * self.streams, rate: nil,
      warmup: .seconds(self.measuring.warmup), duration: .seconds(self.measuring.time),
      address: try target.resolve(), tls: tls, host: target.host, authority: target.authority,
      target: target.path == "/" ? "/echo" : target.path)
    return StreamsPlan(load: load, streamCount: self.streams)
  }
}
