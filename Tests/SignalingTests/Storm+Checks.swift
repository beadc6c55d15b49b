import Net

@testable import Signaling

extension Storm {
  /// What happened so far.
  var counts: RoomCounts { self.stage.counts }

  // MARK: What has to hold

  /// Whether a page shows what is.
  func sees(_ page: Page, _ room: String) -> Bool {
    guard let hall = self.model.rooms[room] else { return false }
    var truth = hall.places.mapValues(\.facts)
    let own = truth.removeValue(forKey: page.id)
    return page.roster == truth && page.own == own && page.room == hall.facts(self.rules)
  }

  /// Looks at everything that an event has led to.
  func check() {
    let (heard, ends, notices) = self.stage.takeAll()
    for (socket, messages) in heard where !messages.isEmpty { self.read(messages, on: socket) }
    let expected = self.model.takeExpectations()
    self.expect(ends == expected.ends, "ends \(ends) and not \(expected.ends)")
    for socket in ends.keys { if let owner = self.owners[socket] { self.end(socket, of: owner) } }
    let keys = notices.map(\.key).sorted()
    self.expect(keys == expected.notices.sorted(), "\(keys) and not \(expected.notices.sorted())")
    self.checkCounts()
    self.checkPlaces()
    self.checkWake()
  }

  private func end(_ socket: Int, of owner: Int) {
    if self.clients[owner].socket == socket {
      _ = self.forget(owner)
    } else {
      self.pages[socket] = nil
      self.owners[socket] = nil
    }
  }

  private func read(_ messages: [JSON], on socket: Int) {
    guard var page = self.pages[socket], let owner = self.owners[socket] else {
      return self.fail("\(messages.types) to \(socket), where nobody is")
    }
    let room = self.clients[owner].room
    for message in messages {
      if message["type"] == "ice" { self.model.noteICE(page.id, in: room) }
      guard let text = page.apply(message) else { continue }
      let place = self.model.rooms[room]?.places[page.id]
      self.expect(place?.socket == socket, "a message for another life")
      let log = place?.log ?? []
      let isExpected = log.indices.contains(page.seen - 1) && log[page.seen - 1] == text
      self.expect(isExpected, "\(page.id) got \(page.seen): \(text) and not \(log.suffix(3))")
    }
    if let fault = page.fault { self.fail("\(page.id) on \(socket): \(fault)") }
    self.pages[socket] = page
  }

  private func checkCounts() {
    var counts = self.stage.counts
    counts.credentialsMinted = 0
    self.expect(counts == self.model.counts, "\(counts) and not \(self.model.counts)")
    let count = self.model.rooms.values.reduce(0) { $0 + $1.places.count }
    self.expect(self.stage.peerCount == count, "\(self.stage.peerCount) peers and not \(count)")
    self.expect(self.stage.roomCount == self.model.rooms.count, "\(self.stage.roomCount) rooms")
    let open = self.model.rooms.values.reduce(0) {
      $0 + $1.places.values.count { $0.socket != nil }
    }
    self.expect(open == self.pages.count, "\(self.pages.count) pages and not \(open)")
  }

  private func checkPlaces() {
    for (room, hall) in self.model.rooms {
      let listings = self.stage.peers(room) ?? []
      self.expect(listings.count == hall.places.count, "\(listings.count) peers in \(room)")
      for listing in listings {
        let place = hall.places[listing.peer.id.description]
        let isSame =
          place?.facts.name == listing.peer.name && place?.facts.role == listing.peer.role.rawValue
          && (place?.socket == nil) == listing.isAway
          && place.map { $0.log.count - $0.forgotten } == listing.keptMessageCount
        self.expect(isSame, "\(listing) in \(room)")
      }
    }
  }

  private func checkWake() {
    var due = self.model.nextDue
    self.expect(due > self.stage.now, "something was due and is not done")
    for (socket, page) in self.pages {
      guard let owner = self.owners[socket], !self.sees(page, self.clients[owner].room) else {
        continue
      }
      due = min(due, self.stage.now.advanced(by: .milliseconds(56)))
    }
    guard due != .never else { return }
    let wake = self.stage.nextWake ?? .never
    self.expect(wake <= due, "woken at \(wake) for \(due)")
  }
}
