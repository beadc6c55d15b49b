import Net
import Testing

@testable import Signaling

@Suite("names and ids")
struct NameTests {
  @Test("1 to 128 unreserved characters name a room, 1 to 64 a peer")
  func names() {
    let all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"
    #expect(RoomName(all)?.description == all)
    #expect(PeerID("aZ9._~-")?.description == "aZ9._~-")
    #expect(RoomName(String(repeating: "x", count: 128)) != nil)
    #expect(RoomName(String(repeating: "x", count: 129)) == nil)
    #expect(PeerID(String(repeating: "x", count: 64)) != nil)
    #expect(PeerID(String(repeating: "x", count: 65)) == nil)
    for text in ["", " ", "a b", "a/b", "a%20b", "ü", "a\u{0}", "a\n", "a+b", "a:b", "a@b", "😀"] {
      #expect(RoomName(text) == nil)
      #expect(PeerID(text) == nil)
    }
  }

  @Test("ids are compared octet by octet")
  func order() throws {
    let order = ["-", ".", "0", "1", "10", "9", "A", "B", "Z", "_", "a", "aa", "b", "~"]
    let ids = try order.map { try #require(PeerID($0)) }
    #expect(ids.shuffled().sorted() == ids)
  }

  @Test("ids made of chance are ids, and differ")
  func chance() {
    var (chance, seen) = (SplitMix(seed: 1), Set<PeerID>())
    for _ in 0..<10_000 {
      let id = PeerID(chance: chance.next())
      #expect(PeerID(id.description) == id)
      #expect(id.description.utf8.count == 11)
      seen.insert(id)
    }
    #expect(seen.count == 10_000)
    #expect(PeerID(chance: 0) != PeerID(chance: .max))
  }
}
