internal import Net

/// Octets that go from one plain stream to another inside the kernel (splice(2)).
extension ByteStream {
  /// What one attempt to splice came to.
  public enum OnSplice: Equatable, Sendable {
    /// So many octets left the source. What the other stream did not take of them is queued for it.
    case moved(Int)
    /// The source has none at present.
    case nothing
    /// No pipe is left: the octets have to be received and sent.
    case noPipe
    /// The source sends nothing more.
    case ended
    case sourceFailed(StreamFault)
    /// The other stream broke, when so many octets had left the source.
    case sinkFailed(Int, StreamFault)
  }

  /// Octets for this peer that are in a pipe. Nothing can be sent while there are some.
  public var pipedByteCount: Int {
    switch self.pipe {
    case .some(let pipe): pipe.count
    case .none: 0
    }
  }

  /// Copies what comes next behind what stands in ``Scratch/inbound``, and leaves it to be received.
  public borrowing func peek(_ scratch: inout Scratch, upTo limit: Int) -> Int {
    assert(self.isPlain)
    return self.hasEnded ? 0 : self.socket.peek(into: &scratch.inbound, upTo: limit)
  }

  /// Moves up to `byteCountMax` octets to `sink`. Both are plain, and nothing is queued for `sink`.
  public mutating func splice(
    upTo byteCountMax: Int, to sink: inout ByteStream, _ scratch: inout Scratch
  ) -> OnSplice {
    assert(self.isPlain && sink.isPlain && sink.queuedByteCount == 0)
    guard var pipe = scratch.pipes.take() else { return .noPipe }
    let received = pipe.fill(from: self.socket, upTo: byteCountMax)
    guard case .octets(let count, _) = received else {
      scratch.pipes.give(pipe)
      switch self.note(received) {
      case .ended: return .ended
      case .failed(let fault): return .sourceFailed(fault)
      case .octets, .nothing: return .nothing
      }
    }
    sink.pipe = consume pipe
    if let fault = sink.flushPipe(&scratch) { return .sinkFailed(count, fault) }
    return .moved(count)
  }

  /// Sends what is in the pipe, and gives an empty one back.
  mutating func flushPipe(_ scratch: inout Scratch) -> StreamFault? {
    guard var pipe = self.pipe.take() else { return nil }
    let sent = pipe.drain(into: self.socket)
    if pipe.isEmpty {
      scratch.pipes.give(pipe)
    } else {
      self.pipe = consume pipe
    }
    if case .failed(let fault) = sent { return .socket(fault) }
    return nil
  }

  mutating func discardPipe(_ scratch: inout Scratch) {
    guard let pipe = self.pipe.take() else { return }
    scratch.pipes.give(pipe)
  }
}
