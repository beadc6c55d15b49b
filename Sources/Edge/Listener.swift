internal import Net
internal import TLS

/// One worker's end of a listener.
final class Listener: Sendable {
  let socket: ListeningSocket
  /// How its connections are terminated; `nil` for plain ones.
  let tls: ServerContext?

  init(_ socket: ListeningSocket, tls: ServerContext?) {
    self.socket = socket
    self.tls = tls
  }

  /// The scheme that its clients used, for X-Forwarded-Proto.
  var scheme: String { self.tls == nil ? "http" : "https" }
}
