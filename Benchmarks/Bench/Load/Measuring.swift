import ArgumentParser
import Net

/// How long a generator of load measures, and how it tells: what all of them are asked.
struct Measuring: ParsableArguments {
  @Option(help: "Seconds that are measured.")
  var time = 5.0

  @Option(help: "Seconds before that.")
  var warmup = 1.0

  @Flag(help: "Print one JSON object.")
  var json = false

  @Flag(help: "Print \"begin\" and \"end\" when measuring begins and ends.")
  var marks = false

  func validate() throws {
    try require((0.01...3600).contains(self.time), "--time: 0.01 to 3600")
    try require((0...3600).contains(self.warmup), "--warmup: 0 to 3600")
  }

  /// Tells that a stage begins, where that was asked for.
  func announce(_ stage: Stage) {
    if self.marks { say(stage == .measuring ? "begin" : "end") }
  }
}

/// Writes a line to standard output at once.
func say(_ line: String) { StandardStream.output.write(Array("\(line)\n".utf8)) }

/// Refuses a command line for which something does not hold.
func require(_ isMet: Bool, _ message: String) throws {
  guard isMet else { throw ValidationError(message) }
}
