internal import Admission
internal import Configuration
internal import HTTP
internal import Net
internal import Signaling
internal import Transport
internal import WebSocket

/// An admitted request for a room: the handshake is answered here, and everything that is still wrong
/// is told over the WebSocket, because a script in a browser sees no status.
struct RoomEntrance {
  private let admission: PendingAdmission
  private let request: UpgradeRequest
  private let hall: Hall

  init(_ admission: PendingAdmission, _ request: UpgradeRequest, _ hall: Hall) {
    self.admission = admission
    self.request = request
    self.hall = hall
  }

  func enter(
    _ admitted: Admitted, _ downstream: consuming ByteStream, _ bench: inout Workbench
  ) -> Connection {
    let exchange = self.admission.exchange
    let rest = self.hall.rest(of: self.admission.head.path)
    guard let rest, let room = RoomName(rest) else {
      return exchange.refuse(.noRoomName, downstream, &bench)
    }
    let subprotocol: String?
    do throws(Refusal) {
      subprotocol = try self.subprotocol()
    } catch {
      return exchange.refuse(error, downstream, &bench)
    }
    var answer = responseHead101(answering: self.request, subprotocol: subprotocol)
    answer.fields.set("X-Request-Id", exchange.requestID)
    let pass = Pass.permitted(
      by: admitted, into: room, client: exchange.clientText, expiresAt: exchange.expiresAt)
    let greeting = self.greeting()
    let phase = Attending(
      downstream, self.admission, self.hall, room, pass, greets: greeting == nil,
      pingTag: bench.chance.next(), bench)
    return Attending.begin(
      phase, answer, greeting, self.admission.pipelined, &bench)
  }

  /// The protocol's own, where it is offered, and none, where none is.
  private func subprotocol() throws(Refusal) -> String? {
    let clean = self.admission.cleanHead
    let offered = clean.fields.tokens("Sec-WebSocket-Protocol")
    if offered.contains(Hall.subprotocol) { return Hall.subprotocol }
    guard offered.isEmpty else {
      throw Refusal(
        status: 400, error: "no_subprotocol",
        reason: "Of the subprotocols, only \(Hall.subprotocol) is spoken here.")
    }
    return self.admission.marker(in: clean)
  }

  /// What the query says of the client; `nil` where its first message is to say it.
  private func greeting() -> Result<Greeting, MessageFault>? {
    guard self.parameter("join") != "message" else { return nil }
    var greeting = Greeting(
      password: self.parameter("password"), resume: self.parameter("resume"),
      sequence: self.parameter("seq").flatMap(UInt64.init))
    do throws(MessageFault) {
      greeting.name = try self.parameter("name").map { name throws(MessageFault) in
        try PeerName.checked(name)
      }
      return .success(greeting)
    } catch {
      return .failure(error)
    }
  }

  private func parameter(_ name: String) -> String? {
    // As forms and URLSearchParams write a space.
    let query = self.admission.head.query?.split(
      separator: "+", omittingEmptySubsequences: false
    ).joined(separator: "%20")
    guard let octets = queryParameter(name, in: query), !octets.isEmpty else { return nil }
    return String(validating: octets, as: UTF8.self)
  }
}

extension Refusal {
  /// What stands behind the route's path is no name of a room.
  fileprivate static let noRoomName = Refusal(
    status: 404, error: "no_room_name",
    reason: "A room's name is 1 to 128 letters, digits, \"-\", \"_\", \".\" and \"~\".")
}
