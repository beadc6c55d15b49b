public import HTTP

/// Names one stream of a session: its number on the wire, which no other stream of the connection
/// ever has, and its place in the session's table, a small index that is used again.
public struct StreamID: Hashable, Sendable {
  /// The stream identifier of RFC 9113 §5.1.1.
  public let number: Int32
  /// An index from 0 up: as large as streams were in use at once.
  public let slot: Int

  /// The stream of this number in this slot.
  public init(number: Int32, slot: Int) {
    self.number = number
    self.slot = slot
  }
}

/// What the octets of a client mean.
public enum SessionEvent: Sendable {
  /// A request. With `endsStream` nothing follows, not even ``ended(_:)``.
  case request(StreamID, RequestHead, endsStream: Bool)
  /// A head that HTTP's rules refuse. It can be answered, as a rule with the error's status.
  case refused(StreamID, HeadError, endsStream: Bool)
  /// Content, without padding: where it lies in the octets of the last
  /// ``Session/receive(_:now:_:)``. Never empty.
  case content(StreamID, Range<Int>)
  /// Fields behind the content. ``ended(_:)`` follows.
  case trailers(StreamID, Fields)
  /// The client has sent all of its request.
  case ended(StreamID)
  /// The stream is closed before both sides had ended it: by the client, or for an error on it. Not
  /// told of a stream that ``Session/reset(_:_:_:)`` closed.
  case reset(StreamID, ErrorCode)
  /// A stream that found no room may send again.
  case writable(StreamID)
  /// The client opens no further streams (GOAWAY, RFC 9113 §6.8).
  case goingAway
  /// What ``Session/ping(_:)`` asked came back.
  case pong(UInt64)

  /// The stream that it is about.
  var stream: StreamID? {
    switch self {
    case .request(let stream, _, _), .refused(let stream, _, _), .content(let stream, _),
      .trailers(let stream, _), .ended(let stream), .reset(let stream, _), .writable(let stream):
      stream
    case .goingAway, .pong: nil
    }
  }
}
