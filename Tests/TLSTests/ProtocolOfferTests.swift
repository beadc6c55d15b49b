import Testing

@testable import TLS

@Suite("the client's protocols")
struct ProtocolOfferTests {
  @Test(
    "a client that asks for HTTP/2 gets it from a server that has it, and from no other",
    arguments: [(true, true), (true, false), (false, true)])
  func settles(asks: Bool, has: Bool) throws {
    let server = try ServerContext(
      certificates: [Certificates.files("one")], minimumVersion: .tls12, clientCA: nil,
      offersHTTP2: has)
    let client = try ClientContext(
      ca: Certificates.path("ca"), serverName: nil, offersHTTP2: asks)
    var talk = try Talk(client, server)
    talk.begin()
    let (isDone, fault) = (talk.client.isDone, talk.client.fault)
    let chosen = talk.client.tls.applicationProtocol
    // RFC 7301 §3.2: without a protocol in common the handshake fails.
    #expect(isDone == (has || !asks))
    #expect((fault == nil) == isDone)
    #expect(chosen == (asks && has ? .http2 : .http11))
  }
}
