internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Signaling
internal import Transport
internal import WebSocket

/// A request whose head is complete: what is to become of it. Cheap checks come first, and those
/// that cost a verification last.
struct Reception {
  private let exchange: Exchange
  private let head: RequestHead
  /// Of a request of HTTP/2, whether its stream goes on behind the head.
  private let hasContent: Bool

  init(_ exchange: Exchange, _ head: RequestHead, hasContent: Bool = false) {
    self.exchange = exchange
    self.head = head
    self.hasContent = hasContent
  }

  /// - Parameter pipelined: octets that came behind the head.
  consuming func decide(
    _ downstream: consuming ByteStream, _ pipelined: [UInt8], _ bench: inout Workbench
  ) -> Connection {
    do throws(Refusal) {
      if bench.departure.refusesRequests { throw .draining(retryAfter: Limits.retryAfter) }
      guard bench.commons.occupancy.maySpareTunnel, !bench.isNearBudget else {
        throw .overloaded(retryAfter: Limits.retryAfter)
      }
      let framing = try self.framing()
      // Behind a request for an upgrade, whatever becomes of it, there may be frames.
      let mayPersist =
        framing == .none && !self.isUpgrade && bench.departure.closesUntil == nil
      if let answer = try self.ownAnswer() ?? self.exchange.route.flatMap(self.answer) {
        if mayPersist { self.exchange.mayPersist(self.head, behind: pipelined) }
        return self.exchange.answer(answer, downstream, &bench)
      }
      guard let route = self.exchange.route else { throw .noRoute }
      if mayPersist, route.carriesRequests {
        self.exchange.mayPersist(self.head, behind: pipelined)
      }
      let purpose = try self.purpose(route, framing, pipelined, &bench)
      // Before the credentials: guessing them is to cost the guesser something.
      if let refusal = self.exchange.enterQuotas(route, purpose.kind, bench) { throw refusal }
      let found = examine(
        self.head, subprotocols: purpose.subprotocols, rules: route.rules.admission,
        isUpgrade: purpose.upgrade != nil)
      let admission = PendingAdmission(
        exchange: self.exchange, route: route, head: self.head, purpose: purpose,
        framing: framing, pipelined: pipelined)
      return Admitting.proceed(found, downstream, admission, &bench)
    } catch {
      return self.exchange.refuse(error, downstream, &bench)
    }
  }

  private func framing() throws(Refusal) -> BodyFraming {
    do throws(HeadError) {
      return try self.head.bodyFraming(hasContent: self.hasContent)
    } catch {
      throw .head(error)
    }
  }

  /// What the listener answers whatever the routes are.
  private func ownAnswer() throws(Refusal) -> PageAnswer? {
    if let directory = self.exchange.arrival.listener.rules.challengeDirectory,
      let answer = challengeAnswer(to: self.head, from: directory)
    {
      return answer
    }
    guard let port = self.exchange.arrival.listener.rules.httpsPort else { return nil }
    guard let head = redirectToHTTPS(head: self.head, port: port) else {
      throw .head(.missingHost)
    }
    return PageAnswer(head)
  }

  /// What is served beside the rooms of a route, and what browsers ask before they ask.
  private func answer(of route: Route) -> PageAnswer? {
    guard !self.isUpgrade else { return nil }
    if let hall = route.hall, hall.rules.demo {
      return Page(name: hall.rest(of: self.head.path)).map { $0.answer(to: self.head) }
    }
    guard let cors = route.cors, CORSRules.isPreflight(self.head) else { return nil }
    return PageAnswer(
      204, cors.preflightAnswer(to: self.head, origins: route.rules.admission.origins))
  }

  /// Whether it asks for a protocol, in the way of its version.
  private var isUpgrade: Bool {
    self.head.version == .http2
      ? self.head.connectProtocol != nil : self.head.fields.contains("upgrade")
  }

  private func purpose(
    _ route: Route, _ framing: BodyFraming, _ pipelined: [UInt8], _ bench: inout Workbench
  ) throws(Refusal) -> Purpose {
    if route.carriesRequests, !self.asksForWebSocket {
      try self.checkRequest(route, framing)
      return .request
    }
    let request = try self.parse(&bench)
    guard pipelined.count <= Limits.pipelinedByteCountMax else {
      throw Refusal(
        status: 400, error: "bad_request",
        reason: "Too much was sent behind the request before its answer.")
    }
    return .upgrade(request)
  }

  private var asksForWebSocket: Bool {
    self.head.version == .http2
      ? self.head.connectProtocol != nil : UpgradeRequest.isAsked(by: self.head.fields)
  }

  private func checkRequest(_ route: Route, _ framing: BodyFraming) throws(Refusal) {
    // A TRACE would show a client what the edge tells the server of it.
    guard self.head.method != "TRACE" else {
      throw .methodNotAllowed(allow: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    }
    if let countMax = route.rules.http?.bodyByteCountMax, case .length(let count) = framing,
      count > countMax
    {
      throw .bodyTooLarge
    }
  }

  private func parse(_ bench: inout Workbench) throws(Refusal) -> UpgradeRequest {
    do throws(UpgradeRequest.Rejection) {
      // RFC 8441 §4: what follows the head is the WebSocket, and has to be there.
      guard self.head.version != .http2 || self.hasContent || self.head.connectProtocol == nil
      else { throw .bodyAnnounced }
      return try UpgradeRequest.parse(
        self.head, key: upgradeKey(high: bench.chance.next(), low: bench.chance.next()))
    } catch {
      throw .upgrade(status: error.status, reason: error.reason, fields: error.fields)
    }
  }
}

/// What a request is for.
enum Purpose {
  case upgrade(UpgradeRequest)
  case request

  var upgrade: UpgradeRequest? { if case .upgrade(let request) = self { request } else { nil } }

  var subprotocols: [String] { self.upgrade?.subprotocols ?? [] }

  var kind: ClientQuotas.Kind { if case .upgrade = self { .upgrade } else { .request } }
}
