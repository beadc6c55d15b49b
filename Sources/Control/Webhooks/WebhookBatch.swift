internal import Configuration
internal import Crypto
internal import Foundation
internal import Net
internal import Signaling

/// Something that happened in a room, and when.
struct WebhookEvent: Sendable {
  /// Later ones have greater ids, compared as text; no two have the same, whichever process made them.
  let id: String
  let time: WallClock
  let notice: RoomNotice
}

/// Events that are told in one request. An attempt that is repeated has the same body.
struct WebhookBatch: Sendable {
  /// By which a receiver knows it again.
  let id: String
  let eventCount: Int
  let body: [UInt8]

  init(_ events: [WebhookEvent], route: String) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let body = ["events": events.map { EventBody($0, route: route) }]
    self.id = events.first?.id ?? ""
    self.eventCount = events.count
    // Texts alone, which can always be written.
    self.body = Array((try? encoder.encode(body)) ?? Data())
  }

  /// The value of `X-Sluice-Signature`. The time is a part of it, so that a receiver can tell a request
  /// that somebody has kept from one that is new.
  func signature(secret: String, unixSeconds: Int64) -> String {
    var code = HMAC<SHA256>(key: SymmetricKey(data: Array(secret.utf8)))
    code.update(data: Array("\(unixSeconds).".utf8))
    code.update(data: self.body)
    let digits = code.finalize().map { octet in
      let text = String(octet, radix: 16)
      return octet < 16 ? "0\(text)" : text
    }
    return "t=\(unixSeconds),v1=\(digits.joined())"
  }
}

/// An event as receivers get it.
private struct EventBody: Encodable {
  struct Peer: Encodable {
    let id: String
    let name: String?
    let role: String
    let subject: String?
    let address: String

    init(_ peer: PeerNotice) {
      self.id = "\(peer.id)"
      self.name = peer.name
      self.role = peer.role.rawValue
      self.subject = peer.subject
      self.address = peer.client
    }
  }

  let id: String
  let type: String
  let at: String
  let route: String
  let room: String
  var peer: Peer?
  var reason: String?

  init(_ event: WebhookEvent, route: String) {
    self.id = event.id
    self.type = event.notice.kind.word
    self.at = event.time.timestamp
    self.route = route
    self.room = "\(event.notice.room)"
    switch event.notice.kind {
    case .roomOpened, .roomClosed: break
    case .peerJoined(let peer): self.peer = Peer(peer)
    case .peerLeft(let peer, let departure):
      self.peer = Peer(peer)
      self.reason = departure.rawValue
    }
  }
}

extension RoomNotice.Kind {
  fileprivate var word: String {
    switch self {
    case .roomOpened: "room.opened"
    case .roomClosed: "room.closed"
    case .peerJoined: "peer.joined"
    case .peerLeft: "peer.left"
    }
  }
}
