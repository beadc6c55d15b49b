/// What one HTTP/2 connection is held to. Values that a frame cannot carry count as the nearest one
/// that it can.
public struct SessionRules: Sendable, Equatable {
  /// The octets that a head or trailers may have, 32 more counted for each field
  /// (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113 §6.5.2). Behind it stands ``SessionEvent/refused``.
  public var headByteCountMax: Int
  /// The octets that `:path` may have.
  public var targetByteCountMax: Int
  /// Streams that a client may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS).
  public var streamCountMax: Int
  /// Octets that a client may send on a stream ahead of ``Session/consume(_:of:)``
  /// (SETTINGS_INITIAL_WINDOW_SIZE): the most that the edge has to keep for a stream.
  public var streamWindowByteCount: Int
  /// Octets that a client may have on the way on all streams together; at least the 65 535 that
  /// RFC 9113 §6.9.2 gives. It bounds nothing that is kept, as it opens with each receive.
  public var connectionWindowByteCount: Int
  /// Whether WebSockets are taken (SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 §3).
  public var offersWebSocket: Bool

  /// Rules with these limits.
  public init(
    headByteCountMax: Int, targetByteCountMax: Int, streamCountMax: Int,
    streamWindowByteCount: Int = 64 * 1024, connectionWindowByteCount: Int = 4 * 1024 * 1024,
    offersWebSocket: Bool
  ) {
    self.headByteCountMax = headByteCountMax
    self.targetByteCountMax = targetByteCountMax
    self.streamCountMax = streamCountMax
    self.streamWindowByteCount = streamWindowByteCount
    self.connectionWindowByteCount = connectionWindowByteCount
    self.offersWebSocket = offersWebSocket
  }
}
