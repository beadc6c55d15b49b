/// What a peer says.
public enum ClientMessage: Equatable, Sendable {
  /// How it wants to come in; the first message, where it announced one.
  case join(Greeting)
  /// To one other peer. The payload is the relayed message's JSON from its `kind` on.
  case signal(to: PeerID, SignalKind, payload: [UInt8])
  /// To all others. The payload is the relayed message's JSON from its `data` on.
  case broadcast(payload: [UInt8])
  case update(name: Change<String>, meta: Change<[UInt8]>)
  /// A fresh token.
  case token(String)
  /// Asks for an answer, and nothing else.
  case ping
  case leave
  case kick(PeerID, reason: String, ban: Duration?)
  case lock(Bool)
  case room(meta: Change<[UInt8]>, peerCountMax: Int?)
  case role(PeerID, Role)

  /// What becomes of something.
  public enum Change<Value: Equatable & Sendable>: Equatable, Sendable {
    case keep
    case clear
    case set(Value)
  }
}

/// What a directed message is.
public enum SignalKind: String, Sendable, CaseIterable {
  /// An SDP offer.
  case offer
  /// An SDP answer.
  case answer
  /// ICE candidates.
  case candidates
  /// An SDP description that says itself what it is.
  case description
  /// Whatever the application makes of it.
  case custom
}

/// What a peer says of itself when it comes in.
public struct Greeting: Equatable, Sendable {
  /// What others are to call it.
  public var name: String?
  /// A JSON object about it, as it was written; empty for none.
  public var meta: [UInt8]
  /// The room's password.
  public var password: String?
  /// What its place was named by, where it had one.
  public var resume: String?
  /// The number of the last message that it saw; `nil` where it knows of none.
  public var sequence: UInt64?

  /// A greeting; without anything, a stranger's.
  public init(
    name: String? = nil, meta: [UInt8] = [], password: String? = nil, resume: String? = nil,
    sequence: UInt64? = nil
  ) {
    self.name = name
    self.meta = meta
    self.password = password
    self.resume = resume
    self.sequence = sequence
  }
}

/// A message, and the id by which its answer is to name it.
public struct Incoming: Equatable, Sendable {
  /// What is said.
  public var message: ClientMessage
  /// The id as JSON; empty where there is none.
  public var id: [UInt8]

  /// A message, perhaps with an id.
  public init(_ message: ClientMessage, id: [UInt8] = []) {
    self.message = message
    self.id = id
  }
}

/// Why a message is not carried out: the peer is told, and goes on.
public struct MessageFault: Error, Equatable, Sendable {
  /// The word for programs.
  public var code: ErrorCode
  /// The sentence for people. It quotes nothing that the peer sent.
  public var words: String
  /// The message's id as JSON; empty where it has none, or none that could be read.
  public var id: [UInt8] = []
  /// The peer that is not there.
  public var peer: PeerID?

  /// A fault with a sentence.
  public init(_ code: ErrorCode, _ words: String, id: [UInt8] = []) {
    self.code = code
    self.words = words
    self.id = id
  }

  /// Nobody has this id.
  static func noSuchPeer(_ peer: PeerID) -> MessageFault {
    var fault = MessageFault(.noSuchPeer, "Nobody else in this room has this id.")
    fault.peer = peer
    return fault
  }

  /// The same about the message with this id.
  func answering(_ id: [UInt8]) -> MessageFault {
    var fault = self
    fault.id = id
    return fault
  }
}
