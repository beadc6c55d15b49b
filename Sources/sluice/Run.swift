import ArgumentParser
import Configuration
import Control
import Edge
import Foundation
import Logging
import Net
import Telemetry

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve as the configuration says.",
    discussion: """
      The configuration is read again on SIGHUP and when one of its files changes: a file with an \
      error changes nothing.

      SIGTERM or SIGINT: stop accepting, let tunnels live for shutdown_grace, exit with 0. A second \
      signal exits at once.

      SIGUSR2: start the program anew and give it the listening sockets; end as with SIGTERM when \
      the new process serves. Nobody who connects is refused.
      """)

  @OptionGroup var file: ConfigurationFile

  @Flag(help: "Read the configuration again on SIGHUP alone, not when a file changes.")
  var noWatch = false

  func run() throws {
    let web = WebClient()
    let surroundings = Surroundings(web: web)
    serve(
      try self.file.load(surroundings), surroundings, file: self.file.config,
      watchesFiles: !self.noWatch)
    web.shutDown()
  }
}

/// How long the end of the process waits for webhooks that are still to be told something.
private let lastDeliveriesTimeout = Duration.seconds(3)

/// Runs an edge until a signal ends it.
///
/// - Parameters:
///   - surroundings: what the configuration was read with.
///   - file: where the configuration is read again; `nil` where there is no file.
func serve(
  _ configuration: Configuration, _ surroundings: Surroundings = Surroundings(),
  file: String? = nil, watchesFiles: Bool = false,
  banner: ([SocketAddress]) -> [String] = { _ in [] }
) {
  let output = openOutput(configuration.log)
  let environment = ProcessInfo.processInfo.environment
  let inheritance = Inheritance.take(from: environment)
  let notice = ServiceNotice(socket: environment["NOTIFY_SOCKET"])
  do {
    let secret = Handover.secret(from: inheritance.predecessor)
    let webhooks = Webhooks(
      configuration, web: surroundings.web, version: Version.text,
      log: makeLogger(configuration.log, output))
    let edge = try Edge(
      configuration, inherited: inheritance.listeners, secret: secret,
      observeRooms: { webhooks.note($0, $1) }, makeLogger: { makeLogger($0, output) })
    let reloader = file.map {
      Reloader(
        path: $0, environment: environment, surroundings: surroundings, edge: edge,
        webhooks: webhooks, notice: notice)
    }
    surroundings.keySets.serve(edge)
    if watchesFiles, let reloader { try FileWatch.start(reloader) { edge.log } }
    let handover = ProcessLimits.programPath().map { program in
      Handover(
        edge: edge, program: program, arguments: CommandLine.arguments, environment: environment,
        secret: secret)
    }
    let admin = configuration.admin.map { rules in
      AdminServer(
        rules, edge: edge, reloader: reloader, webhooks: webhooks, version: Version.text,
        isPatient: inheritance.predecessor != nil
      ) {
        notice.stopping()
        edge.drain()
      }
    }
    obeySignals(edge, reloader, handover, admin, notice, output)
    announce(edge)
    for line in banner(edge.addresses) { StandardStream.output.write(Array("\(line)\n".utf8)) }
    tellOthers(inheritance.predecessor, notice, edge)
    edge.waitUntilDone()
    webhooks.finish(within: lastDeliveriesTimeout)
    edge.log.notice("stopped")
    output.close()
  } catch {
    output.close()
    fail(["sluice: \(error)"])
  }
}

private func announce(_ edge: Edge) {
  for (address, listener) in zip(edge.addresses, edge.configuration.listeners) {
    let scheme = listener.tls == nil ? "ws" : "wss"
    edge.log.notice(
      "listening", metadata: ["address": "\(address)", "url": "\(scheme)://\(address)/"])
  }
  let pid = ProcessInfo.processInfo.processIdentifier
  edge.log.notice("ready", metadata: ["version": "\(Version.text)", "pid": "\(pid)"])
}

/// Says that this process serves: to the one whose place it takes, and to the supervisor.
private func tellOthers(_ predecessor: SuccessionChannel?, _ notice: ServiceNotice, _ edge: Edge) {
  guard let predecessor else { return notice.ready(status: "serving") }
  Handover.finish(predecessor, edge)
  notice.succeeded(status: "serving")
}

/// The log on standard error.
func openOutput(_ rules: LogRules) -> LogOutput {
  guard let output = try? LogOutput(.error, format: rules.format) else {
    fail(["sluice: the log's thread cannot start"])
  }
  return output
}

/// The logger that a configuration asks for.
func makeLogger(_ rules: LogRules, _ output: LogOutput) -> Logger {
  Logger(label: "sluice") { _ in
    LineLogHandler(format: rules.format, level: rules.level, output: output)
  }
}

/// Does what signals ask for, for as long as the process lives.
private func obeySignals(
  _ edge: Edge, _ reloader: Reloader?, _ handover: Handover?, _ admin: AdminServer?,
  _ notice: ServiceNotice, _ output: LogOutput
) {
  let waiting = try? Thread.start(name: "signals") {
    var signal = SignalWait.next()
    // Without a file to read again, SIGHUP is what it is by default: the terminal is gone.
    while !signal.endsProcess, signal != .hangup || reloader != nil {
      obey(signal, edge, reloader, handover, admin)
      signal = SignalWait.next()
    }
    edge.log.notice("draining", metadata: ["signal": "\(signal)"])
    notice.stopping()
    edge.drain()
    let second = nextEnd(after: .now())
    edge.log.warning("ended before the drain was over", metadata: ["signal": "\(second)"])
    output.close(timeout: .milliseconds(200))
    ProcessLimits.exitNow(128 + second.number)
  }
  if waiting == nil { edge.log.error("no thread waits for signals") }
}

/// A signal that does not end the process. What takes time has a thread of its own: the next signal may
/// be one that does.
private func obey(
  _ signal: Signal, _ edge: Edge, _ reloader: Reloader?, _ handover: Handover?,
  _ admin: AdminServer?
) {
  let work: @Sendable () -> Void
  switch signal {
  case .hangup: work = { _ = reloader?.reload(because: .signal) }
  case .succeed: work = { if handover?.run() == true { admin?.stop() } }
  case .interrupt, .terminate: return
  }
  do {
    try Thread.start(name: "\(signal)", work).detach()
  } catch {
    edge.log.error("no thread", metadata: ["signal": "\(signal)", "reason": "\(error)"])
  }
}

/// The next signal that somebody means as an end: timeout(1) and some shells send the first one twice,
/// to the process and to its group.
private func nextEnd(after first: Deadline) -> Signal {
  while true {
    let signal = SignalWait.next()
    guard signal.endsProcess else { continue }
    if Deadline.now().duration(since: first) > .milliseconds(50) { return signal }
  }
}
