import Net
import Testing

@testable import Net

@Suite("token bucket")
struct TokenBucketTests {
  private static func at(_ milliseconds: UInt64) -> Deadline {
    Deadline(nanoseconds: milliseconds * 1_000_000)
  }

  private static func bucket(_ perSecond: Double, _ burst: Double) -> TokenBucket {
    TokenBucket(perSecond: perSecond, burst: burst, now: Self.at(0))
  }

  /// Ten each second, five at once: what is taken, when, and what is there before.
  private static let rows: [(at: UInt64, before: Double, take: Int)] = [
    (0, 5, 3), (0, 2, 0), (100, 3, 0), (1000, 5, 5), (1050, 0.5, 0), (1100, 1, 4), (1200, -2, 0),
    // The clock of the one who asks never runs backwards, but a bucket would not mind.
    (1100, -2, 0), (1400, 0, 0), (60_000, 5, 0),
  ]

  @Test("it fills with time up to its depth, and may be overdrawn")
  func table() {
    var bucket = Self.bucket(10, 5)
    for row in Self.rows {
      let balance = bucket.fill(now: Self.at(row.at))
      #expect(abs(balance - row.before) < 1e-9, "at \(row.at) ms")
      bucket.take(row.take)
    }
  }

  @Test("a burst below one still lets one through")
  func smallBurst() {
    var bucket = Self.bucket(10, 0.25)
    #expect(bucket.fill(now: Self.at(0)) == 1)
  }

  @Test("the instant at which so many are there is neither early nor much too late")
  func instant() {
    for (perSecond, taken, wanted) in [(10.0, 5, 1.0), (3.0, 7, 1.0), (1e6, 4_000_000, 0.0)] {
      var bucket = Self.bucket(perSecond, 5)
      bucket.take(taken)
      let instant = bucket.instant(of: wanted)
      let early = Deadline(nanoseconds: instant.nanoseconds - 10)
      let before = bucket.fill(now: early)
      let then = bucket.fill(now: instant)
      #expect(before < wanted)
      #expect(then >= wanted - 1e-9)
    }
  }

  @Test("what is there already is there now, and what takes a century never is")
  func extremes() {
    var bucket = Self.bucket(10, 5)
    _ = bucket.fill(now: Self.at(70))
    #expect(bucket.instant(of: 5) == Self.at(70))
    var slow = Self.bucket(1e-9, 1)
    slow.take(10)
    #expect(slow.instant(of: 1) == .never)
  }

  @Test("in the long run the rate holds, whatever the size of a piece", arguments: [1, 7, 400])
  func longRun(piece: Int) {
    var bucket = Self.bucket(1000, 100)
    var now = Self.at(0)
    var total = 0
    while now < Self.at(10_000) {
      now = max(now, bucket.instant(of: 0))
      _ = bucket.fill(now: now)
      bucket.take(piece)
      total += piece
    }
    #expect(total >= 10_000)
    #expect(total <= 10_100 + 2 * piece)
  }
}
