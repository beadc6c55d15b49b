/// Amounts with their units, as files say them.
enum Quantity {
  /// The duration that `text` says: a whole number with `ms`, `s`, `m`, `h` or `d`. `nil` for
  /// anything else, and for more than a century.
  static func duration(parsing text: String) -> Duration? {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
    return Self.number(parsing: text, units: units, max: 36_525 * 86_400_000).map {
      .milliseconds($0)
    }
  }

  /// The octets that `text` says: a whole number with `B`, `KiB`, `MiB` or `GiB`.
  static func byteCount(parsing text: String) -> Int? {
    let units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
    return Self.number(parsing: text, units: units, max: 1 << 50)
  }

  /// How often a second, from `N/s`, `N/m` or `N/h` with a whole number above zero.
  static func permitsPerSecond(parsing text: String) -> Double? {
    let units = [("/s", 3600), ("/m", 60), ("/h", 1)]
    return Self.number(parsing: text, units: units, max: 3_600_000_000).flatMap { permitsPerHour in
      permitsPerHour > 0 ? Double(permitsPerHour) / 3600 : nil
    }
  }

  /// How many octets a second, from a size above zero and `/s`, `/m` or `/h`.
  static func bytesPerSecond(parsing text: String) -> Double? {
    let periods = [("/s", 1.0), ("/m", 60), ("/h", 3600)]
    guard let (name, seconds) = periods.first(where: { text.hasSuffix($0.0) }),
      let count = Self.byteCount(parsing: String(text.dropLast(name.count))), count > 0
    else { return nil }
    return Double(count) / seconds
  }

  /// Digits directly followed by one of the units, multiplied by it.
  private static func number(parsing text: String, units: [(name: String, factor: Int)], max: Int)
    -> Int?
  {
    let digits = text.prefix { ("0"..."9").contains($0) }
    guard let count = Int(digits),
      let unit = units.first(where: { $0.name == text[digits.endIndex...] })
    else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: unit.factor)
    return overflow || product > max ? nil : product
  }

  /// `duration` in the way a file says it, in the largest unit that needs no fraction.
  static func text(of duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    guard attoseconds == 0 else {
      return "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000)ms"
    }
    for (unit, factor) in [("d", Int64(86_400)), ("h", 3600), ("m", 60)]
    where seconds >= factor && seconds % factor == 0 {
      return "\(seconds / factor)\(unit)"
    }
    return "\(seconds)s"
  }

  /// `byteCount` in the way a file says it.
  static func text(ofByteCount byteCount: Int) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    where byteCount >= factor && byteCount % factor == 0 {
      return "\(byteCount / factor)\(unit)"
    }
    return "\(byteCount)B"
  }
}
