import Net
import Testing

@testable import Signaling

@Suite("whatever happens in rooms")
struct RoomPropertyTests {
  @Test("short scripts made of chance", arguments: 0..<30 as Range<UInt64>)
  func short(block: UInt64) {
    for seed in block * 100..<(block + 1) * 100 {
      let storm = Storm(seed: seed, isLong: false)
      storm.run(30)
      if let fault = storm.fault {
        Issue.record("seed \(seed): \(fault)")
        return
      }
    }
  }

  @Test("long scripts made of chance", arguments: 1_000_000..<1_000_008 as Range<UInt64>)
  func long(seed: UInt64) {
    let storm = Storm(seed: seed, isLong: true)
    storm.run(2000)
    if let fault = storm.fault { Issue.record("seed \(seed): \(fault)") }
  }

  @Test("scripts made of chance get everywhere")
  func coverage() {
    var all = RoomCounts()
    for seed in 2_000_000..<2_000_100 as Range<UInt64> {
      let storm = Storm(seed: seed, isLong: seed < 2_000_005)
      storm.run(seed < 2_000_005 ? 400 : 40)
      let counts = storm.counts
      all.refusals += counts.refusals
      all.resumesWon += counts.resumesWon
      all.resumesLapsed += counts.resumesLapsed
      all.resumesAfresh += counts.resumesAfresh
      for kind in all.signals.indices { all.signals[kind] += counts.signals[kind] }
      all.broadcasts += counts.broadcasts
      all.undelivered += counts.undelivered
      all.held += counts.held
      all.faults += counts.faults
      all.credentialsMinted += counts.credentialsMinted
    }
    let rare = [
      all.refusals, all.resumesWon, all.resumesLapsed, all.resumesAfresh, all.broadcasts,
      all.undelivered, all.held, all.faults, all.credentialsMinted,
    ]
    #expect((rare + all.signals).allSatisfy { $0 > 10 }, "\(all)")
  }
}
