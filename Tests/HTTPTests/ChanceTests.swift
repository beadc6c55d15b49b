import HTTP
import Net
import Testing

@Suite struct ChanceTests {
  private static let seedHead = Array(
    ("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n"
      + "Connection: Upgrade\r\nContent-Length: 10\r\nX-Long: \t value \r\n\r\n").utf8)

  private static let seedResponse = Array(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nX: y\r\n\r\n".utf8)

  private static let spice: [UInt8] = [0, 9, 10, 13, 32, 35, 44, 46, 47, 48, 58, 63, 91, 127, 200]

  /// A few octets exchanged, left out or doubled.
  private static func damaged(_ octets: [UInt8], by chance: inout SplitMix) -> [UInt8] {
    var octets = octets
    for _ in 0..<Int.random(in: 1...3, using: &chance) {
      let place = Int.random(in: octets.indices, using: &chance)
      switch Int.random(in: 0..<4, using: &chance) {
      case 0: octets.remove(at: place)
      case 1: octets.insert(octets[place], at: place)
      case 2: octets[place] = UInt8.random(in: .min ... .max, using: &chance)
      default: octets[place] = Self.spice.randomElement(using: &chance) ?? 0
      }
    }
    return octets
  }

  /// The same octets in pieces of chance.
  private static func pieces(of octets: [UInt8], by chance: inout SplitMix) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var rest = octets[...]
    while !rest.isEmpty {
      let count = Int.random(in: 1...min(rest.count, 20), using: &chance)
      pieces.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return pieces
  }

  @Test("damaged heads mean the same however they arrive, and what is taken reads back the same")
  func requests() {
    for seed in UInt64(0)..<3000 {
      var chance = SplitMix(seed: seed)
      let octets = Self.damaged(Self.seedHead, by: &chance)
      let whole = readRequest([octets])
      #expect(readRequest(Self.pieces(of: octets, by: &chance)) == whole, "seed \(seed)")
      guard let head = whole.head else { continue }
      #expect(readRequest([head.serialized()]).head == head, "seed \(seed)")
      // Forwarding takes whatever the reader has let through.
      let forwarding = Forwarding(clientAddress: "::1", scheme: "http", requestID: "1")
      let forwarded = forwarding.upgradeRequest(from: head)
      if head.version == .http11, !head.fields.contains("transfer-encoding") {
        #expect(readRequest([forwarded.serialized()]).head == forwarded, "seed \(seed)")
      }
    }
  }

  @Test("damaged responses mean the same however they arrive")
  func responses() {
    for seed in UInt64(0)..<3000 {
      var chance = SplitMix(seed: seed)
      let octets = Self.damaged(Self.seedResponse, by: &chance)
      let whole = readResponse([octets])
      #expect(readResponse(Self.pieces(of: octets, by: &chance)) == whole, "seed \(seed)")
      if let head = whole.head {
        #expect(readResponse([head.serialized()]).head == head, "seed \(seed)")
      }
    }
  }
}
