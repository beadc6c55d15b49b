internal import HTTP2

/// The limits of the data plane that no configuration sets. Those that one sets are in
/// Configuration's `Limits` and in the rules of routes and groups.
enum Limits {
  /// Octets of a request target (RFC 9112 §3 asks for 8000 at least); beyond it 414.
  static let targetByteCountMax = 8 * 1024
  /// Octets of a server's response head; beyond it 502.
  static let responseHeadByteCountMax = 64 * 1024
  /// How long a verifier may take to judge a token; beyond it 503.
  static let verdictTimeout = Duration.seconds(10)
  /// How long a server may take from the request to its answer's head; beyond it 504.
  static let upgradeTimeout = Duration.seconds(10)
  /// How long a client may take nothing of an answer that ends its connection, and then to close.
  static let closingTimeout = Duration.seconds(5)
  /// How long a client may take to ask, from the moment at which the edge begins to stop.
  static let lastRequestTimeout = Duration.seconds(1)
  /// Interim answers (1xx) that a server may send before the one that counts; beyond it 502.
  static let interimAnswerCountMax = 16
  /// Octets that a client may send behind its request before it has an answer; beyond it 400.
  static let pipelinedByteCountMax = 64 * 1024
  /// How long the rest of a tunnel may stand still after one side has ended or broken: for WebSocket
  /// that is the end of both (RFC 6455 §7.1.1), and whoever does not follow is a zombie. The same for
  /// an answer whose client sends nothing more.
  static let halfClosedTimeout = Duration.seconds(5)
  /// How long a peer may take to answer a close frame, and then to end the connection.
  static let closeTimeout = Duration.seconds(5)
  /// Payload octets from which it pays to move them from socket to socket inside the kernel. Where
  /// each message is answered, 16 KiB cost the same either way and 32 KiB a sixth less; of a stream
  /// of 16 KiB messages one receive takes ten.
  static let spliceByteCountMin = 32 * 1024
  /// Pipes of one worker, each with two descriptors; and the part of the process's descriptors that
  /// the pipes of all workers may take.
  static let pipeCountMax = 32
  static let pipeDescriptorsDivisor = 32
  /// The part of a route's octets that waits for a header's rest: beyond it, memory is given back.
  static let heldByteCountMax = 256
  /// The part of `shutdown_grace` that is kept for the last close frames to be answered, at most
  /// ``closeTimeout``.
  static let graceTailDivisor = 4
  /// How long a peer may take nothing while the queues are so full that newcomers are refused, and how often
  /// is looked for such peers.
  static let sparedTimeout = Duration.seconds(10)
  static let makesRoomInterval = Duration.seconds(1)
  /// How much longer than one that has never taken anything a peer may wait that has: a slow network shows
  /// it now and then only.
  static let takerHeadStart = Duration.seconds(2)
  /// Octets of queues that each worker has at least, whatever its part of the budget is.
  static let queuedByteCountMin = 128 * 1024
  /// Over how long the tunnels of a server that was declared dead are closed: they are of no use to
  /// anybody, but their clients are not to come back all at once.
  static let deadServerSpan = Duration.seconds(3)
  /// How often a worker that could end looks whether others still have peers of its rooms.
  static let awaitedInterval = Duration.milliseconds(50)
  /// Octets of the answer to a probe of a server's health that are looked at.
  static let probeHeadByteCountMax = 16 * 1024
  /// How long a client may take nothing of an answer, or send nothing of a request's body.
  static let responseTimeout = Duration.seconds(60)
  /// The window of an HTTP/2 stream at its begin (RFC 9113 §5.2), which is what waits here for a slow
  /// taker at most; that of a quick one grows to ``Carrier/windowByteCountMax``.
  static let streamWindowByteCount = 64 * 1024
  /// The window of an HTTP/2 connection. What has come counts against its stream alone.
  static let connectionWindowByteCount = 4 * 1024 * 1024
  /// Octets that may wait for an HTTP/2 client before it is not read any more: it can only have asked
  /// for them. More than its streams' content can be, of which as much waits for the socket as for that.
  static let unreadAnswersByteCountMax = 2 * Session.outputByteCountMax + 64 * 1024
  /// How long an HTTP/2 client with open streams may be silent before it is asked whether it is there,
  /// and how long it may take to say so.
  static let pingInterval = Duration.seconds(45)
  static let pingTimeout = Duration.seconds(15)
  /// How long a window of a few octets is let open further before it is used.
  static let smallWindowTimeout = Duration.milliseconds(200)
  /// Octets of a body that are copied behind their head, so that both go out at once.
  static let joinedByteCountMax = 32 * 1024
  /// Octets of a file that answers a certificate authority.
  static let challengeByteCountMax = 4 * 1024
  /// Receives for one connection and turn, so that a busy peer does not starve the others.
  static let receivesPerTurnMax = 4
  /// Connections accepted by one listener and turn.
  static let acceptsPerTurnMax = 64
  /// How long accepting pauses when descriptors have run out.
  static let acceptPause = Duration.milliseconds(100)
  /// Connections above the configured limit that are still taken, to be told 503.
  static let surplusConnectionCountMax = 1024
  /// Attempts that one request may make, whatever `retries` says: the registration is an octet.
  static let attemptCountMax = 100
  /// How long a client is asked to wait where Retry-After goes with an answer.
  static let retryAfter = Duration.seconds(1)
}
