import ArgumentParser
import Configuration
import Edge
import Foundation
import Logging
import Net
import Synchronization
import Telemetry

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve as the configuration says.",
    discussion: """
      SIGTERM or SIGINT: stop accepting, let tunnels live for shutdown_grace, exit with 0. A second \
      signal exits at once.
      """)

  @OptionGroup var file: ConfigurationFile

  func run() throws { serve(try self.file.load()) }
}

/// Runs an edge until a signal ends it.
func serve(_ configuration: Configuration, banner: ([SocketAddress]) -> [String] = { _ in [] }) {
  let (log, output) = openLog(configuration.log)
  do {
    let edge = try Edge(configuration, log: log)
    for (address, listener) in zip(edge.addresses, configuration.listeners) {
      let scheme = listener.tls == nil ? "ws" : "wss"
      log.notice(
        "listening", metadata: ["address": "\(address)", "url": "\(scheme)://\(address)/"])
    }
    log.notice("ready", metadata: ["version": "\(Version.text)"])
    for line in banner(edge.addresses) { StandardStream.output.write(Array("\(line)\n".utf8)) }
    endOnSignal(edge, log, output)
    edge.waitUntilDone()
    log.notice("stopped")
    output.close()
  } catch {
    output.close()
    fail(["sluice: \(error)"])
  }
}

/// The log on standard error.
func openLog(_ rules: LogRules) -> (Logger, LogOutput) {
  guard let output = try? LogOutput(.error, format: rules.format) else {
    fail(["sluice: the log's thread cannot start"])
  }
  let log = Logger(label: "sluice") { _ in
    LineLogHandler(format: rules.format, level: rules.level, output: output)
  }
  return (log, output)
}

/// The first signal drains the edge, the second ends the process.
private func endOnSignal(_ edge: Edge, _ log: Logger, _ output: LogOutput) {
  let waiting = try? Thread.start(name: "signals") {
    let first = SignalWait.next()
    log.notice("draining", metadata: ["signal": "\(first)"])
    edge.drain()
    let second = nextSignal(after: .now())
    log.warning("ended before the drain was over", metadata: ["signal": "\(second)"])
    output.close(timeout: .milliseconds(200))
    ProcessLimits.exitNow(128 + second.number)
  }
  if waiting == nil { log.error("no thread waits for signals") }
}

/// The next signal that somebody means as one: timeout(1) and some shells send the first one twice,
/// to the process and to its group.
private func nextSignal(after first: Deadline) -> Signal {
  while true {
    let signal = SignalWait.next()
    if Deadline.now().duration(since: first) > .milliseconds(50) { return signal }
  }
}
