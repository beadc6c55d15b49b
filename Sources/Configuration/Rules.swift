public import Admission
public import HTTP
public import Logging
public import Net
public import Signaling
public import TLS
public import Telemetry
public import Tunnel

/// One place where connections are accepted.
public struct ListenerRules: Sendable {
  /// The address that is bound.
  public var address: SocketAddress
  /// How TLS is terminated; `nil` for plain connections.
  public var tls: ServerContext?
  /// What ``tls`` was made from, for people to see.
  public var tlsSource: ListenerTLSSource?
  /// Whether HTTP/2 is spoken: over TLS where the client chooses it (ALPN), without TLS where the
  /// client begins with it (RFC 9113 §3.3).
  public var http2: Bool
  /// Whose connections begin with a PROXY protocol header, those on a unix socket among them as soon
  /// as there is one; empty where nobody's do.
  public var proxyProtocol: [AddressRange]
  /// Where requests are sent to come again over TLS; `nil` where they are answered here.
  public var httpsPort: UInt16?
  /// The directory whose files answer `/.well-known/acme-challenge/` (RFC 8555 §8.3); `nil` for none.
  public var challengeDirectory: String?
  /// What its part of the file, and the files named there, came to; empty for one made in code.
  public var fingerprint = ""

  /// A listener at `address`, plain without `tls`. HTTP/2 goes with TLS where `http2` says nothing.
  public init(
    address: SocketAddress, tls: ServerContext? = nil, tlsSource: ListenerTLSSource? = nil,
    http2: Bool? = nil, proxyProtocol: [AddressRange] = [], httpsPort: UInt16? = nil,
    challengeDirectory: String? = nil
  ) {
    self.address = address
    self.tls = tls
    self.tlsSource = tlsSource
    self.http2 = http2 ?? (tls != nil)
    self.proxyProtocol = proxyProtocol
    self.httpsPort = httpsPort
    self.challengeDirectory = challengeDirectory
  }
}

/// What a listener's TLS is made from.
public struct ListenerTLSSource: Equatable, Sendable {
  /// At least one; chosen by the name the client asks for, the first one otherwise.
  public var certificates: [CertificateFiles]
  /// Older clients are refused.
  public var minimumVersion: TLSVersion
  /// The file with the authorities that sign client certificates; `nil` where none is asked for.
  public var clientCA: String?

  /// The parts of a listener's TLS.
  public init(
    certificates: [CertificateFiles], minimumVersion: TLSVersion = .tls12, clientCA: String? = nil
  ) {
    self.certificates = certificates
    self.minimumVersion = minimumVersion
    self.clientCA = clientCA
  }
}

/// Which requests a route answers, whom it admits, and where they go.
public struct RouteRules: Sendable {
  /// Its name in records, 1 to 64 octets.
  public var name: String
  /// The requests it answers.
  public var match: RouteMatch
  /// What it asks of a client.
  public var admission: AdmissionRules
  /// What holds for its tunnels.
  public var tunnel: TunnelRules
  /// What becomes of the fields of a request on its way to the server.
  public var headers: HeaderRules
  /// Taken off the beginning of the path: whole segments. It begins with `/`.
  public var stripPrefix: String?
  /// Put before the path, behind the stripping. It begins with `/`.
  public var setPrefix: String?
  /// Where its WebSockets lead.
  public var destination: Destination
  /// How ordinary requests are forwarded to the same place; `nil` where only WebSockets are.
  public var http: HTTPRules?
  /// Who is told what happens in its rooms; `nil` for nobody.
  public var webhook: WebhookRules?
  /// What its part of the file, and the files named there, came to; empty for one made in code.
  public var fingerprint = ""

  /// A route. Without more it forwards requests as they are.
  public init(
    name: String, match: RouteMatch, admission: AdmissionRules,
    tunnel: TunnelRules = TunnelRules(), headers: HeaderRules = HeaderRules(),
    stripPrefix: String? = nil, setPrefix: String? = nil, destination: Destination,
    http: HTTPRules? = nil
  ) {
    self.name = name
    self.match = match
    self.admission = admission
    self.tunnel = tunnel
    self.headers = headers
    self.stripPrefix = stripPrefix
    self.setPrefix = setPrefix
    self.destination = destination
    self.http = http
  }

  /// Where the WebSockets of a route lead.
  public enum Destination: Sendable {
    /// To the servers of one of the configuration's ``Configuration/upstreams``, by its name.
    case upstream(String)
    /// To rooms of the edge's own.
    case rooms(RoomRules)
  }

  /// The name of the upstream; `nil` where it leads to none.
  public var upstream: String? {
    if case .upstream(let name) = self.destination { name } else { nil }
  }

  /// The rules of its rooms; `nil` where it has none.
  public var rooms: RoomRules? {
    if case .rooms(let rules) = self.destination { rules } else { nil }
  }
}

/// How a route forwards ordinary requests.
public struct HTTPRules: Sendable, Hashable {
  /// From the end of the request to the head of the answer; beyond it 504. 100 ms to 1 h.
  public var responseTimeout: Duration
  /// A request or an answer of which nothing moves for so long is given up. 1 s to 24 h.
  public var silenceTimeout: Duration
  /// Octets of a request's body; beyond it 413. `nil` for no limit.
  public var bodyByteCountMax: UInt64?
  /// What pages of the route's origins may do; `nil` where CORS is the server's own business.
  public var cors: CORSRules?

  /// The rules that a file has where it says nothing.
  public init(
    responseTimeout: Duration = .seconds(60), silenceTimeout: Duration = .seconds(300),
    bodyByteCountMax: UInt64? = nil, cors: CORSRules? = nil
  ) {
    self.responseTimeout = responseTimeout
    self.silenceTimeout = silenceTimeout
    self.bodyByteCountMax = bodyByteCountMax
    self.cors = cors
  }
}

/// Who is told what happens in a route's rooms.
public struct WebhookRules: Sendable, Hashable {
  /// The shortest secret that is taken, in octets.
  public static let secretByteCountMin = 16

  /// Where it is told, by POST.
  public var url: WebURL
  /// What the requests are signed with (HMAC-SHA256).
  public var secret: String
  /// How long one request may take.
  public var timeout: Duration
  /// Events that wait for their turn; beyond it the oldest are dropped.
  public var queueCountMax: Int

  /// A place to tell, and the secret that shows it who tells.
  public init(
    url: WebURL, secret: String, timeout: Duration = .seconds(5), queueCountMax: Int = 10_000
  ) {
    self.url = url
    self.secret = secret
    self.timeout = timeout
    self.queueCountMax = queueCountMax
  }
}

/// What becomes of the fields of a request on its way to the server. Fields that make the handshake
/// or frame the message are in none of the lists.
public struct HeaderRules: Sendable {
  /// Fields that replace those of the same name.
  public var set: [(name: String, value: String)]
  /// The names of fields that are left out.
  public var remove: [String]
  /// What the server gets as Host; `nil` for what the client sent. In a file it is one of the
  /// fields that are set.
  public var host: String?

  /// Rules; without any, every field stays.
  public init(
    set: [(name: String, value: String)] = [], remove: [String] = [], host: String? = nil
  ) {
    self.set = set
    self.remove = remove
    self.host = host
  }
}

/// Where operators talk to the edge.
public struct AdminRules: Hashable, Sendable {
  /// The shortest token that is taken, in octets.
  public static let tokenByteCountMin = 16

  /// The address that is bound.
  public var address: SocketAddress
  /// What everybody has to show as a bearer token; `nil` where nobody has to.
  public var token: String?

  /// A listener for operators.
  public init(address: SocketAddress, token: String? = nil) {
    self.address = address
    self.token = token
  }
}

/// What is logged, and how.
public struct LogRules: Hashable, Sendable {
  /// How a record is written.
  public var format: LogFormat
  /// Records below it are left out.
  public var level: Logger.Level
  /// Whether every connection leaves a record.
  public var access: Bool

  /// The rules that a file has where it says nothing.
  public init(format: LogFormat = .json, level: Logger.Level = .info, access: Bool = true) {
    self.format = format
    self.level = level
    self.access = access
  }
}
