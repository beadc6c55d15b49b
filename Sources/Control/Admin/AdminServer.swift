public import Configuration
public import Edge
internal import Foundation
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Net
internal import ServiceLifecycle

/// The admin listener while it serves.
public final class AdminServer: Sendable {
  private let task: Task<Void, Never>

  /// How long an address is tried that a process before this one may still have.
  private static let bindTimeout = Duration.seconds(15)
  private static let bindInterval = Duration.milliseconds(100)

  /// Starts to serve; returns at once.
  ///
  /// - Parameters:
  ///   - reloader: `nil` where there is no configuration file.
  ///   - webhooks: what they were told stands in the metrics.
  ///   - version: what runs.
  ///   - isPatient: whether somebody else may have the address for a few seconds more.
  ///   - drain: begins the end of the process.
  public init(
    _ rules: AdminRules, edge: Edge, reloader: Reloader?, webhooks: Webhooks, version: String,
    isPatient: Bool, drain: @escaping @Sendable () -> Void
  ) {
    let api = AdminAPI(
      edge: edge, reloader: reloader, webhooks: webhooks, version: version,
      startSecond: WallClock.now().secondsSince1970, drain: drain)
    let end = Deadline.now().advanced(by: isPatient ? Self.bindTimeout : .zero)
    self.task = Task { await Self.run(api, rules, until: end) }
  }

  /// Lets the address go, and cuts off who asks at the moment.
  public func stop() { self.task.cancel() }

  private static func run(_ api: AdminAPI, _ rules: AdminRules, until end: Deadline) async {
    while !Task.isCancelled {
      do {
        return try await Self.serve(api, rules)
      } catch {
        guard !Task.isCancelled, Deadline.now() < end else {
          if !Task.isCancelled {
            api.edge.log.error(
              "the admin listener ended",
              metadata: ["address": "\(rules.address)", "reason": "\(error)"])
          }
          return
        }
        try? await Task.sleep(for: Self.bindInterval)
      }
    }
  }

  private static func serve(_ api: AdminAPI, _ rules: AdminRules) async throws {
    var log = api.edge.log
    // Whoever scrapes the metrics is not worth a line each time.
    log.logLevel = .critical
    let edge = api.edge
    let application = Application(
      router: api.router(),
      server: HTTPServerBuilder { responder in
        AdminChannel(
          responder: responder,
          refusal: { $0.failure(edge.configuration.admin, isOpen: false) },
          message: { Array((try? Response.encoded(api.stats())) ?? Data()) })
      },
      configuration: ApplicationConfiguration(address: rules.address.bindAddress),
      onServerRunning: { Self.announce($0, rules, edge) },
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), logger: log)
    let group = ServiceGroup(
      configuration: .init(services: [application], gracefulShutdownSignals: [], logger: log))
    try await group.run()
  }

  private static func announce(_ channel: any Channel, _ rules: AdminRules, _ edge: Edge) {
    var address = rules.address
    if case .ip(let ip, _) = address, let port = channel.localAddress?.port {
      address = .ip(ip, port: UInt16(clamping: port))
    }
    edge.log.notice("admin", metadata: ["address": "\(address)", "url": "http://\(address)/"])
  }
}

extension Net.SocketAddress {
  fileprivate var bindAddress: BindAddress {
    switch self {
    case .ip(let address, let port): .hostname("\(address)", port: Int(port))
    case .unix(let path): .unixDomainSocket(path: path)
    }
  }
}
