internal import Edge
internal import Net
internal import Telemetry
internal import Upstream
internal import WebSocket

/// All metrics. docs/metrics.md explains each of them; label sets are bounded by the configuration.
extension MetricsPage {
  init(
    _ reading: EdgeReading, _ process: ProcessReading, _ reloads: Reloader.History?,
    _ webhooks: [Webhooks.Reading]
  ) {
    self.init()
    self.addConnections(reading)
    self.addHTTP(reading)
    self.addTunnels(reading)
    self.addTraffic(reading)
    self.addRooms(reading)
    self.addWebhooks(webhooks)
    self.addUpstreams(reading)
    self.addWorkers(reading)
    self.addProcess(process, reading)
    if let reloads { self.addReloads(reloads) }
  }

  private mutating func addConnections(_ reading: EdgeReading) {
    self.add(
      .gauge, "sluice_connections", "Connections of clients that live now.",
      Double(reading.connectionCount))
    self.add(
      .gauge, "sluice_connections_limit", "How many there may be.",
      Double(reading.connectionCountMax))
    self.add(
      .counter, "sluice_connections_accepted_total", "Connections that were accepted.",
      Double(reading.acceptedCount))
    self.add(
      .counter, "sluice_requests_total", "Requests by what they were answered: 101 is a tunnel.",
      reading.answersByStatus)
    self.add(
      .counter, "sluice_requests_refused_total", "Requests that the edge refused, by reason.",
      reading.answers.filter { $0.key.error != nil }.map { answer, count in
        ([("route", answer.route ?? ""), ("reason", answer.error ?? "")], Double(count))
      }.ordered)
    self.add(
      .counter, "sluice_tls_handshakes_total", "TLS handshakes with clients.",
      reading.handshakes.map { handshake, count in
        (
          [
            ("version", handshake.version ?? ""), ("resumed", "\(handshake.isResumed)"),
            ("result", handshake.version == nil ? "failed" : "done"),
          ], Double(count)
        )
      }.ordered)
    self.add(
      "sluice_tls_handshake_seconds", "From the accept to the end of the TLS handshake.",
      [([], reading.handshakeLatency)])
    self.add(
      "sluice_admission_seconds", "From the end of a request's head to its admission.",
      [([], reading.admissionLatency)])
    self.add(
      "sluice_upgrade_seconds", "From the accept to the 101.", [([], reading.upgradeLatency)])
  }

  private mutating func addHTTP(_ reading: EdgeReading) {
    self.add(
      "sluice_answer_seconds",
      "From the end of an ordinary request's head to the head of the server's answer.",
      [([], reading.answerLatency)])
    self.add(
      .counter, "sluice_upstream_reuses_total",
      "Ordinary requests that went out on a connection that an earlier one had left.",
      Double(reading.reusedServerCount))
    self.add(
      .counter, "sluice_http2_connections_total", "Connections of clients that began with HTTP/2.",
      Double(reading.http2ConnectionCount))
    self.add(
      .counter, "sluice_http2_streams_total", "Streams that clients opened on those.",
      Double(reading.http2StreamCount))
    self.add(
      .counter, "sluice_http2_faults_total",
      "HTTP/2 connections that were ended for what their client did.",
      reading.http2Faults.map { ([("kind", $0)], Double($1)) }.ordered)
    self.add(
      .counter, "sluice_proxy_headers_refused_total",
      "Connections that a PROXY header was owed on and that did not begin with one.",
      Double(reading.refusedProxyHeaderCount))
  }

  private mutating func addTunnels(_ reading: EdgeReading) {
    self.add(
      .gauge, "sluice_tunnels", "Tunnels that live now.",
      reading.routes.map { ([("route", $0.name)], Double($0.openCount)) })
    self.add(
      .counter, "sluice_tunnels_opened_total", "Tunnels that began.",
      reading.routes.map { ([("route", $0.name)], Double($0.begunCount)) })
    self.add(
      .counter, "sluice_tunnels_closed_total",
      "Tunnels that ended, by reason, by who began it, and by the first close frame's code.",
      reading.routes.flatMap { route in
        route.endsByLabel.map { end, count in
          (
            [
              ("route", route.name), ("reason", end.reason), ("initiator", end.closer.rawValue),
              ("code", end.codeClass),
            ], Double(count)
          )
        }
      }.ordered)
    self.add(
      .counter, "sluice_heartbeat_failures_total", "Tunnels of peers that did not answer a ping.",
      reading.routes.map { route in
        let count = route.ends.filter { $0.key.reason == "heartbeat" }.values.reduce(0, +)
        return ([("route", route.name)], Double(count))
      })
    self.add(
      .counter, "sluice_throttled_seconds_total",
      "For how long peers were not read because they were too fast, all tunnels together.",
      reading.routes.map { ([("route", $0.name)], $0.throttledSeconds) })
  }

  private mutating func addTraffic(_ reading: EdgeReading) {
    let flows = reading.routes.flatMap { route in
      [(route.name, "in", route.inbound), (route.name, "out", route.outbound)]
    }
    self.add(
      .counter, "sluice_messages_total", "Messages that were passed on, while tunnels live.",
      flows.map { route, direction, flow in
        ([("route", route), ("direction", direction)], Double(flow.frames.messages))
      })
    self.add(
      .counter, "sluice_octets_total", "Octets that were passed on, headers of frames included.",
      flows.map { route, direction, flow in
        ([("route", route), ("direction", direction)], Double(flow.octetCount))
      })
    self.add(
      .counter, "sluice_frames_total", "Frames by kind.",
      flows.flatMap { route, direction, flow in
        flow.frames.byKind.map { kind, count in
          (
            [("route", route), ("direction", direction), ("opcode", kind)], Double(count)
          )
        }
      })
  }

  private mutating func addUpstreams(_ reading: EdgeReading) {
    self.add(
      "sluice_upstream_connect_seconds",
      "From the first packet to a server until it is connected, TLS included.",
      reading.upstreams.map { ([("upstream", $0.rules.name)], $0.connectLatency) })
    let endpoints = reading.upstreams.flatMap { upstream in
      upstream.servers.flatMap { server, endpoints in
        endpoints.map { endpoint in
          (
            labels: [
              ("upstream", upstream.rules.name), ("server", "\(server.rules.url)"),
              ("address", "\(endpoint.address)"),
            ], server: server, endpoint: endpoint,
            isHealthy: endpoint.standing(under: upstream.rules) == .healthy
          )
        }
      }
    }
    self.add(
      .gauge, "sluice_upstream_healthy", "Whether a server may be picked: 1, or 0.",
      endpoints.map { ($0.labels, $0.isHealthy ? 1 : 0) })
    self.add(
      .gauge, "sluice_upstream_draining", "Whether a server takes no new tunnels: 1, or 0.",
      endpoints.map { ($0.labels, $0.server.takesNewTunnels ? 0 : 1) })
    self.add(
      .gauge, "sluice_upstream_tunnels", "Tunnels and attempts that a server has now.",
      endpoints.map { ($0.labels, Double($0.endpoint.connectionCount)) })
  }

  private mutating func addWorkers(_ reading: EdgeReading) {
    let workers = reading.workers.enumerated().map { ([("worker", "\($0)")], $1) }
    self.add(
      .gauge, "sluice_queued_octets", "Octets that wait for slow peers now.",
      workers.map { ($0, Double($1.queuedByteCount)) })
    self.add(
      .counter, "sluice_worker_turns_total", "Turns of a worker's loop.",
      workers.map { ($0, Double($1.turnCount)) })
    self.add(
      .counter, "sluice_worker_busy_seconds_total", "How long those turns took.",
      workers.map { ($0, $1.turnSeconds) })
    self.add(
      .gauge, "sluice_worker_lag_seconds",
      "The longest turn of the last second or two: what was ready waited so long.",
      workers.map { ($0, $1.longestTurnSeconds) })
  }

  private mutating func addProcess(_ process: ProcessReading, _ reading: EdgeReading) {
    self.add(
      .gauge, "sluice_info", "The version that runs: 1.",
      [([("version", process.version)], 1)])
    self.add(
      .gauge, "sluice_draining", "Whether the process is about to end: 1, or 0.",
      reading.isDraining ? 1 : 0)
    self.add(
      .gauge, "process_start_time_seconds", "When the process began, since 1970.",
      process.startSecond)
    self.add(
      .gauge, "process_resident_memory_bytes", "Memory in use.", Double(process.residentByteCount))
    self.add(
      .gauge, "process_open_fds", "Descriptors that are open.", Double(process.descriptorCount))
    self.add(
      .gauge, "process_max_fds", "How many there may be.", Double(process.descriptorCountMax))
    self.add(
      .counter, "process_cpu_seconds_total", "Processor time, user and system.",
      process.processorSeconds)
  }

  private mutating func addReloads(_ reloads: Reloader.History) {
    self.add(
      .counter, "sluice_reloads_total", "Readings of the configuration, by result.",
      [
        ([("result", "adopted")], Double(reloads.adoptedCount)),
        ([("result", "refused")], Double(reloads.refusedCount)),
      ])
    self.add(
      .gauge, "sluice_reload_last_result", "Whether the last reading was adopted: 1, or 0.",
      reloads.last?.isGood == false ? 0 : 1)
  }
}

extension [(labels: [(String, String)], Double)] {
  /// In the order of their labels: dictionaries have none.
  fileprivate var ordered: Self {
    self.sorted { one, two in
      one.labels.map(\.1).lexicographicallyPrecedes(two.labels.map(\.1))
    }
  }
}

extension EdgeReading {
  /// Answers by route and status.
  fileprivate var answersByStatus: [(labels: [(String, String)], Double)] {
    var counts: [[String]: Int] = [:]
    for (answer, count) in self.answers {
      counts[[answer.route ?? "", "\(answer.status)"], default: 0] += count
    }
    return counts.map { ([("route", $0[0]), ("status", $0[1])], Double($1)) }.ordered
  }
}

extension EdgeReading.Route {
  /// Ends by what the labels tell apart: peers choose among thousands of codes.
  fileprivate var endsByLabel: [TrafficMeter.End: Int] {
    self.ends.reduce(into: [:]) { counts, end in
      let label = TrafficMeter.End(
        reason: end.key.reason, closer: end.key.closer, closeCode: end.key.codeClassNumber)
      counts[label, default: 0] += end.value
    }
  }
}

extension TrafficMeter.End {
  /// The code, or the first of those that are counted together.
  fileprivate var codeClassNumber: UInt16 {
    switch self.closeCode {
    case 3000...3999: 3000
    case 4000...4999: 4000
    default: self.closeCode
    }
  }

  fileprivate var codeClass: String {
    switch self.closeCode {
    case 3000...3999: "3000-3999"
    case 4000...4999: "4000-4999"
    default: "\(self.closeCode)"
    }
  }
}
