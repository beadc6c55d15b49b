import Testing

@testable import Telemetry

@Suite("metrics")
struct MetricsTests {
  @Test("lengths fall into the classes of their bounds")
  func histogram() {
    var histogram = Histogram()
    for seconds in [0, 0.000_1, 0.000_100_1, 10, 10.1, 1e9] { histogram.record(seconds: seconds) }
    #expect(histogram.counts.first == 2)
    #expect(histogram.counts[1] == 1)
    #expect(histogram.counts[Histogram.bounds.count - 1] == 1)
    #expect(histogram.counts.last == 2)
    #expect(histogram.count == 6)
    #expect((histogram + histogram).count == 12)
    #expect((histogram + histogram).sum == histogram.sum * 2)
  }

  @Test("a page as Prometheus reads it")
  func page() {
    var page = MetricsPage()
    page.add(.counter, "a_total", "Back\\slash and\nline.", 3)
    page.add(
      .gauge, "b", "B.", [([("name", "quo\"te"), ("path", "a\\b\nc")], 0.5), ([], -1)])
    page.add(.gauge, "none", "Left out.", [])
    #expect(
      page.text == """
        # HELP a_total Back\\\\slash and\\nline.
        # TYPE a_total counter
        a_total 3
        # HELP b B.
        # TYPE b gauge
        b{name="quo\\"te",path="a\\\\b\\nc"} 0.5
        b -1

        """)
  }

  @Test("a histogram's classes are summed up, and end with all")
  func histogramPage() {
    var histogram = Histogram()
    for seconds in [0.000_05, 0.3, 60] { histogram.record(seconds: seconds) }
    var page = MetricsPage()
    page.add("h_seconds", "H.", [([("route", "chat")], histogram)])
    let lines = page.text.split(separator: "\n")
    #expect(lines.contains("h_seconds_bucket{route=\"chat\",le=\"0.0001\"} 1"))
    #expect(lines.contains("h_seconds_bucket{route=\"chat\",le=\"0.5\"} 2"))
    #expect(lines.contains("h_seconds_bucket{route=\"chat\",le=\"10\"} 2"))
    #expect(lines.contains("h_seconds_bucket{route=\"chat\",le=\"+Inf\"} 3"))
    #expect(lines.contains("h_seconds_count{route=\"chat\"} 3"))
  }

  @Test("the longest turn is that of the last second or two")
  func turns() {
    let meter = WorkerMeter()
    let second: UInt64 = 1_000_000_000
    #expect(meter.longestTurn(at: 5 * second) == 0)
    meter.turned(nanoseconds: 700, at: 5 * second)
    meter.turned(nanoseconds: 300, at: 5 * second + 1)
    #expect(meter.longestTurn(at: 5 * second + 2) == 700)
    meter.turned(nanoseconds: 100, at: 6 * second)
    #expect(meter.longestTurn(at: 6 * second) == 700)
    meter.turned(nanoseconds: 200, at: 7 * second)
    #expect(meter.longestTurn(at: 7 * second) == 200)
    #expect(meter.longestTurn(at: 8 * second) == 200)
    #expect(meter.longestTurn(at: 9 * second) == 0)
    meter.turned(nanoseconds: 50, at: 20 * second)
    #expect(meter.longestTurn(at: 20 * second) == 50)
    #expect(meter.turnCount.value == 5)
    #expect(meter.turnNanoseconds.value == 1350)
  }

  @Test("tunnels that live are those that began and did not end")
  func open() {
    let meter = TrafficMeter()
    for _ in 0..<3 { meter.begun.raise() }
    let end = TrafficMeter.End(reason: "closed", closer: .downstream, closeCode: 1000)
    meter.ended(end)
    #expect(meter.openCount == 2)
    #expect(meter.ends.counts == [end: 1])
  }
}
