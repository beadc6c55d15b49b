internal import Admission
internal import Compression
internal import Configuration
internal import HTTP
internal import Net
internal import Signaling
internal import Transport
internal import Tunnel
internal import Upstream
internal import WebSocket

/// A request whose head is complete: what is to become of it. Cheap checks come first, and those
/// that cost a verification last.
struct Reception {
  private let exchange: Exchange
  private let head: RequestHead

  init(_ exchange: Exchange, _ head: RequestHead) {
    self.exchange = exchange
    self.head = head
  }

  /// - Parameter pipelined: octets that came behind the head.
  func decide(
    _ downstream: consuming ByteStream, _ pipelined: [UInt8], _ bench: inout Workbench
  ) -> Connection {
    do throws(Refusal) {
      if bench.departure.refusesRequests { throw .draining(retryAfter: Limits.retryAfter) }
      guard bench.commons.occupancy.maySpareTunnel, !bench.isNearBudget else {
        throw .overloaded(retryAfter: Limits.retryAfter)
      }
      guard let route = self.exchange.route else { throw .noRoute }
      if let page = self.page(of: route) { return self.exchange.answer(page, downstream, &bench) }
      let request = try self.parse()
      guard pipelined.count <= Limits.pipelinedByteCountMax else {
        throw Refusal(
          status: 400, error: "bad_request",
          reason: "Too much was sent behind the request before its answer.")
      }
      // Before the credentials: guessing them is to cost the guesser something.
      if let refusal = self.exchange.enterQuotas(route, bench) { throw refusal }
      let found = examine(
        self.head, subprotocols: request.subprotocols, rules: route.rules.admission)
      let admission = PendingAdmission(
        exchange: self.exchange, route: route, head: self.head, request: request,
        pipelined: pipelined)
      return Admitting.proceed(found, downstream, admission, &bench)
    } catch {
      return self.exchange.refuse(error, downstream, &bench)
    }
  }

  /// What is served beside the rooms of a route, where that is asked for and no WebSocket is.
  private func page(of route: Route) -> PageAnswer? {
    guard let hall = route.hall, hall.rules.demo, !self.head.fields.contains("upgrade") else {
      return nil
    }
    return Page(name: hall.rest(of: self.head.path)).map { $0.answer(to: self.head) }
  }

  private func parse() throws(Refusal) -> UpgradeRequest {
    do throws(UpgradeRequest.Rejection) {
      return try UpgradeRequest.parse(self.head)
    } catch {
      throw .upgrade(status: error.status, reason: error.reason, fields: error.fields)
    }
  }
}

/// A request on its way through admission.
struct PendingAdmission {
  let exchange: Exchange
  let route: Route
  let head: RequestHead
  let request: UpgradeRequest
  let pipelined: [UInt8]

  /// The client may pass: the request for the server is made, and a server is looked for.
  func admitted(
    _ admitted: Admitted, _ downstream: consuming ByteStream, _ bench: inout Workbench
  ) -> Connection {
    self.exchange.admitted(admitted, bench)
    switch self.route.service {
    case .upstream(let group): return self.forward(admitted, to: group, downstream, &bench)
    case .rooms(let hall):
      return RoomEntrance(self, hall).enter(admitted, downstream, &bench)
    }
  }

  private func forward(
    _ admitted: Admitted, to group: Group, _ downstream: consuming ByteStream,
    _ bench: inout Workbench
  ) -> Connection {
    var head = self.forwarded(for: admitted, bench)
    self.exchange.addTrace(to: &head.fields, self.head, &bench)
    do throws(UpgradeRequest.Rejection) {
      let affinity = Affinity(self.head, admitted, self.exchange, group.rules, bench)
      let upgrade = OutgoingUpgrade(
        exchange: self.exchange, route: self.route, group: group,
        request: try self.request(in: head),
        octets: head.serialized(), pipelined: self.pipelined,
        markerSubprotocol: self.marker(in: head), agreement: self.agreement(),
        affinity: affinity)
      return Connecting.begin(upgrade, downstream, tried: [], fault: nil, &bench)
    } catch {
      let refusal = Refusal.upgrade(
        status: error.status, reason: error.reason, fields: error.fields)
      return self.exchange.refuse(refusal, downstream, &bench)
    }
  }

  /// What is asked of the server: less than the client asked for where a token was cut from the list
  /// of subprotocols, or where extensions are not the server's to choose.
  private func request(
    in forwarded: RequestHead
  ) throws(UpgradeRequest.Rejection) -> UpgradeRequest {
    let sources = self.route.rules.admission.credentials?.jwt?.sources ?? []
    let isCut = sources.contains(.subprotocol) || self.route.rules.tunnel.compression != .pass
    return isCut ? try UpgradeRequest.parse(forwarded) : self.request
  }

  /// What the edge and the client compress with, where that is the edge's work.
  private func agreement() -> DeflateAgreement? {
    guard self.route.rules.tunnel.compression == .offload else { return nil }
    return DeflateAgreement.negotiate(offers: self.request.extensions)
  }

  /// What a service is told that is to judge the request: all of it, tokens included.
  func question(_ bench: borrowing Workbench) -> Fields {
    Forwarding(
      clientAddress: self.exchange.clientText, isTrustedPeer: self.exchange.isTrustedPeer(bench),
      scheme: self.exchange.arrival.listener.scheme, requestID: self.exchange.requestID
    ).question(about: self.head)
  }

  /// The head without anything that shows who the client is.
  var cleanHead: RequestHead {
    let credentials = self.route.rules.admission.credentials
    return credentials.map { withoutCredentials(self.head, rules: $0) } ?? self.head
  }

  /// The head as the server gets it: without tokens, with what the edge vouches for.
  private func forwarded(
    for admitted: Admitted, _ bench: borrowing Workbench
  ) -> RequestHead {
    let rules = self.route.rules
    let credentials = rules.admission.credentials
    let forwarding = Forwarding(
      // The peer, not the client: each proxy names whom it heard (RFC 7239 §4).
      clientAddress: peerText(self.exchange.arrival.peer),
      isTrustedPeer: self.exchange.isTrustedPeer(bench),
      scheme: self.exchange.arrival.listener.scheme, requestID: self.exchange.requestID,
      identityFields: admitted.identityFields,
      identityFieldNames: credentials?.identityFieldNames ?? [],
      setFields: rules.headers.set, removeFields: rules.headers.remove,
      stripPrefix: rules.stripPrefix, setPrefix: rules.setPrefix, host: rules.headers.host)
    var head = forwarding.upgradeRequest(from: self.cleanHead)
    // Who is offered no extension accepts none: the server speaks plainly.
    if rules.tunnel.compression != .pass { head.fields.remove("Sec-WebSocket-Extensions") }
    return head
  }

  /// `bearer`, where the client offered it as the marker of a token that is cut from the list: it is
  /// echoed if the server chooses no subprotocol, since browsers insist on a choice.
  func marker(in forwarded: RequestHead) -> String? {
    let marker = self.head.fields.tokens("Sec-WebSocket-Protocol")
      .first { $0.lowercased() == "bearer" }
    let isLeft = forwarded.fields.contains("Sec-WebSocket-Protocol", token: "bearer")
    return isLeft ? nil : marker
  }
}

/// A request for a server, kept until one has answered it.
struct OutgoingUpgrade {
  let exchange: Exchange
  let route: Route
  let group: Group
  /// What was asked of the server: its answer is checked against it.
  let request: UpgradeRequest
  /// The request's head on the wire.
  let octets: [UInt8]
  /// What the client sent behind its head: the first octets of the tunnel.
  let pipelined: [UInt8]
  let markerSubprotocol: String?
  /// What the edge and the client compress with; `nil` where that is left to client and server.
  let agreement: DeflateAgreement?
  /// What speaks for one of the servers.
  let affinity: Affinity
}
