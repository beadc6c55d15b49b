import Net
import TLS

/// What is to be done over HTTP/2, checked.
struct StreamsPlan {
  /// What WebSockets do: each is one of the connections there.
  let load: Plan
  /// WebSockets that one HTTP/2 connection carries.
  let streamCount: Int

  /// HTTP/2 connections.
  var connectionCount: Int { self.load.connectionCount / self.streamCount }

  /// What each stream asks for.
  var request: RequestLines {
    RequestLines(
      webSocketAt: self.load.target, authority: self.load.authority,
      isSecure: self.load.tls != nil)
  }
}
