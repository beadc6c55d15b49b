import ArgumentParser
import Net

struct RoomsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rooms", abstract: "Put peers into rooms of a signaling relay and measure it.",
    discussion: """
      Try it:
        sluice rooms --listen 127.0.0.1:9000 &
        bench rooms --to ws://127.0.0.1:9000/rooms/ --work latency --peers 400 --rate 2000
      """)

  @Option(
    help: ArgumentHelp("ws://host:port/path/, in front of rooms' names.", valueName: "url"))
  var to: String

  @Option(help: "latency, throughput, idle or join.")
  var work = RoomsWork.latency

  @Option(help: "Peers; those of join come as the rate and the time have it.")
  var peers = 400

  @Option(help: "Peers of a room.")
  var roomSize = 4

  @Option(help: "Octets of a signal's data.")
  var size = 300

  @Option(help: "Signals of latency, or joins, a second.")
  var rate: UInt64 = 1000

  @Option(help: "Signals of throughput that each peer has under way.")
  var underWay = 1

  @Flag(help: "Give signals an id, so that the relay answers each.")
  var ack = false

  @OptionGroup var measuring: Measuring

  /// Peers that one address can have connections for, with ports to spare.
  private static let peerCountMax = 60_000

  func validate() throws {
    guard let target = Target(parsing: self.to), !target.isSecure, target.path.hasSuffix("/") else {
      throw ValidationError("--to: ws://127.0.0.1:9000/rooms/ is such a URL; wss is not spoken")
    }
    try require((2...1000).contains(self.roomSize), "--room-size: 2 to 1000")
    try require((1...Self.peerCountMax).contains(self.peers), "--peers: 1 to 60000")
    try require(self.peers.isMultiple(of: self.roomSize), "--peers: rooms have to be full")
    let sizes = RoomsWords.dataByteCountMin...8192
    try require(sizes.contains(self.size), "--size: \(sizes.lowerBound) to 8192")
    try require((1...Schedule.rateMax).contains(self.rate), "--rate: 1 to 1000000")
    try require((1...100).contains(self.underWay), "--under-way: 1 to 100")
    try require(
      self.peerCount <= Self.peerCountMax, "--rate, --time: over \(Self.peerCountMax) joins")
  }

  /// Peers that there are in the end, in full rooms.
  private var peerCount: Int {
    guard self.work == .join else { return self.peers }
    let joins = (Double(self.rate) * (self.measuring.warmup + self.measuring.time)).rounded(.up)
    return (Int(joins) / self.roomSize + 1) * self.roomSize
  }

  func run() throws {
    _ = ProcessLimits.raiseDescriptorLimit()
    let plan = try self.plan()
    var generator = try RoomsGenerator(plan, announce: self.measuring.announce)
    let tally = generator.run()
    let report = RoomsReport(plan: plan, tally: tally)
    say(self.measuring.json ? report.json : report.text)
    guard tally.isFlawless else { throw ExitCode.failure }
  }

  private func plan() throws -> RoomsPlan {
    guard let target = Target(parsing: self.to) else { throw ExitCode.validationFailure }
    return RoomsPlan(
      work: self.work, peerCount: self.peerCount, roomSize: self.roomSize,
      dataByteCount: self.size, rate: self.rate, underWay: self.underWay, wantsAcks: self.ack,
      warmup: .seconds(self.measuring.warmup), duration: .seconds(self.measuring.time),
      address: try target.resolve(), authority: target.authority, path: target.path)
  }
}

extension RoomsWork: ExpressibleByArgument {}
