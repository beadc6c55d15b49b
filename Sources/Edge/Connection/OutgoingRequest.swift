internal import Compression
internal import HTTP
internal import Upstream
internal import WebSocket

/// A request for a server, kept until one has answered it.
final class OutgoingRequest {
  let exchange: Exchange
  let route: Route
  let group: Group
  /// What the client asked, as far as its connection is concerned.
  let asked: Asked
  /// What is asked of the server where that is a WebSocket; `nil` for an ordinary request.
  let upgrade: OutgoingUpgrade?
  /// The request's head on the wire.
  let octets: [UInt8]
  /// What the client sent behind its head: the first octets of the tunnel, or of the body.
  let pipelined: [UInt8]
  /// What speaks for one of the servers.
  let affinity: Affinity

  init(
    exchange: Exchange, route: Route, group: Group, asked: Asked, upgrade: OutgoingUpgrade?,
    octets: [UInt8], pipelined: [UInt8], affinity: Affinity
  ) {
    self.exchange = exchange
    self.route = route
    self.group = group
    self.asked = asked
    self.upgrade = upgrade
    self.octets = octets
    self.pipelined = pipelined
    self.affinity = affinity
  }
}

/// An upgrade on its way to a server.
struct OutgoingUpgrade {
  /// What was asked of the server: its answer is checked against it.
  let request: UpgradeRequest
  let markerSubprotocol: String?
  /// What the edge and the client compress with; `nil` where that is left to client and server.
  let agreement: DeflateAgreement?
}

/// What a client asked, as far as its connection is concerned.
struct Asked {
  let method: String
  let version: HTTPVersion
  /// Whether the connection may carry another request behind this one.
  let persists: Bool
  /// The body as HTTP/1 frames it; `nil` where HTTP/2 does.
  let body: BodyReader?
  /// Whether octets follow the head that belong to it.
  let hasContent: Bool
  /// How the body goes on to the server.
  let framing: BodyFraming
  /// Makes the trailers that go on of those that came.
  let forwarding: Forwarding

  /// RFC 9110 §9.2.1: whether asking twice is no more than asking once.
  var isSafe: Bool { ["GET", "HEAD", "OPTIONS"].contains(self.method) }
}
