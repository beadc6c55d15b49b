internal import Configuration
internal import Edge
internal import Foundation
internal import Hummingbird
internal import NIOCore
internal import Net
internal import Telemetry
internal import Upstream
internal import WebSocket

/// What operators ask of the edge, and what they tell it. docs/admin.md and openapi.json describe it.
struct AdminAPI: Sendable {
  let edge: Edge
  /// `nil` where there is no file to read again.
  let reloader: Reloader?
  let webhooks: Webhooks
  let version: String
  /// When the process began, since 1970.
  let startSecond: Double
  /// Begins the end of the process.
  let drain: @Sendable () -> Void

  /// The longest body of a request, in octets.
  static let bodyByteCountMax = 64 * 1024

  func router() -> Router<BasicRequestContext> {
    let router = Router()
    router.add(middleware: AdminGuard(edge: self.edge))
    self.addPages(to: router)
    self.addProbes(to: router)
    self.addInspection(to: router)
    self.addActions(to: router)
    self.addRooms(to: router)
    return router
  }

  /// Everything at this moment.
  func stats() -> Stats {
    let rules = self.edge.configuration.listeners
    let listeners = zip(self.edge.addresses, rules).map { address, rules in
      Stats.Listener(address: "\(address)", scheme: rules.tls == nil ? "ws" : "wss")
    }
    return Stats(
      self.edge.read(), self.process, listeners, self.reloader?.history.last)
  }

  private var process: ProcessReading {
    ProcessReading(version: self.version, startSecond: self.startSecond)
  }
}

// MARK: - Pages

extension AdminAPI {
  private func addPages(to router: Router<BasicRequestContext>) {
    router.get("/") { _, _ in
      Response(
        text: Dashboard.page, type: "text/html; charset=utf-8",
        fields: [
          .contentSecurityPolicy: "default-src 'none'; script-src 'unsafe-inline'; "
            + "style-src 'unsafe-inline'; connect-src 'self' ws: wss:; img-src data:; "
            + "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ])
    }
    router.get("/openapi.json") { _, _ in
      Response(text: OpenAPI.document, type: "application/json")
    }
    router.get("/metrics") { _, _ in
      let page = MetricsPage(
        self.edge.read(), self.process, self.reloader?.history, self.webhooks.read())
      return Response(text: page.text, type: MetricsPage.contentType)
    }
    router.get("/config") { _, _ in
      let text = self.edge.configuration.text
      return Response(text: text.isEmpty ? "{}" : text, type: "application/json")
    }
  }

  private func addProbes(to router: Router<BasicRequestContext>) {
    router.get("/healthz") { _, _ in Response(json: ["status": "alive"]) }
    router.get("/readyz") { _, _ in
      let reading = self.edge.read()
      let idle = reading.upstreams.filter { upstream in
        !upstream.isServing
          && reading.routes.contains { $0.isPresent && $0.upstream == upstream.rules.name }
      }
      guard !reading.isDraining, idle.isEmpty else {
        let reason =
          reading.isDraining
          ? "the edge is about to stop"
          : "no server is healthy: \(idle.map(\.rules.name).joined(separator: ", "))"
        return Response(.serviceUnavailable, json: Failure(error: "not_ready", reason: reason))
      }
      return Response(json: ["status": "ready"])
    }
  }

  private func addInspection(to router: Router<BasicRequestContext>) {
    router.get("/stats") { _, _ in Response(json: self.stats()) }
    router.get("/routes") { _, _ in
      Response(json: ["routes": self.edge.read().routes.map(Stats.Route.init)])
    }
    router.get("/upstreams") { _, _ in
      Response(json: ["upstreams": self.edge.read().upstreams.map(Stats.Upstream.init)])
    }
    router.get("/connections") { request, _ in
      let query = try TunnelQuery(request, known: ["sort", "limit"])
      let order = try query.order()
      let tunnels = await self.edge.tunnels(
        query.filter, by: order, limit: try query.limit())
      return Response(
        json: TunnelList(total: tunnels.count, connections: tunnels.first.map(ListedTunnel.init)))
    }
  }
}

// MARK: - Actions

extension AdminAPI {
  private func addActions(to router: Router<BasicRequestContext>) {
    router.delete("/connections/:id") { request, context in
      let query = try TunnelQuery(request, known: ["code", "reason"])
      guard let id = TunnelID(try context.parameters.require("id")),
        await self.edge.closeTunnel(id, code: try query.code(), words: try query.words())
      else { throw Failure(.notFound, "no_such_connection", "No tunnel has this id.") }
      return Response(.accepted, json: ["closed": 1])
    }
    router.delete("/connections") { request, _ in
      let query = try TunnelQuery(request, known: ["code", "reason"])
      guard !query.filter.isEmpty else {
        throw Failure(
          .badRequest, "no_filter",
          "One of subject, route and address is needed: all tunnels "
            + "would be closed.")
      }
      let count = await self.edge.closeTunnels(
        query.filter, code: try query.code(), words: try query.words())
      return Response(json: ["closed": count])
    }
    router.post("/drain") { _, _ in
      self.drain()
      return Response(.accepted, json: ["status": "draining"])
    }
    router.post("/reload") { _, _ in try await self.reload() }
    router.post("/upstreams/:upstream/servers/:server") { request, context in
      let server = try self.server(
        try context.parameters.require("server"), of: try context.parameters.require("upstream"))
      try await ServerChange(request).apply(to: server)
      return Response(json: ["upstreams": self.edge.read().upstreams.map(Stats.Upstream.init)])
    }
  }

  /// Reading the file may block for seconds, and has a thread of its own.
  private func reload() async throws -> Response {
    guard let reloader = self.reloader else {
      throw Failure(.conflict, "no_file", "There is no configuration file to read again.")
    }
    let outcome = await withCheckedContinuation { continuation in
      do {
        try Thread.start(name: "reload") {
          continuation.resume(returning: reloader.reload(because: .request))
        }.detach()
      } catch {
        continuation.resume(returning: .refused(["no thread: \(error)"]))
      }
    }
    switch outcome {
    case .adopted(let changes): return Response(json: ["changes": "\(changes)"])
    case .refused(let problems):
      return Response(.unprocessableContent, json: ["problems": problems])
    }
  }

  /// A server by its place in the file, from 0, or by its URL.
  private func server(_ word: String, of upstream: String) throws -> Server {
    guard let found = self.edge.read().upstreams.first(where: { $0.rules.name == upstream }) else {
      throw Failure(.notFound, "no_such_upstream", "No upstream has this name.")
    }
    let word = word.removingPercentEncoding ?? word
    let servers = found.servers.map(\.server)
    if let index = Int(word), servers.indices.contains(index) { return servers[index] }
    guard let server = servers.first(where: { "\($0.rules.url)" == word }) else {
      throw Failure(.notFound, "no_such_server", "The upstream has no such server.")
    }
    return server
  }
}

/// What is to be different about a server.
private struct ServerChange: Decodable {
  var drain: Bool?
  var weight: Int?
  var revert: Bool?

  init(_ request: Request) async throws {
    let body = try await request.body.collect(upTo: AdminAPI.bodyByteCountMax)
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(body.readableBytesView))
    } catch {
      throw Failure(
        .badRequest, "bad_body", "The body is no JSON object with drain, weight or revert.")
    }
    guard self.drain != nil || self.weight != nil || self.revert == true else {
      throw Failure(.badRequest, "bad_body", "One of drain, weight and revert is needed.")
    }
    guard self.weight.map({ Server.weights.contains($0) }) ?? true else {
      throw Failure(.badRequest, "bad_weight", "A weight is a whole number from 1 to 1000.")
    }
  }

  func apply(to server: Server) {
    if self.revert == true { server.revert() }
    server.override(drain: self.drain, weight: self.weight)
  }
}
