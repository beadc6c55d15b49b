import ArgumentParser
import Configuration
import Echo
import Logging
import Net
import Telemetry

struct Echo: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the demonstration backend, which sends every message back.")

  @Option(help: ArgumentHelp("The address to listen on, plain ws.", valueName: "address"))
  var listen = "127.0.0.1:9001"

  @Flag(help: "Write the log as JSON instead of text.")
  var json = false

  func run() throws {
    guard let address = SocketAddress(parsing: self.listen) else {
      throw ValidationError("\"\(self.listen)\" is no address: 127.0.0.1:9001 is one")
    }
    let rules = LogRules(format: self.json ? .json : .text)
    let output = openOutput(rules)
    let log = makeLogger(rules, output)
    do throws(Errno) {
      _ = try Thread.start(name: "signals") {
        let signal = SignalWait.next()
        log.notice("stopped", metadata: ["signal": "\(signal)"])
        output.close()
        ProcessLimits.exitNow(0)
      }
      try EchoServer.serve(on: address) { bound in
        log.notice("listening", metadata: ["address": "\(bound)", "url": "ws://\(bound)/"])
      }
    } catch {
      output.close()
      fail(["sluice: cannot listen on \(address): \(error)"])
    }
  }
}
