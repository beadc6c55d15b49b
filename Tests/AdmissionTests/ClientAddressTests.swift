import Admission
import HTTP
import Net
import Testing

@Suite("Client addresses")
struct ClientAddressTests {
  @Test(
    "the walk from the right",
    arguments: [
      ("192.0.2.1", [], "192.0.2.1"),
      // Not from a trusted proxy: whatever it says.
      ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
      ("10.0.0.1", [], "10.0.0.1"),
      ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
      // The client wrote the first one itself.
      ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
      ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
      ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
      ("10.0.0.1", ["203.0.113.9", "10.0.0.3, 10.0.0.2"], "203.0.113.9"),
      ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
      ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
      ("10.0.0.1", ["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
      ("10.0.0.1", [""], "10.0.0.1"),
      ("10.0.0.1", [" , ,"], "10.0.0.1"),
      ("10.0.0.1", ["203.0.113.9:5123"], "203.0.113.9"),
      ("10.0.0.1", ["[2001:db8::9]:5123"], "2001:db8::9"),
      ("10.0.0.1", ["[2001:db8::9]"], "2001:db8::9"),
      ("10.0.0.1", ["2001:db8::9"], "2001:db8::9"),
      ("10.0.0.1", ["\"[2001:db8::9]:5123\""], "2001:db8::9"),
      ("10.0.0.1", ["203.0.113.9:x"], "10.0.0.1"),
      ("10.0.0.1", ["2001:db8:9:5123:0"], "10.0.0.1"),
      ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
      ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
      ("2001:db8::1", ["203.0.113.9"], "2001:db8::1"),
      // A unix socket.
      (nil, ["203.0.113.9"], "203.0.113.9"),
      (nil, ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
      (nil, ["nonsense"], nil),
      (nil, [], nil),
    ] as [(String?, [String], String?)])
  func walks(peer: String?, forwarded: [String], client: String?) throws {
    let trusted = ["10.0.0.0/8", "fd00::/8"].compactMap { AddressRange(parsing: $0) }
    var fields = Fields()
    for line in forwarded { fields.append(name: "X-Forwarded-For", value: line) }
    let peer = peer.flatMap { IPAddress(parsing: $0) }
    let found = clientAddress(peer: peer, fields: fields, trusted: trusted)
    #expect(found?.description == client)
  }

  @Test("with no trusted proxy the peer is the client", arguments: ["192.0.2.1", nil])
  func untrusted(peer: String?) {
    var fields = Fields()
    fields.append(name: "X-Forwarded-For", value: "203.0.113.9")
    let peer = peer.flatMap { IPAddress(parsing: $0) }
    #expect(clientAddress(peer: peer, fields: fields, trusted: []) == peer)
  }
}
