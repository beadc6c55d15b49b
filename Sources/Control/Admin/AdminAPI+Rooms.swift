internal import Edge
internal import Foundation
internal import Hummingbird
internal import Net
internal import Signaling

/// What operators see of rooms, and do to them.
extension AdminAPI {
  func addRooms(to router: Router<BasicRequestContext>) {
    router.get("/rooms") { request, _ in
      let query = try AdminQuery(request, known: ["route", "sort", "limit"])
      let order = try RoomOrder(query)
      let limit = try query.limit()
      let rooms = await self.edge.rooms(of: query["route"]).map(ListedRoom.init)
      return Response(
        json: RoomList(
          total: rooms.count, rooms: Array(rooms.sorted(by: order.places).prefix(limit))))
    }
    router.get("/rooms/:route/:room") { request, context in
      _ = try AdminQuery(request, known: [])
      let place = try RoomPlace(context)
      guard let peers = await self.edge.peers(ofRoom: place.room, route: place.route) else {
        throw self.noRoom(place)
      }
      return Response(json: RoomContent(place, peers))
    }
    router.delete("/rooms/:route/:room") { request, context in
      let query = try AdminQuery(request, known: ["reason"])
      let words = try query.words(otherwise: "closed by an operator")
      let place = try RoomPlace(context)
      let count = await self.edge.closeRoom(place.room, route: place.route, words: words)
      guard let count else { throw self.noRoom(place) }
      return Response(json: ["closed": count])
    }
    router.delete("/rooms/:route/:room/peers/:peer") { request, context in
      let query = try AdminQuery(request, known: ["reason", "ban"])
      let (words, ban) = (try query.words(otherwise: "removed by an operator"), try query.ban())
      let (place, peer) = (try RoomPlace(context), try context.peer())
      let wasThere = await self.edge.kick(
        peer, fromRoom: place.room, route: place.route, reason: words, ban: ban)
      guard wasThere else {
        throw Failure(.notFound, "no_such_peer", "No peer of such a room has this id.")
      }
      return Response(json: ["removed": 1])
    }
  }

  /// Which part of its name leads nowhere.
  private func noRoom(_ place: RoomPlace) -> Failure {
    let hasRoute = self.edge.read().routes.contains { $0.name == place.route && $0.rooms != nil }
    return hasRoute
      ? Failure(.notFound, "no_such_room", "No room of this route has this name.")
      : Failure(.notFound, "no_such_route", "No route of this name leads to rooms.")
  }
}

/// A room, as a request names it.
private struct RoomPlace {
  let route: String
  let room: RoomName

  init(_ context: BasicRequestContext) throws {
    self.route = try context.text("route")
    guard let room = RoomName(try context.text("room")) else {
      throw Failure(
        .badRequest, "bad_room",
        "A room's name is 1 to \(RoomName.byteCountMax) letters, digits, \".\", \"_\", \"~\" and "
          + "\"-\".")
    }
    self.room = room
  }
}

extension BasicRequestContext {
  /// A part of the path.
  fileprivate func text(_ name: String) throws -> String {
    let word = try self.parameters.require(name)
    return word.removingPercentEncoding ?? word
  }

  fileprivate func peer() throws -> PeerID {
    guard let peer = PeerID(try self.text("peer")) else {
      throw Failure(
        .badRequest, "bad_peer",
        "A peer's id is 1 to \(PeerID.byteCountMax) letters, digits, \".\", \"_\", \"~\" and "
          + "\"-\".")
    }
    return peer
  }
}

/// Which rooms come first in a list.
private enum RoomOrder: String {
  /// Those with the most peers.
  case peers
  /// The oldest.
  case age

  init(_ query: AdminQuery) throws {
    guard let order = Self(rawValue: query["sort"] ?? Self.peers.rawValue) else {
      throw Failure(.badRequest, "bad_sort", "sort is peers or age.")
    }
    self = order
  }

  func places(_ one: ListedRoom, before two: ListedRoom) -> Bool {
    // Where both are the same, the list is not to change from one call to the next.
    switch self {
    case .peers where one.peers != two.peers: one.peers > two.peers
    case .age where one.ageSeconds != two.ageSeconds: one.ageSeconds > two.ageSeconds
    case .peers, .age: (one.route, one.room) < (two.route, two.room)
    }
  }
}

/// A room in a list, as JSON.
struct ListedRoom: Encodable, Sendable {
  var route: String
  var room: String
  var peers: Int
  /// Those of them whose connections are gone and whose places are kept.
  var away: Int
  var maxPeers: Int
  var locked: Bool
  var version: UInt64
  var ageSeconds: Double

  init(_ listed: Edge.ListedRoom) {
    self.route = listed.route
    self.room = "\(listed.room.name)"
    self.peers = listed.room.peerCount
    self.away = listed.room.awayCount
    self.maxPeers = listed.room.peerCountMax
    self.locked = listed.room.isLocked
    self.version = listed.room.version
    self.ageSeconds = listed.room.age.milliseconds / 1000
  }
}

/// A list of rooms, as JSON.
struct RoomList: Encodable, Sendable {
  /// How many there are.
  var total: Int
  /// The first of them.
  var rooms: [ListedRoom]
}

/// A room and who is in it, as JSON.
private struct RoomContent: Encodable {
  struct Peer: Encodable {
    var id: String
    var name: String?
    var role: String
    var subject: String?
    var address: String
    var away: Bool
    var ageSeconds: Double
    /// Messages that it has not confirmed yet.
    var keptMessages: Int
  }

  var route: String
  var room: String
  var peers: [Peer]

  init(_ place: RoomPlace, _ peers: [PeerListing]) {
    self.route = place.route
    self.room = "\(place.room)"
    self.peers = peers.map { listing in
      Peer(
        id: "\(listing.peer.id)", name: listing.peer.name, role: listing.peer.role.rawValue,
        subject: listing.peer.subject, address: listing.peer.client, away: listing.isAway,
        ageSeconds: listing.age.milliseconds / 1000, keptMessages: listing.keptMessageCount)
    }
  }
}
