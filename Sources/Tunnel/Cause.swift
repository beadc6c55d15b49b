public import WebSocket

/// Why a tunnel ends: what the access log says, and what each peer is told.
public enum Cause: Equatable, Sendable {
  /// This peer sent a close frame.
  case closed(Side)
  /// This peer ended the connection without one.
  case lost(Side)
  /// The connection to this peer broke.
  case broken(Side)
  /// This peer broke the rules of framing.
  case violation(Side, FrameViolation)
  /// This peer's message is larger than may be.
  case messageTooBig(Side)
  /// This peer sends messages faster than may be.
  case messageRate(Side)
  /// This peer sends octets faster than may be.
  case byteRate(Side)
  /// What the client compressed cannot be inflated.
  case badCompression
  /// What the client was admitted for is no longer valid.
  case tokenExpired
  /// Neither peer has said anything for too long.
  case idle
  /// The tunnel has lived as long as it may.
  case lifetime
  /// This peer takes nothing.
  case stall(Side)
  /// This peer has taken nothing for longer than others, and the worker needs the memory.
  case shed(Side)
  /// This peer does not answer a ping.
  case heartbeat(Side)
  /// This peer does not answer the other's close frame, which had this code.
  case closeTimeout(Side, CloseCode?)
  /// The edge stops.
  case shutdown
  /// The configuration has no such route any more.
  case routeRemoved
  /// The route does not lead to this server any more.
  case serverRemoved
  /// The server was found dead by the checks of its health.
  case serverDead
  /// An operator closes it with this code.
  case operatorClose(CloseCode, words: String)

  /// The word of the access log.
  public var reason: String {
    switch self {
    case .closed: "closed"
    case .lost, .broken: "lost"
    case .violation: "protocol_error"
    case .messageTooBig: "message_size"
    case .messageRate: "message_rate"
    case .byteRate: "byte_rate"
    case .badCompression: "bad_compression"
    case .tokenExpired: "token_expired"
    case .idle: "idle_timeout"
    case .lifetime: "lifetime"
    case .stall: "stall"
    case .shed: "shed"
    case .heartbeat: "heartbeat"
    case .closeTimeout: "close_timeout"
    case .shutdown: "shutdown"
    case .routeRemoved: "route_removed"
    case .serverRemoved: "server_removed"
    case .serverDead: "server_dead"
    case .operatorClose: "operator"
    }
  }

  /// The peer that began the end; `nil` where it was the edge.
  public var closer: Side? {
    switch self {
    case .closed(let side), .lost(let side), .broken(let side): side
    case .closeTimeout(let silent, _): silent.other
    default: nil
    }
  }

  /// The peer whose doing it is; `nil` where it is nobody's.
  public var culprit: Side? {
    switch self {
    case .closed(let side), .lost(let side), .broken(let side), .violation(let side, _),
      .messageTooBig(let side), .messageRate(let side), .byteRate(let side), .stall(let side),
      .shed(let side), .heartbeat(let side), .closeTimeout(let side, _):
      side
    case .badCompression: .downstream
    case .tokenExpired, .idle, .lifetime, .shutdown, .routeRemoved, .serverRemoved, .serverDead,
      .operatorClose:
      nil
    }
  }

  /// Whether this peer takes nothing more, so that there is no point in waiting for it.
  func isDeaf(_ side: Side) -> Bool {
    switch self {
    case .stall(let deaf), .shed(let deaf), .heartbeat(let deaf): deaf == side
    default: false
    }
  }
}

// MARK: - What the peers are told

extension Cause {
  /// The close frame for one peer, with a reason that its developer understands; `nil` where the peer
  /// gets none, because it has one already or because the connection says it all.
  public func closePayload(for side: Side) -> ClosePayload? {
    self.closeCode(for: side).map { ClosePayload(code: $0, reason: self.words(for: side)) }
  }

  private func closeCode(for side: Side) -> CloseCode? {
    let isCulprit = self.culprit == side
    switch self {
    case .closed: return nil
    // 1012 tells a client to come back: a server that ends in order most often restarts. A server is
    // told of its client's end in the way in which the client said it.
    case .lost(let lost): return lost == .upstream && !isCulprit ? .serviceRestart : nil
    case .broken(let broken): return broken == .upstream && !isCulprit ? .internalError : nil
    case .violation(_, let violation):
      return isCulprit ? violation.closeCode : side == .downstream ? .internalError : .goingAway
    case .messageTooBig: return isCulprit ? .messageTooBig : .goingAway
    case .messageRate, .byteRate: return isCulprit ? .policyViolation : .goingAway
    case .badCompression: return isCulprit ? .invalidPayload : .goingAway
    case .tokenExpired: return side == .downstream ? .policyViolation : .goingAway
    case .idle, .lifetime, .shutdown, .routeRemoved: return .goingAway
    // A client that comes back is given another server.
    case .serverRemoved, .serverDead: return side == .downstream ? .serviceRestart : .goingAway
    case .operatorClose(let code, _): return side == .downstream ? code : .goingAway
    case .stall: return isCulprit ? .policyViolation : .tryAgainLater
    case .shed: return .tryAgainLater
    case .heartbeat: return side == .downstream && !isCulprit ? .internalError : .goingAway
    case .closeTimeout(_, let code): return code ?? .normalClosure
    }
  }

  /// What a close frame carries beside its code.
  private func words(for side: Side) -> String {
    let peer = self.culprit == side ? "you" : side == .downstream ? "the server" : "the client"
    switch self {
    case .closed, .lost, .broken: return side == .downstream ? "the server is gone" : ""
    case .violation(_, let violation):
      return self.culprit == side ? violation.reason : "\(peer) broke the protocol"
    case .messageTooBig: return "\(peer) sent too large a message"
    case .messageRate: return "\(peer) sent too many messages"
    case .byteRate: return "\(peer) sent too fast"
    case .badCompression: return "\(peer) sent bad compressed octets"
    case .tokenExpired: return "the token has expired"
    case .idle: return "nothing was said for too long"
    case .lifetime: return "the connection has lived as long as it may"
    case .stall, .shed: return "\(peer) took nothing for too long"
    case .heartbeat: return "\(peer) did not answer a ping"
    case .closeTimeout: return ""
    case .shutdown: return "the edge stops"
    case .routeRemoved: return "the route is gone"
    case .serverRemoved: return "the server was taken out of service"
    case .serverDead: return side == .downstream ? "the server is gone" : ""
    case .operatorClose(_, let words): return side == .downstream ? words : ""
    }
  }

  /// What the access log says beside ``reason``.
  public var detail: String? {
    if case .violation(_, let violation) = self { violation.reason } else { nil }
  }
}
