import Testing

@testable import Net

@Suite("addresses")
struct AddressTests {
  @Test(
    "an address is read and written in its one canonical form",
    arguments: [
      ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
      ("::", "::"), ("::1", "::1"), ("[::1]", "::1"), ("1::", "1::"),
      ("2001:DB8::1", "2001:db8::1"), ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
      ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),
      ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
      ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
      ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
      ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:c000:0201", "192.0.2.1"),
      ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ])
  func reads(text: String, canonical: String) throws {
    let address = try #require(IPAddress(parsing: text))
    #expect(address.description == canonical)
    #expect(IPAddress(parsing: canonical) == address)
  }

  @Test(
    "what is not an address is none",
    arguments: [
      "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "256.1.1.1", "01.2.3.4", "1.2.3.+4",
      "1.2.3.-4", "1.2.3.4 ", "0x7f.0.0.1", "1.2.3.٤", "[1.2.3.4]", ":", ":::", "1::2::3", "::1::",
      "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::",
      "g::", "::1%lo", "fe80::1%eth0", "+1::", "1.2.3.4::", "1.2.3.4::1", "1:2:1.2.3.4:3::",
      "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "[::1", "::1]", "[[::1]]", "localhost", "1:2:3:4:5:6:7:",
      ":1:2:3:4:5:6:7", "1.2.3.4\0",
    ])
  func refuses(text: String) { #expect(IPAddress(parsing: text) == nil) }

  @Test("every address reads back what it writes")
  func roundTrip() {
    let seed = UInt64.random(in: .min ... .max)
    var chance = SplitMix(seed: seed)
    for _ in 0..<2000 {
      // Sparse masks make runs of zero groups likely.
      let high = chance.next() & chance.next() & 0xFFFF_0000_FFFF_0000 &* (chance.next() & 1)
      let low = chance.next() & (chance.next() & 1 == 0 ? 0xFFFF : .max)
      let address = IPAddress.unmapped(high: high, low: low)
      #expect(IPAddress(parsing: address.description) == address, "seed \(seed)")
      let short = IPAddress.v4(UInt32(truncatingIfNeeded: chance.next()))
      #expect(IPAddress(parsing: short.description) == short, "seed \(seed)")
    }
  }

  @Test(
    "a block holds its addresses",
    arguments: [
      ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false),
      ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "::1", false),
      ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
      ("192.0.2.0/31", "192.0.2.1", true), ("192.0.2.0/31", "192.0.2.2", false),
      ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::", false),
      ("::/0", "2001:db8::1", true), ("::/0", "192.0.2.1", false),
      ("2001:db8::/64", "2001:db8::ffff:0:0:1", true), ("2001:db8::/64", "2001:db8:0:1::", false),
      ("2001:db8::/65", "2001:db8::7fff:0:0:1", true),
      ("2001:db8::/65", "2001:db8::8000:0:0:0", false),
      ("2001:db8::1/128", "2001:db8::1", true), ("::1", "::1", true), ("::1", "::2", false),
      ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("::ffff:10.0.0.0/104", "10.1.2.3", true),
      ("::ffff:0:0/96", "203.0.113.9", true),
    ])
  func contains(range: String, address: String, isInside: Bool) throws {
    let range = try #require(AddressRange(parsing: range))
    let address = try #require(IPAddress(parsing: address))
    #expect(range.contains(address) == isInside)
  }

  @Test(
    "what is not a block is none",
    arguments: [
      "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
      "10.0.0.1/8", "10.0.0.0/8 ", "10.0.0.0/255.0.0.0", "2001:db8::1/32", "::/129", "name/8",
      "::ffff:10.0.0.0/8", "::ffff:10.0.0.0/129", "10.0.0.0/99999999999999999999",
    ])
  func refusesRange(text: String) { #expect(AddressRange(parsing: text) == nil) }

  @Test(
    "a socket's address is read and written",
    arguments: [
      ("0.0.0.0:8443", "0.0.0.0:8443"), ("[::]:8443", "[::]:8443"), (":8443", "[::]:8443"),
      ("127.0.0.1:0", "127.0.0.1:0"), ("[2001:DB8::1]:65535", "[2001:db8::1]:65535"),
      ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"), ("unix:/run/sluice.sock", "unix:/run/sluice.sock"),
      ("unix:sluice.sock", "unix:sluice.sock"),
    ])
  func readsSocketAddress(text: String, written: String) throws {
    let address = try #require(SocketAddress(parsing: text))
    #expect(address.description == written)
    #expect(SocketAddress(parsing: written) == address)
  }

  @Test(
    "what is not a socket's address is none",
    arguments: [
      "", ":", "8443", "0.0.0.0", "0.0.0.0:", "0.0.0.0:65536", "0.0.0.0:-1", "0.0.0.0:+80",
      "0.0.0.0: 80", "localhost:80", "::1:80", "[::1]80", "[::1]", "[::1:80", "[10.0.0.1]:80",
      "unix:", "UNIX:/a", "unix:/a\0b", "1.2.3.4:8０",
    ])
  func refusesSocketAddress(text: String) { #expect(SocketAddress(parsing: text) == nil) }

  @Test("a unix path has at most 107 octets")
  func unixPathLimit() {
    #expect(SocketAddress(parsing: "unix:" + String(repeating: "a", count: 107)) != nil)
    #expect(SocketAddress(parsing: "unix:" + String(repeating: "a", count: 108)) == nil)
    #expect(SocketAddress(parsing: "unix:" + String(repeating: "é", count: 54)) == nil)
  }

  @Test(
    "an address survives the kernel's form",
    arguments: [
      "192.0.2.1:80", "[2001:db8::1]:65535", "[::]:0", "unix:/run/a socket", "0.0.0.0:1",
    ])
  func rawRoundTrip(text: String) throws {
    let address = try #require(SocketAddress(parsing: text))
    let read = unsafe address.withRaw { raw, length in
      unsafe SocketAddress.reading { into, count in
        unsafe UnsafeMutableRawPointer(into).copyMemory(from: raw, byteCount: Int(length))
        count = length
      }
    }
    #expect(read == address)
  }

  @Test("only an IP socket has an IP address")
  func ipAddress() {
    #expect(SocketAddress(parsing: "192.0.2.1:80")?.ipAddress == .v4(0xC000_0201))
    #expect(SocketAddress(parsing: "unix:/a")?.ipAddress == nil)
  }
}
