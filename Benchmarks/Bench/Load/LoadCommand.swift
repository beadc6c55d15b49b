import ArgumentParser
import Net
import TLS

struct LoadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Put load on a WebSocket server and measure it.",
    discussion: """
      Without --rate each connection waits for its echo before it sends again (closed loop); the \
      latency is then shown as it was and, as "corrected", with what the waiting has hidden. With \
      --rate messages have an intended time of sending, and latency counts from there.
      """)

  @Option(
    help: ArgumentHelp(
      "ws://host:port/path or wss://…; the path / is the work's own.", valueName: "url"))
  var to: String

  @Option(help: "echo, mixed, stream, churn or idle.")
  var work = Work.echo

  @Option(help: "Which way a stream goes: up or down.")
  var direction = Direction.up

  @Option(help: "Connections.")
  var connections = 64

  @Option(help: "Octets of a message.")
  var size = 32

  @Option(help: "Messages a second, of all connections together: an open loop.")
  var rate: UInt64?

  @Option(help: ArgumentHelp("PEM file with the authority to trust.", valueName: "file"))
  var ca: String?

  @OptionGroup var measuring: Measuring

  func validate() throws {
    guard Target(parsing: self.to) != nil else {
      throw ValidationError("\"\(self.to)\" is no URL: ws://127.0.0.1:9000/ is one")
    }
    try require((1...65_536).contains(self.connections), "--connections: 1 to 65536")
    try require((0...(1 << 30)).contains(self.size), "--size: 0 to 1073741824")
    guard let rate = self.rate else { return }
    try require((1...Schedule.rateMax).contains(rate), "--rate: 1 to \(Schedule.rateMax)")
    try require(self.work == .echo || self.work == .mixed, "--rate is for echo and mixed")
  }

  func run() throws {
    _ = ProcessLimits.raiseDescriptorLimit()
    let plan = try self.plan()
    var generator = try Generator(plan, announce: self.measuring.announce)
    let tally = generator.run()
    let report = Report(plan: plan, tally: tally)
    say(self.measuring.json ? report.json : report.text)
    guard tally.isFlawless else { throw ExitCode.failure }
  }

  private func plan() throws -> Plan {
    guard let target = Target(parsing: self.to) else { throw ExitCode.validationFailure }
    return Plan(
      work: self.work, direction: self.direction,
      sizes: self.work == .mixed ? .mixed : .fixed(self.size),
      connectionCount: self.connections, rate: self.rate,
      warmup: .seconds(self.measuring.warmup), duration: .seconds(self.measuring.time),
      address: try target.resolve(),
      tls: target.isSecure ? try ClientContext(ca: self.ca, serverName: nil) : nil,
      host: target.host, authority: target.authority,
      target: target.path == "/" ? self.ownPath : target.path)
  }

  /// What the backend serves for the work.
  private var ownPath: String {
    guard self.work == .stream else { return "/echo" }
    return self.direction == .up ? "/sink" : "/source?size=\(self.size)"
  }
}

extension Work: ExpressibleByArgument {}
extension Direction: ExpressibleByArgument {}
