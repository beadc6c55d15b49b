import HTTP
import HTTP2
import Net
import Testing

/// Octets that nobody would send, and calls at any moment: a session ends, but never traps.
@Suite("chance")
struct ChanceTests {
  private static func octets(_ count: Int, _ chance: inout SplitMix) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &chance) }
  }

  /// A frame that may pass, on a stream that may be there.
  private static func plausible(_ chance: inout SplitMix, _ next: inout UInt32) -> Frame {
    let stream = UInt32.random(in: 0...next, using: &chance) | 1
    switch Int.random(in: 0..<14, using: &chance) {
    case 0, 1, 2:
      next += 2
      return chance.next() % 2 == 0 ? .post(next) : .get(next)
    case 3, 4, 5:
      let content = Self.octets(Int.random(in: 0...300, using: &chance), &chance)
      return .data(
        stream, content, ends: chance.next() % 8 == 0,
        padding: chance.next() % 4 == 0 ? UInt8(chance.next() % 64) : nil)
    case 6: return .reset(stream, .cancel)
    case 7: return .windowUpdate(stream, UInt32.random(in: 0...70_000, using: &chance))
    case 8: return .windowUpdate(0, UInt32.random(in: 1...70_000, using: &chance))
    case 9: return .settings([(4, UInt32.random(in: 0...70_000, using: &chance))])
    case 10: return .ping(UInt8(chance.next() % 256), isAck: chance.next() % 2 == 0)
    case 11: return .headers(stream, [("x-sum", "1")], ends: true)
    case 12: return .settingsAck
    default:
      return Frame(
        type: UInt8(chance.next() % 16), flags: UInt8(truncatingIfNeeded: chance.next()),
        stream: stream, payload: Self.octets(Int(chance.next() % 12), &chance))
    }
  }

  /// Calls that an application makes, about streams that may be closed by now.
  private static func act(_ talk: inout Conversation, _ chance: inout SplitMix) {
    guard let stream = talk.streams.values.randomElement(using: &chance) else { return }
    switch Int.random(in: 0..<10, using: &chance) {
    case 0, 1:
      let ends = chance.next() % 4 == 0
      talk.session.answer(stream, ResponseHead(status: 200), endsStream: ends, &talk.pool)
    case 2: talk.session.answerInterim(stream, ResponseHead(status: 103), &talk.pool)
    case 3, 4:
      let octets = Self.octets(Int.random(in: 0...20_000, using: &chance), &chance)
      let room = talk.session.room(on: stream)
      let taken = talk.send(octets, on: stream, ends: chance.next() % 4 == 0)
      #expect(taken == min(room, octets.count))
    case 5: talk.session.end(stream, trailers: nil, &talk.pool)
    case 6: talk.session.reset(stream, .cancel, &talk.pool)
    case 7: talk.session.consume(Int(chance.next() % 1000), of: stream)
    case 8:
      talk.session.release(stream)
      talk.streams[stream.number] = nil
    default: talk.session.widen(stream, to: Int(chance.next() % 200_000))
    }
  }

  @Test("frames and calls in any order", arguments: 0..<40)
  func conversation(round: UInt64) throws {
    let seed = UInt64.random(in: .min ... .max) &+ round
    var chance = SplitMix(seed: seed)
    for _ in 0..<25 {
      var talk = try Conversation(isGreeted: chance.next() % 16 != 0)
      var next: UInt32 = 1
      for _ in 0..<80 where !talk.session.isOver {
        var octets: [UInt8] = []
        for _ in 0...(chance.next() % 4) { octets += Self.plausible(&chance, &next).octets }
        if chance.next() % 32 == 0, !octets.isEmpty {
          octets[Int(chance.next() % UInt64(octets.count))] ^= UInt8(chance.next() % 256)
        }
        let cut = Int(chance.next() % UInt64(octets.count + 1))
        for part in [octets[..<cut], octets[cut...]] {
          _ = talk.hear(Array(part))
          Self.act(&talk, &chance)
          Self.act(&talk, &chance)
        }
        _ = talk.events()
        if chance.next() % 4 == 0 {
          _ = talk.frames()
          talk.session.noteOutputRoom()
        }
        talk.pass(.milliseconds(Int64(chance.next() % 1000)))
      }
      Self.leave(&talk, "seed \(seed)")
    }
  }

  /// Whatever happened: with all streams closed and released, nothing is left of them.
  private static func leave(_ talk: inout Conversation, _ comment: Comment) {
    for stream in talk.streams.values {
      talk.session.reset(stream, .cancel, &talk.pool)
      talk.session.release(stream)
    }
    _ = talk.events()
    _ = talk.frames()
    // After a fault nghttp2 closes nothing any longer.
    guard talk.session.fault == nil else { return }
    let count = talk.session.openStreamCount
    #expect(count == 0, comment)
  }

  @Test("octets by chance", arguments: 0..<20)
  func garbage(round: UInt64) throws {
    let seed = UInt64.random(in: .min ... .max) &+ round
    var chance = SplitMix(seed: seed)
    for _ in 0..<200 {
      var talk = try Conversation(isGreeted: chance.next() % 8 != 0)
      for _ in 0..<8 {
        var octets = Self.octets(Int(chance.next() % 200), &chance)
        // A short length now and then, or hardly a frame would ever be complete.
        if octets.count > 9, chance.next() % 2 == 0 {
          octets.replaceSubrange(0..<4, with: [0, 0, UInt8(octets.count - 9), octets[3] % 10])
        }
        for line in talk.hear(octets) where line.hasPrefix("content") {
          Issue.record("content of no request, seed \(seed)")
        }
      }
      _ = talk.frames()
    }
  }
}
