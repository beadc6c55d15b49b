internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Telemetry
internal import Transport
internal import Upstream

/// One request and what becomes of it: the facts of its access record, and what it holds of quotas
/// and loads until it is finished. Touched when something about the request is decided, never by a
/// message.
final class Exchange {
  let arrival: Arrival
  /// When the head was complete.
  private let beganAt: Deadline
  /// Names the request in answers, records and towards the server.
  let requestID: String
  /// The client behind trusted proxies; `nil` where it cannot be known.
  let client: IPAddress?
  /// The request; `nil` where its head could not be read, and where no answer is owed any more.
  private var head: RequestHead?
  /// What remains of it for the record of a tunnel.
  private var method: String?
  private var host: String?
  private var target: String?
  private var http: HTTPVersion?
  /// What the client has sent behind the request, where its connection may carry another one.
  private var rest: [UInt8]?
  /// The trace that the request belongs to, where traces are kept.
  private let trace: TraceContext?
  private(set) var route: Route?
  private(set) var subject: String?
  /// When that ends for which the client was admitted.
  private(set) var expiresAt = Deadline.never
  /// The server that was tried last.
  private var endpoint: Endpoint?
  private var hasEnteredQuota = false
  private var isFinished = false

  /// A request that has been read.
  init(_ arrival: Arrival, _ head: RequestHead, _ bench: inout Workbench) {
    self.arrival = arrival
    self.beganAt = bench.now
    let trusted = bench.snapshot.trustedProxies
    let peer = arrival.peer?.ipAddress
    self.client = clientAddress(peer: peer, fields: head.fields, trusted: trusted)
    self.requestID = Self.requestID(head.fields, Self.isTrusted(peer, trusted), &bench.chance)
    self.trace = bench.snapshot.traces ? Self.trace(head.fields, &bench.chance) : nil
    self.route = bench.snapshot.route(host: head.host, path: head.path)
    self.head = head
  }

  /// A request whose head could not be read.
  init(unreadable arrival: Arrival, _ bench: inout Workbench) {
    self.arrival = arrival
    self.beganAt = bench.now
    self.client = arrival.peer?.ipAddress
    self.requestID = bench.chance.next().hexadecimalDigits
    self.trace = bench.snapshot.traces ? Self.trace(Fields(), &bench.chance) : nil
  }

  deinit { assert(self.isFinished, "an exchange ended without a record") }

  /// Whether what the peer says about earlier hops is believed.
  func isTrustedPeer(_ bench: borrowing Workbench) -> Bool {
    Self.isTrusted(self.arrival.peer?.ipAddress, bench.snapshot.trustedProxies)
  }

  private static func isTrusted(_ peer: IPAddress?, _ trusted: [AddressRange]) -> Bool {
    guard let peer else { return !trusted.isEmpty }
    return trusted.contains { $0.contains(peer) }
  }

  /// A trusted proxy's own number, so that records can be followed through it; a new one otherwise.
  private static func requestID(
    _ fields: Fields, _ isTrusted: Bool, _ chance: inout SplitMix
  ) -> String {
    if isTrusted, let given = fields.first("X-Request-Id"),
      (1...128).contains(given.utf8.count), given.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    {
      return given
    }
    return chance.next().hexadecimalDigits
  }

  /// The client's trace where it has one, and only one; a new one otherwise.
  private static func trace(_ fields: Fields, _ chance: inout SplitMix) -> TraceContext {
    let given = fields.values("traceparent")
    let trace = given.count == 1 ? TraceContext(traceparent: given[0]) : nil
    return trace ?? TraceContext(high: chance.next(), low: chance.next())
  }

  /// Puts the trace into a request for the server. The state of a trace that was not passed on means
  /// nothing (W3C Trace Context §3.3.1).
  func addTrace(to head: inout RequestHead, _ received: RequestHead, _ bench: inout Workbench) {
    guard let trace = self.trace else { return }
    let given = received.fields.values("traceparent")
    if given.count != 1 || TraceContext(traceparent: given[0]) == nil {
      head.fields.remove("tracestate")
    }
    head.fields.set("traceparent", trace.traceparent(span: bench.chance.next()))
  }

  /// The connection may carry another request behind this one, whose answer is all that it waits for.
  func mayPersist(_ head: RequestHead, behind rest: [UInt8]) {
    if head.keepsConnection, head.version != .http2 { self.rest = rest }
  }

  /// The client's Accept, several lines as one list.
  private var accept: String? {
    let values = self.head?.fields.values("accept") ?? []
    return values.isEmpty ? nil : values.joined(separator: ", ")
  }

  /// What browsers want to know before they show an answer to a page of another origin: it replaces what
  /// a server has said of that.
  func addCORS(to fields: inout Fields) {
    guard let route = self.route, let cors = route.cors, let head = self.head else { return }
    fields.removeAll(where: CORSRules.owns)
    for (name, value) in cors.answerFields(to: head, origins: route.rules.admission.origins) {
      fields.append(name: name, value: value)
    }
  }

  /// The address for records and forwarded fields.
  var clientText: String {
    if self.client == self.arrival.peer?.ipAddress { return self.arrival.peerText }
    return self.client?.description ?? self.arrival.peerText
  }

  func admitted(_ admitted: Admitted, _ bench: borrowing Workbench) {
    self.subject = admitted.subject
    bench.meter.admissionLatency.record(since: self.beganAt, at: .now())
    self.expiresAt = bench.deadline(ofExpiry: admitted.expiry)
  }

  /// The request is answered by a WebSocket, which may live for long: what the record needs of the head is
  /// kept, and no more.
  func forgetHead() {
    guard let head = self.head else { return }
    self.method = head.method
    self.host = head.authority
    let rules = self.route?.rules.admission.credentials
    self.target = loggedTarget(head.target, rules: rules)
    self.http = head.version
    self.head = nil
  }

  /// A server has begun to answer an ordinary request.
  func noteAnswer(_ bench: borrowing Workbench) {
    bench.meter.answerLatency.record(since: self.beganAt, at: bench.now)
  }

  func tried(_ endpoint: Endpoint) { self.endpoint = endpoint }

  /// Counts the client against the route's quotas; a refusal where they are used up.
  func enterQuotas(
    _ route: Route, _ kind: ClientQuotas.Kind, _ bench: borrowing Workbench
  ) -> Refusal? {
    let entered = bench.commons.quotas.enter(
      client: self.client, route: route.rules.name, rules: route.rules.admission, as: kind,
      now: bench.now)
    switch entered {
    case .entered:
      self.hasEnteredQuota = true
      return nil
    case .tooManyConnections: return .tooManyConnections(retryAfter: Limits.retryAfter)
    case .tooManyUpgrades(let delay):
      return kind == .upgrade
        ? .tooManyUpgrades(retryAfter: delay) : .tooManyRequests(retryAfter: delay)
    }
  }

  /// Answers with a refusal and ends the connection behind it.
  func refuse(
    _ refusal: Refusal, _ downstream: consuming ByteStream, _ bench: inout Workbench
  ) -> Connection {
    self.noteDeparture(bench)
    var (head, body) = refusal.response(
      requestID: self.requestID, accept: self.accept,
      persists: self.rest != nil || downstream.isCarried)
    self.addCORS(to: &head.fields)
    if self.head?.method == "HEAD" { body = [] }
    let ending = Ending(
      kind: .request, status: refusal.status, closer: .edge, reason: refusal.reason,
      tls: downstream.tlsVersion, error: refusal.error)
    return self.conclude(head, body, ending, downstream, &bench)
  }

  /// Answers with a page of the edge's own and ends the connection behind it.
  func answer(
    _ page: PageAnswer, _ downstream: consuming ByteStream, _ bench: inout Workbench
  ) -> Connection {
    self.noteDeparture(bench)
    var head = page.head
    head.fields.append(name: "X-Request-Id", value: self.requestID)
    let ending = Ending(
      kind: .request, status: head.status, closer: .edge, reason: "answered",
      tls: downstream.tlsVersion, outboundByteCount: UInt64(page.body.count))
    if self.rest == nil { head.fields.append(name: "Connection", value: "close") }
    return self.conclude(head, page.body, ending, downstream, &bench)
  }

  /// A process that is about to end awaits no further requests.
  private func noteDeparture(_ bench: borrowing Workbench) {
    if bench.departure.closesUntil != nil { self.rest = nil }
  }

  /// Sends the edge's own answer, the last on its connection as a rule.
  private func conclude(
    _ head: ResponseHead, _ body: [UInt8], _ ending: Ending, _ downstream: consuming ByteStream,
    _ bench: inout Workbench
  ) -> Connection {
    let fault = downstream.answer(head, body: body, &bench.scratch)
    self.finish(ending, bench)
    guard fault == nil else { return bench.close(downstream) }
    if let rest = self.rest, !downstream.isCarried {
      return ReadingHead.next(downstream, behind: rest, self.arrival, &bench)
    }
    return Closing(downstream, self.arrival.token).begin(&bench)
  }

  /// Ends the connection without an answer: the client is gone, or the process ends.
  func abandon(
    _ downstream: consuming ByteStream, _ closer: AccessRecord.Closer, _ reason: String,
    _ bench: inout Workbench
  ) -> Connection {
    let tls = downstream.tlsVersion
    self.finish(Ending(kind: .request, status: 0, closer: closer, reason: reason, tls: tls), bench)
    return bench.close(downstream)
  }

  /// How an exchange ended.
  struct Ending {
    let kind: AccessRecord.Kind
    let status: Int
    let closer: AccessRecord.Closer
    let reason: String
    let tls: String?
    var error: String?
    var inboundByteCount: UInt64 = 0
    var outboundByteCount: UInt64 = 0
    var frames: AccessRecord.Frames?
    var room: String?
    var peer: String?
  }

  /// Gives back what the request held and writes its record. Once, at the end of every path.
  func finish(_ ending: Ending, _ bench: borrowing Workbench) {
    assert(!self.isFinished, "an exchange ended twice")
    self.isFinished = true
    if self.hasEnteredQuota, let route = self.route {
      bench.commons.quotas.leave(
        client: self.client, route: route.rules.name, rules: route.rules.admission)
    }
    if ending.kind == .request {
      bench.meter.answers.raise(
        .init(route: self.route?.rules.name, status: ending.status, error: ending.error))
    }
    let duration = Deadline.now().duration(since: self.arrival.acceptedAt)
    bench.snapshot.access.write { self.record(ending, duration) }
  }

  private static func text(of version: HTTPVersion) -> String {
    switch version {
    case .http10: "1.0"
    case .http11: "1.1"
    case .http2: "2"
    }
  }

  private func record(_ ending: Ending, _ duration: Duration) -> AccessRecord {
    var record = AccessRecord(
      kind: ending.kind, requestID: self.requestID, client: self.clientText,
      status: ending.status, duration: duration, closer: ending.closer, reason: ending.reason)
    record.route = self.route?.rules.name
    record.subject = self.subject
    record.traceID = self.trace?.id
    record.upstream = self.endpoint?.label
    self.forgetHead()
    record.method = self.method
    record.host = self.host
    record.target = self.target
    record.http = self.http.map(Self.text)
    record.tls = ending.tls
    record.error = ending.error
    record.inboundByteCount = ending.inboundByteCount
    record.outboundByteCount = ending.outboundByteCount
    record.frames = ending.frames
    record.room = ending.room
    record.peer = ending.peer
    return record
  }
}
