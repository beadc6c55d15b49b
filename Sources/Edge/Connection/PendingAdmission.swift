internal import Admission
internal import Compression
internal import Configuration
internal import HTTP
internal import Net
internal import Transport
internal import Tunnel
internal import Upstream
internal import WebSocket

/// A request on its way through admission.
struct PendingAdmission {
  let exchange: Exchange
  let route: Route
  let head: RequestHead
  let purpose: Purpose
  let framing: BodyFraming
  let pipelined: [UInt8]

  /// The client may pass: the request for the server is made, and a server is looked for.
  func admitted(
    _ admitted: Admitted, _ downstream: consuming ByteStream, _ bench: inout Workbench
  ) -> Connection {
    self.exchange.admitted(admitted, bench)
    switch (self.route.service, self.purpose) {
    case (.upstream(let group), _): return self.forward(admitted, to: group, downstream, &bench)
    case (.rooms(let hall), .upgrade(let request)):
      return RoomEntrance(self, request, hall).enter(admitted, downstream, &bench)
    // Rooms are no place for ordinary requests: the configuration refuses `http` beside them.
    case (.rooms, .request): return self.exchange.refuse(.noRoute, downstream, &bench)
    }
  }

  private func forward(
    _ admitted: Admitted, to group: Group, _ downstream: consuming ByteStream,
    _ bench: inout Workbench
  ) -> Connection {
    do throws(Refusal) {
      let outgoing = try self.outgoing(
        self.forwarding(for: admitted, bench), admitted, group, &bench)
      return Connecting.begin(outgoing, downstream, tried: [], fault: nil, &bench)
    } catch {
      return self.exchange.refuse(error, downstream, &bench)
    }
  }

  private func outgoing(
    _ forwarding: consuming Forwarding, _ admitted: Admitted, _ group: Group,
    _ bench: inout Workbench
  ) throws(Refusal) -> OutgoingRequest {
    var head: RequestHead
    var upgrade: OutgoingUpgrade?
    switch self.purpose {
    case .upgrade(let request):
      head = self.upgradeHead(forwarding, request)
      upgrade = try self.upgrade(request, head)
    case .request: head = forwarding.request(from: self.cleanHead, framing: self.framing)
    }
    self.exchange.addTrace(to: &head, self.head, &bench)
    return OutgoingRequest(
      exchange: self.exchange, route: self.route, group: group,
      asked: try self.asked(forwarding), upgrade: upgrade, octets: head.serialized(),
      pipelined: self.pipelined,
      affinity: Affinity(self.head, admitted, self.exchange, group, bench))
  }

  private func asked(_ forwarding: consuming Forwarding) throws(Refusal) -> Asked {
    do throws(HeadError) {
      let isUpgrade = self.purpose.upgrade != nil
      let isHTTP2 = self.head.version == .http2
      return Asked(
        method: isUpgrade ? "GET" : self.head.method, version: self.head.version,
        // What follows an upgrade may be frames, whatever it is answered with.
        persists: !isUpgrade && self.head.keepsConnection,
        body: isHTTP2 ? nil : try BodyReader(request: self.head),
        hasContent: !isUpgrade && self.framing != .none && self.framing != .length(0),
        framing: isUpgrade ? .none : self.framing, forwarding: forwarding)
    } catch {
      throw .head(error)
    }
  }

  private func upgrade(
    _ request: UpgradeRequest, _ forwarded: RequestHead
  ) throws(Refusal) -> OutgoingUpgrade {
    do throws(UpgradeRequest.Rejection) {
      return OutgoingUpgrade(
        request: try self.request(request, in: forwarded),
        markerSubprotocol: self.marker(in: forwarded), agreement: self.agreement(request))
    } catch {
      throw .upgrade(status: error.status, reason: error.reason, fields: error.fields)
    }
  }

  /// What is asked of the server: less than the client asked for where a token was cut from the list
  /// of subprotocols, or where extensions are not the server's to choose.
  private func request(
    _ asked: UpgradeRequest, in forwarded: RequestHead
  ) throws(UpgradeRequest.Rejection) -> UpgradeRequest {
    let sources = self.route.rules.admission.credentials?.jwt?.sources ?? []
    let isCut = sources.contains(.subprotocol) || self.route.rules.tunnel.compression != .pass
    return isCut ? try UpgradeRequest.parse(forwarded) : asked
  }

  /// What the edge and the client compress with, where that is the edge's work.
  private func agreement(_ request: UpgradeRequest) -> DeflateAgreement? {
    guard self.route.rules.tunnel.compression == .offload else { return nil }
    return DeflateAgreement.negotiate(offers: request.extensions)
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
    guard let rules = self.route.rules.admission.credentials else { return self.head }
    return withoutCredentials(self.head, rules: rules)
  }

  /// How the request reaches the server: without tokens, with what the edge vouches for.
  private func forwarding(
    for admitted: Admitted, _ bench: borrowing Workbench
  ) -> Forwarding {
    Forwarding(
      // The peer, not the client: each proxy names whom it heard (RFC 7239 §4).
      clientAddress: self.exchange.arrival.peerText,
      isTrustedPeer: self.exchange.isTrustedPeer(bench),
      scheme: self.exchange.arrival.listener.scheme, requestID: self.exchange.requestID,
      identityFields: admitted.identityFields,
      identityFieldNames: self.route.identityFieldNames,
      setFields: self.route.rules.headers.set, removeFields: self.route.rules.headers.remove,
      stripPrefix: self.route.rules.stripPrefix, setPrefix: self.route.rules.setPrefix,
      host: self.route.rules.headers.host)
  }

  private func upgradeHead(_ forwarding: borrowing Forwarding, _ request: UpgradeRequest)
    -> RequestHead
  {
    var head = forwarding.upgradeRequest(
      from: self.cleanHead, key: self.head.version == .http2 ? request.key : nil)
    // Who is offered no extension accepts none: the server speaks plainly.
    if self.route.rules.tunnel.compression != .pass {
      head.fields.remove("Sec-WebSocket-Extensions")
    }
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
