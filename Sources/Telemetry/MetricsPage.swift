/// A page of metrics as Prometheus reads it (the text exposition format, version 0.0.4).
public struct MetricsPage: Sendable {
  /// What the page's Content-Type says.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// What the numbers of a family mean.
  public enum Kind: String, Sendable {
    /// It only grows.
    case counter
    /// It goes up and down.
    case gauge
    /// Classes of lengths.
    case histogram
  }

  /// The page so far.
  public private(set) var text = ""

  /// An empty page.
  public init() {}

  /// Writes a family of numbers: its explanation, then each of them.
  ///
  /// - Parameters:
  ///   - name: with its unit, and with `_total` at the end of a counter's.
  ///   - samples: values and the labels that tell them apart; a family without one is left out.
  public mutating func add(
    _ kind: Kind, _ name: String, _ help: String, _ samples: [(labels: [(String, String)], Double)]
  ) {
    guard !samples.isEmpty else { return }
    self.begin(kind, name, help)
    for (labels, value) in samples { self.line(name, labels, value) }
  }

  /// Writes a family with one number.
  public mutating func add(_ kind: Kind, _ name: String, _ help: String, _ value: Double) {
    self.add(kind, name, help, [([], value)])
  }

  /// Writes a family of histograms.
  public mutating func add(
    _ name: String, _ help: String, _ samples: [(labels: [(String, String)], Histogram)]
  ) {
    guard !samples.isEmpty else { return }
    self.begin(.histogram, name, help)
    for (labels, histogram) in samples {
      var total = 0
      for (bound, count) in zip(Histogram.bounds, histogram.counts) {
        total += count
        self.line("\(name)_bucket", labels + [("le", Self.text(of: bound))], Double(total))
      }
      self.line("\(name)_bucket", labels + [("le", "+Inf")], Double(histogram.count))
      self.line("\(name)_sum", labels, histogram.sum)
      self.line("\(name)_count", labels, Double(histogram.count))
    }
  }

  private mutating func begin(_ kind: Kind, _ name: String, _ help: String) {
    let escaped = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    self.text += "# HELP \(name) \(escaped)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  private mutating func line(_ name: String, _ labels: [(String, String)], _ value: Double) {
    self.text += name
    if !labels.isEmpty {
      let pairs = labels.map { "\($0)=\"\(Self.escaped($1))\"" }
      self.text += "{\(pairs.joined(separator: ","))}"
    }
    self.text += " \(Self.text(of: value))\n"
  }

  private static func escaped(_ value: String) -> String {
    value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
      .replacing("\n", with: "\\n")
  }

  /// Whole numbers without a fraction.
  private static func text(of value: Double) -> String {
    guard let whole = Int64(exactly: value) else { return "\(value)" }
    return "\(whole)"
  }
}
