internal import CNGHTTP2
internal import Net

// A stream that finds no room waits in one line with the others, whatever it waits for: its own
// window, the connection's, or room in the output. It takes nothing until it is woken, so that who
// came first is served first.

extension Session {
  /// Whether events wait for ``nextEvent()``.
  public var hasEvents: Bool { unsafe !self.engine.pointee.events.isEmpty }

  /// Has ``SessionEvent/writable(_:)`` tell when the stream may send again: for what was kept back
  /// since ``room(on:)`` said that there is none.
  public mutating func awaitRoom(on stream: StreamID) {
    guard unsafe self.engine.pointee.mayTakeContent(stream) else { return }
    if self.room(on: stream) > 0 {
      return unsafe self.engine.pointee.events.append(.writable(stream))
    }
    self.wait(stream)
  }

  /// Wakes the streams that wait for room in ``output``. The edge calls it when its socket took some.
  public mutating func noteOutputRoom() {
    guard self.output.count <= Self.outputLowWatermarkByteCount else { return }
    self.wake()
  }

  /// Whether streams wait though they have some room: for ``noteWaitIsOver()``, when it is time. One whose
  /// window is shut waits for the client.
  public var hasWaiting: Bool {
    let raw = unsafe self.raw
    guard unsafe self.engine.pointee.hasBlocked,
      unsafe nghttp2_session_get_remote_window_size(raw) > 0
    else { return false }
    return unsafe self.engine.pointee.isAnyBlocked { stream in
      unsafe nghttp2_session_get_stream_remote_window_size(raw, stream.number) > 0
    }
  }

  /// Wakes the streams that have any room at all: windows have been let open for long enough. A client
  /// may want no more than it has asked for (RFC 1122 §4.2.3.4 has an override timeout, too).
  public mutating func noteWaitIsOver() { self.wake(isOverdue: true) }

  /// Puts a stream that has more to send into the line.
  mutating func wait(_ stream: StreamID) {
    guard unsafe self.engine.pointee.mayTakeContent(stream) else { return }
    var awaited: StreamState.Facts = []
    if unsafe nghttp2_session_get_stream_remote_window_size(self.raw, stream.number) <= 0 {
      awaited.insert(.awaitsWindow)
    }
    if unsafe nghttp2_session_get_remote_window_size(self.raw) <= 0 {
      awaited.insert(.awaitsConnection)
    }
    unsafe self.engine.pointee.block(stream, awaited)
    guard unsafe self.engine.pointee.takeTiny(of: stream) else { return }
    if unsafe !self.engine.pointee.allows(.tinyWindows) { self.terminate(.enhanceYourCalm) }
  }

  /// Tells the streams that wait, in their order, that there is room.
  ///
  /// A window that was used up is let open some way first, so that a client that acknowledges every
  /// few octets by themselves does not get them in frames of their own for ever (RFC 1122 §4.2.3.4
  /// has the same of TCP). No further than half of what it begins with: clients wait for that, too.
  mutating func wake(isOverdue: Bool = false) {
    guard self.outputRoom > 0, unsafe !self.engine.pointee.hasFailed,
      unsafe self.engine.pointee.hasBlocked
    else { return }
    let raw = unsafe self.raw
    let initial = unsafe Int(
      nghttp2_session_get_remote_settings(raw, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
    let worthwhile = max(1, min(Restraints.tinyByteCount, initial / 2))
    let connection = unsafe Int(nghttp2_session_get_remote_window_size(raw))
    unsafe self.engine.pointee.wake { stream, facts in
      let window = unsafe Int(nghttp2_session_get_stream_remote_window_size(raw, stream.number))
      if isOverdue { return window > 0 && connection > 0 }
      return window >= (facts.contains(.awaitsWindow) ? worthwhile : 1)
        && connection >= (facts.contains(.awaitsConnection) ? Restraints.tinyByteCount : 1)
    }
  }
}
