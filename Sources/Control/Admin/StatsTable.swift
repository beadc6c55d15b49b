internal import Foundation

/// What `sluice top` shows.
public struct StatsTable: Sendable {
  private let stats: Stats

  /// Reads what the admin API answers; `nil` for anything else.
  public init?(json octets: [UInt8]) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let stats = try? decoder.decode(Stats.self, from: Data(octets)) else { return nil }
    self.stats = stats
  }

  /// The page: rates where there is an earlier one of the same process, counts where there is none.
  ///
  /// - Parameter clearsLines: whether what stands behind each line on the terminal is wiped out.
  public func text(since earlier: StatsTable?, clearsLines: Bool) -> String {
    let before = earlier?.stats.pid == self.stats.pid ? earlier?.stats : nil
    let lines =
      self.head(before) + [""] + self.routes(before) + self.rooms(before) + [""]
      + self.servers() + self.refusals()
    return lines.joined(separator: (clearsLines ? "\u{1B}[K" : "") + "\n")
  }

  private func seconds(_ before: Stats?) -> Double {
    max(0.001, self.stats.uptimeSeconds - (before?.uptimeSeconds ?? 0))
  }

  private func rate(_ now: UInt64, _ then: UInt64?, _ before: Stats?) -> String {
    guard let then, before != nil, now >= then else { return Self.short(Double(now)) }
    return Self.short(Double(now - then) / self.seconds(before)) + "/s"
  }

  private func head(_ before: Stats?) -> [String] {
    let stats = self.stats
    let state = stats.draining ? "draining" : "serving"
    return [
      "sluice \(stats.version)  pid \(stats.pid)  \(state)  up \(Int(stats.uptimeSeconds)) s  "
        + stats.listeners.map { "\($0.scheme)://\($0.address)" }.joined(separator: " "),
      "tunnels \(stats.tunnels.open)  connections \(stats.connections.open) of "
        + "\(stats.connections.limit)  new "
        + self.rate(stats.connections.total, before?.connections.total, before)
        + "  messages in " + self.rate(stats.messages.in, before?.messages.in, before) + " out "
        + self.rate(stats.messages.out, before?.messages.out, before) + "  octets in "
        + self.rate(stats.octets.in, before?.octets.in, before) + " out "
        + self.rate(stats.octets.out, before?.octets.out, before),
      "memory \(Self.short(Double(stats.memoryOctets)))B  descriptors \(stats.descriptors.open) of "
        + "\(stats.descriptors.limit)  queued \(Self.short(Double(stats.queuedOctets)))B  "
        + "longest turn \(Self.milliseconds(stats.loopLagSeconds.max() ?? 0))",
    ]
  }

  private func routes(_ before: Stats?) -> [String] {
    let rows = self.stats.routes.map { route -> [String] in
      let then = before?.routes.first { $0.name == route.name }
      return [
        route.name, "\(route.open)", "\(route.total)",
        self.rate(route.messagesIn, then?.messagesIn, before),
        self.rate(route.messagesOut, then?.messagesOut, before),
        self.rate(route.octetsIn, then?.octetsIn, before),
        self.rate(route.octetsOut, then?.octetsOut, before),
      ]
    }
    return Self.table(
      ["ROUTE", "OPEN", "TOTAL", "MSG IN", "MSG OUT", "OCTETS IN", "OCTETS OUT"], rows)
  }

  private func rooms(_ before: Stats?) -> [String] {
    let rows = self.stats.routes.compactMap { route -> [String]? in
      guard let rooms = route.rooms else { return nil }
      let then = before?.routes.first { $0.name == route.name }?.rooms
      return [
        route.name, "\(rooms.open)", "\(rooms.peers)",
        self.rate(rooms.joins, then?.joins, before),
        self.rate(rooms.refused, then?.refused, before),
        self.rate(rooms.relayed, then?.relayed, before),
        self.rate(rooms.delivered, then?.delivered, before),
      ]
    }
    guard !rows.isEmpty else { return [] }
    return [""]
      + Self.table(
        ["ROOMS OF", "ROOMS", "PEERS", "JOINS", "REFUSED", "RELAYED", "DELIVERED"], rows)
  }

  private func servers() -> [String] {
    let rows = self.stats.upstreams.flatMap { upstream in
      upstream.servers.flatMap { server in
        server.endpoints.map { endpoint in
          [
            upstream.name, server.url, endpoint.address,
            endpoint.standing + (server.drain ? ", draining" : ""), "\(endpoint.open)",
            endpoint.probe ?? "",
          ]
        }
      }
    }
    return Self.table(["UPSTREAM", "SERVER", "ADDRESS", "STANDING", "OPEN", "PROBE"], rows)
  }

  private func refusals() -> [String] {
    guard !self.stats.refusals.isEmpty else { return [] }
    let rows = self.stats.refusals.map { ["\($0.status)", $0.error, "\($0.count)"] }
    return [""] + Self.table(["STATUS", "REFUSED BECAUSE OF", "COUNT"], rows)
  }

  /// Columns as wide as they have to be.
  private static func table(_ head: [String], _ rows: [[String]]) -> [String] {
    let widths = head.indices.map { column in
      ([head] + rows).map { $0[column].count }.max() ?? 0
    }
    return ([head] + rows).map { row in
      zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
        .joined(separator: "  ")
    }
  }

  /// `1234567` is `1.2M`.
  static func short(_ value: Double) -> String {
    var (value, units) = (value, ["", "k", "M", "G", "T"][...])
    while value >= 1000, units.count > 1 {
      value /= 1000
      units = units.dropFirst()
    }
    let text =
      value >= 100 || value.rounded() == value
      ? "\(Int(value.rounded()))" : String(format: "%.1f", value)
    return text + (units.first ?? "")
  }

  private static func milliseconds(_ seconds: Double) -> String {
    String(format: "%.2f ms", seconds * 1000)
  }
}
