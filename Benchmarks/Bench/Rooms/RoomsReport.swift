import Net

/// What a run in rooms found, as text for people or as one JSON object for programs.
struct RoomsReport {
  let plan: RoomsPlan
  let tally: RoomsTally

  private var seconds: Double { self.tally.duration.milliseconds.rounded() / 1000 }

  private var perSecond: Double {
    let milliseconds = self.tally.duration.milliseconds
    return milliseconds > 0 ? (Double(self.tally.unitCount) * 1000 / milliseconds).rounded() : 0
  }

  var text: String {
    let (tally, peers) = (self.tally, self.tally.connections)
    var lines = [
      "\(self.plan.work.rawValue), \(self.plan.peerCount) peers in rooms of \(self.plan.roomSize), "
        + "\(self.seconds) s",
      "  per second   \(Int(self.perSecond))",
    ]
    if self.plan.isPaced {
      lines.append("  latency      \(Report.text(tally.latency)) µs")
      lines.append("  of it, lag   \(Report.text(tally.lag)) µs")
    }
    lines.append(
      "  peers        \(peers.openedCount) came in, \(peers.failedCount) failed, "
        + "\(peers.droppedCount) dropped, \(peers.mismatchedCount) got something wrong")
    lines.append(
      "  in all       \(tally.sentCount) begun, \(tally.lostCount) lost, "
        + "\(tally.ackCount) answered, \(tally.missingAckCount) answers lost")
    if let fault = peers.firstFault { lines.append("  first fault  \(fault)") }
    return lines.joined(separator: "\n")
  }

  /// Latencies in microseconds.
  var json: String {
    let (tally, peers) = (self.tally, self.tally.connections)
    var members = [
      ("work", Report.quoted(self.plan.work.rawValue)),
      ("peers", "\(self.plan.peerCount)"),
      ("seconds", "\(self.seconds)"),
      ("units", "\(tally.unitCount)"),
      ("units_per_second", "\(self.perSecond)"),
      ("opened", "\(peers.openedCount)"),
      ("failed", "\(peers.failedCount)"),
      ("dropped", "\(peers.droppedCount)"),
      ("mismatched", "\(peers.mismatchedCount)"),
      ("lost", "\(tally.lostCount)"),
      ("acks", "\(tally.ackCount)"),
      ("acks_lost", "\(tally.missingAckCount)"),
    ]
    if self.plan.isPaced {
      members.append(("latency", Report.json(tally.latency)))
      members.append(("lag", Report.json(tally.lag)))
    }
    if let fault = peers.firstFault { members.append(("first_fault", Report.quoted(fault))) }
    return Report.object(members)
  }
}
