import Net

/// What a run found, as text for people or as one JSON object for programs.
struct Report {
  let plan: Plan
  let tally: Tally

  private static let percentiles: [(name: String, percent: Double)] = [
    ("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("max", 100),
  ]

  /// To the millisecond.
  private var seconds: Double { self.tally.duration.milliseconds.rounded() / 1000 }

  private func perSecond(_ count: UInt64) -> Double {
    let milliseconds = self.tally.duration.milliseconds
    return milliseconds > 0 ? (Double(count) * 1000 / milliseconds).rounded() : 0
  }

  /// Nanoseconds that one connection needed for a message on average: the interval that a closed
  /// loop is taken to have meant.
  private var expectedInterval: UInt64 {
    guard self.tally.unitCount > 0 else { return 0 }
    let nanoseconds = self.tally.duration.clampedNanoseconds
    let (product, overflow) = nanoseconds.multipliedReportingOverflow(
      by: UInt64(self.plan.connectionCount))
    return overflow ? 0 : product / self.tally.unitCount
  }

  /// The correction applies where a connection waits for its echo before it sends again.
  private var corrected: Histogram? {
    guard self.plan.isClosedLoop, self.tally.latency.count > 0 else { return nil }
    return self.tally.latency.corrected(expectedInterval: self.expectedInterval)
  }
}

extension Report {
  var text: String {
    let tally = self.tally
    var lines = [
      "\(self.plan.work.rawValue), \(self.plan.isClosedLoop ? "closed" : "open") loop, "
        + "\(self.plan.connectionCount) connections, \(self.seconds) s",
      "  per second   \(Int(self.perSecond(tally.unitCount))), "
        + "\(Int(self.perSecond(tally.byteCount))) octets",
    ]
    if tally.latency.count > 0 {
      let whence = self.plan.isClosedLoop ? "" : ", from the intended time of sending"
      lines.append("  latency      \(Self.text(tally.latency)) µs\(whence)")
    }
    if let corrected = self.corrected {
      let interval = Self.microseconds(self.expectedInterval)
      lines.append("  corrected    \(Self.text(corrected)) µs, one message each \(interval) µs")
    }
    lines.append(
      "  connections  \(tally.openedCount) opened, \(tally.failedCount) failed, "
        + "\(tally.droppedCount) dropped, \(tally.mismatchedCount) with changed messages")
    if let fault = tally.firstFault { lines.append("  first fault  \(fault)") }
    return lines.joined(separator: "\n")
  }

  static func text(_ histogram: Histogram) -> String {
    Self.percentiles.map { "\($0.name) \(Self.microseconds(histogram.percentile($0.percent)))" }
      .joined(separator: "  ")
  }

  static func microseconds(_ nanoseconds: UInt64) -> Double {
    (Double(nanoseconds) / 100).rounded() / 10
  }
}

extension Report {
  /// Latencies in microseconds.
  var json: String {
    let tally = self.tally
    var members = [
      ("work", Self.quoted(self.plan.work.rawValue)),
      ("loop", Self.quoted(self.plan.isClosedLoop ? "closed" : "open")),
      ("connections", "\(self.plan.connectionCount)"),
      ("seconds", "\(self.seconds)"),
      ("units", "\(tally.unitCount)"),
      ("units_per_second", "\(self.perSecond(tally.unitCount))"),
      ("octets_per_second", "\(self.perSecond(tally.byteCount))"),
      ("opened", "\(tally.openedCount)"),
      ("failed", "\(tally.failedCount)"),
      ("dropped", "\(tally.droppedCount)"),
      ("mismatched", "\(tally.mismatchedCount)"),
    ]
    if let rate = self.plan.rate { members.append(("rate", "\(rate)")) }
    if tally.latency.count > 0 { members.append(("latency", Self.json(tally.latency))) }
    if let corrected = self.corrected {
      members.append(("expected_interval", "\(Self.microseconds(self.expectedInterval))"))
      members.append(("corrected", Self.json(corrected)))
    }
    if let fault = tally.firstFault { members.append(("first_fault", Self.quoted(fault))) }
    return Self.object(members)
  }

  static func json(_ histogram: Histogram) -> String {
    Self.object(
      Self.percentiles.map {
        ($0.name, "\(Self.microseconds(histogram.percentile($0.percent)))")
      })
  }

  static func object(_ members: [(name: String, value: String)]) -> String {
    "{" + members.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}"
  }

  static func quoted(_ text: String) -> String {
    let escaped = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "\\": "\\\(scalar)"
      case " "...: String(scalar)
      default: " "
      }
    }
    return "\"\(escaped.joined())\""
  }
}
