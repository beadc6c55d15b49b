import Admission
import Configuration
import HTTP
import Net
import Signaling
import Testing

@testable import Control

@Suite("webhooks")
struct WebhookTests {
  private static func event(_ number: Int) throws -> WebhookEvent {
    let room = try #require(RoomName("standup"))
    return WebhookEvent(
      id: "\(number)", time: WallClock.now(), notice: RoomNotice(room: room, kind: .roomOpened))
  }

  private static func rules(_ queue: Int = 3) throws -> WebhookRules {
    WebhookRules(
      url: try WebURL(parsing: "http://127.0.0.1:1/"), secret: "0123456789abcdef",
      queueCountMax: queue)
  }

  @Test("events are told in order, a hundred at once at most")
  func batches() throws {
    var queue = WebhookQueue()
    for number in 0..<150 { _ = queue.add(try Self.event(number), countMax: 1000) }
    let first = queue.take()
    #expect(first.map(\.id) == (0..<100).map(String.init))
    #expect(queue.isUnderWay)
    #expect(queue.count == 150)
    queue.failed()
    queue.delivered()
    let second = queue.take()
    #expect(second.map(\.id) == (100..<150).map(String.init))
    queue.delivered()
    #expect(queue.count == 0)
    #expect(queue.deliveredCount == 150)
    #expect(queue.failedCount == 1)
    let third = queue.take()
    #expect(third.isEmpty)
  }

  @Test("a full queue drops its oldest, and never what is under way")
  func bound() throws {
    var queue = WebhookQueue()
    for number in 0..<3 { _ = queue.add(try Self.event(number), countMax: 3) }
    _ = queue.take()
    let dropped = try (3..<8).map { queue.add(try Self.event($0), countMax: 3) }
    #expect(dropped == [false, false, false, true, true])
    #expect(queue.lost == [.queueFull: 2])
    queue.refused()
    #expect(queue.lost == [.queueFull: 2, .refused: 3])
    let next = queue.take()
    #expect(next.map(\.id) == ["5", "6", "7"])
    queue.remove()
    #expect(queue.count == 0)
    #expect(queue.lost[.removed] == 3)
  }

  @Test("the log hears of the first failure and of the end of them")
  func news() throws {
    var line = WebhookLine()
    line.follow(try Self.rules())
    let added = line.add(try Self.event(1))
    #expect(added.begins)
    #expect(added.news == nil)
    let taken = line.take()
    #expect(taken.count == 1)
    let failed = (0..<3).map { _ in line.settle(.failed("refused", retryAfter: nil)) }
    guard case .failing("refused")? = failed[0] else {
      Issue.record("the first failure is news")
      return
    }
    #expect(failed[1] == nil && failed[2] == nil)
    guard case .recovered(failedCount: 3, lostCount: 0)? = line.settle(.taken) else {
      Issue.record("the end of the failures is news")
      return
    }
  }

  @Test("a route that tells nobody any more has nothing to tell")
  func removed() throws {
    var line = WebhookLine()
    line.follow(try Self.rules())
    _ = line.add(try Self.event(1))
    _ = line.take()
    line.remove()
    #expect(line.turn(until: nil, now: .now()) == nil)
    let after = line.add(try Self.event(2))
    #expect(!after.begins)
    #expect(line.queue.count == 0)
  }

  /// `printf '1700000000.BODY' | openssl dgst -sha256 -hmac SECRET` says the same.
  @Test("the signature is the HMAC of the time and the body")
  func signature() {
    let batch = WebhookBatch([], route: "calls")
    #expect(String(decoding: batch.body, as: UTF8.self) == #"{"events":[]}"#)
    #expect(
      batch.signature(secret: "a secret of some length", unixSeconds: 1_700_000_000)
        == "t=1700000000,v1=7640b8ee75f3b333ac999e32697023d3ddaf494781915a904f03ec24fc3419fd")
  }

  @Test(
    "what an answer means",
    arguments: [
      (200, "taken"), (204, "taken"), (302, "failed"), (400, "refused"), (404, "refused"),
      (408, "failed"), (410, "refused"), (429, "failed"), (500, "failed"), (503, "failed"),
    ])
  func answers(status: Int, meaning: String) {
    let word =
      switch WebhookAnswer(.success(WebResponse(status: status))) {
      case .taken: "taken"
      case .refused: "refused"
      case .failed: "failed"
      }
    #expect(word == meaning)
  }

  @Test("a receiver may ask to be left alone, for an hour at most")
  func retryAfter() {
    for (text, seconds) in [("7", 7), ("100000", 3600)] {
      var fields = Fields()
      fields.append(name: "Retry-After", value: text)
      guard
        case .failed(_, let wait)? =
          Optional(WebhookAnswer(.success(WebResponse(status: 429, fields: fields))))
      else {
        Issue.record("429 is a failure")
        return
      }
      #expect(wait == .seconds(seconds))
    }
  }

  @Test("each rest is longer, by chance, and none is over a minute")
  func patience() {
    var patience = WebhookPatience()
    var bounds = 1.0
    for _ in 0..<12 {
      let wait = patience.wait(atLeast: nil).milliseconds / 1000
      #expect(wait >= bounds / 2 && wait <= bounds)
      bounds = min(bounds * 2, 60)
    }
    #expect(patience.wait(atLeast: .seconds(300)) == .seconds(300))
  }
}
