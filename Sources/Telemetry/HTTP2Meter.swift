/// What one worker counts of HTTP/2. The worker alone counts; others may read at any time.
public final class HTTP2Meter: Sendable {
  /// Connections that began with it.
  public let connections = Counter()
  /// Streams that clients have opened.
  public let streams = Counter()
  /// Connections that were ended for what their client did, by its name; those that broke the protocol
  /// as `protocol_error`.
  public let faults = Tally<String>()

  init() {}

  /// A connection was ended for its client's fault.
  ///
  /// - Parameter abuse: what was done too often; `nil` where the protocol was broken.
  public func note(_ abuse: String?) { self.faults.raise(abuse ?? "protocol_error") }
}
