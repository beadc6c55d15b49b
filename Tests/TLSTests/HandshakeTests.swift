import COpenSSL
import Net
import Testing

@testable import TLS

@Suite("handshakes")
struct HandshakeTests {
  private static func trusting(
    _ ca: String = "ca", serverName: String? = nil
  ) throws(ContextError) -> ClientContext {
    try ClientContext(ca: Certificates.path(ca), serverName: serverName)
  }

  @Test("both sides are done, however the octets come", arguments: Delivery.allCases)
  func completes(delivery: Delivery) throws {
    var talk = try Talk(Self.trusting(), Certificates.server(), delivery: delivery)
    talk.begin()
    let done = (talk.client.isDone, talk.server.isDone)
    let versions = (talk.client.tls.version, talk.server.tls.version)
    let resumed = talk.server.tls.isResumed
    #expect(done == (true, true))
    #expect(versions == ("TLSv1.3", "TLSv1.3"))
    #expect(!resumed)
  }

  @Test("the client's first flight may be cut at any place")
  func cutAnywhere() throws {
    let context = try Self.trusting()
    let server = try Certificates.server()
    var first = try Party(connecting: context, host: "one.test")
    first.receive([])
    let flight = first.outgoing.takeAll()
    for cut in 0...flight.count {
      var party = try Party(accepting: server)
      party.receive(flight[..<cut])
      let early = party.outgoing.count
      party.receive(flight[cut...])
      let (fault, answer) = (party.fault, party.outgoing.count)
      try #require(fault == nil, "cut at \(cut)")
      try #require(answer > 0, "cut at \(cut)")
      if cut < flight.count { try #require(early == 0, "cut at \(cut)") }
    }
  }

  @Test(
    "a server's name is verified",
    arguments: [
      ("one.test", true), ("ONE.test", true), ("www.one.test", true), ("127.0.0.1", true),
      ("::1", true), ("[::1]", true), ("two.test", false), ("x.www.one.test", false),
      ("127.0.0.2", false), ("one", false),
    ])
  func names(host: String, isValid: Bool) throws {
    var talk = try Talk(Self.trusting(), Certificates.server(), host: host)
    talk.begin()
    let (isDone, fault) = (talk.client.isDone, talk.client.fault)
    #expect(isDone == isValid)
    if !isValid {
      #expect(fault?.reason.hasPrefix("certificate verification failed: ") == true)
      #expect(fault?.reason.contains("mismatch") == true)
    }
  }

  @Test("a configured name replaces the host's")
  func serverName() throws {
    var talk = try Talk(
      Self.trusting(serverName: "one.test"), Certificates.server(), host: "10.0.0.7")
    talk.begin()
    let isDone = talk.client.isDone
    #expect(isDone)
  }

  @Test(
    "a certificate that is not to be trusted is refused with the reason, and the server told",
    arguments: [
      ("stranger", "unable to get local issuer certificate"), ("expired", "expired"),
    ])
  func untrusted(name: String, reason: String) throws {
    var talk = try Talk(Self.trusting(), Certificates.server([name]))
    talk.begin()
    let faults = (talk.client.fault, talk.server.fault)
    #expect(faults.0?.reason.contains(reason) == true, "\(String(describing: faults.0))")
    #expect(faults.1?.reason.contains("alert") == true, "\(String(describing: faults.1))")
  }

  @Test("the system's authorities do not know ours")
  func systemAuthorities() throws {
    var talk = try Talk(ClientContext(ca: nil, serverName: nil), Certificates.server())
    talk.begin()
    let fault = talk.client.fault
    #expect(fault?.reason.hasPrefix("certificate verification failed") == true)
  }

  @Test(
    "the name a client asks for chooses the certificate, the first one otherwise",
    arguments: [
      ("one.test", "one"), ("a.wild.test", "wild"), ("A.WILD.TEST", "wild"), ("two.test", "two"),
      ("TWO.test", "two"), ("wild.test", "one"), ("a.b.wild.test", "one"), ("other.test", "one"),
      ("test", "one"),
    ] as [(String?, String)] + [(nil, "one")])
  func choice(name: String?, certificate: String) throws {
    for version in [TLS1_2_VERSION, TLS1_3_VERSION] {
      var server = try Party(accepting: Certificates.server(["one", "wild", "two"]))
      let client = RawClient(.init(name: name, maximumVersion: version))
      client.talk(to: &server)
      #expect(client.isDone)
      #expect(client.peerName == certificate)
    }
  }

  @Test("a client's version below the minimum is refused")
  func minimumVersion() throws {
    for (minimum, offered, isTaken) in [
      (TLSVersion.tls12, TLS1_2_VERSION, true), (.tls12, TLS1_3_VERSION, true),
      (.tls13, TLS1_2_VERSION, false), (.tls13, TLS1_3_VERSION, true),
      (.tls12, TLS1_1_VERSION, false),
    ] {
      var server = try Party(accepting: Certificates.server(minimumVersion: minimum))
      let client = RawClient(.init(maximumVersion: offered, minimumVersion: offered))
      client.talk(to: &server)
      let (isDone, fault) = (server.isDone, server.fault)
      #expect(isDone == isTaken, "\(minimum) \(offered)")
      #expect(client.hasFailed != isTaken, "\(minimum) \(offered)")
      if !isTaken { #expect(fault?.reason == "unsupported protocol", "\(minimum) \(offered)") }
    }
  }

  @Test(
    "of the protocols that a client offers, HTTP/1.1 is chosen",
    arguments: [
      (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"),
      (["http/1.1", "h2"], "http/1.1"), ([], nil),
    ] as [([String], String?)])
  func alpn(offered: [String], chosen: String?) throws {
    var server = try Party(accepting: Certificates.server())
    let client = RawClient(.init(protocols: offered))
    client.talk(to: &server)
    #expect(client.isDone)
    #expect(client.chosenProtocol == chosen)
  }

  @Test("a client that wants another protocol only is refused")
  func alpnWithoutHTTP() throws {
    var server = try Party(accepting: Certificates.server())
    let client = RawClient(.init(protocols: ["h2", "http/1.10"]))
    client.talk(to: &server)
    let fault = server.fault
    #expect(client.hasFailed)
    #expect(fault != nil)
  }

  @Test(
    "where clients must show a certificate, only the authority's get in",
    arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func clientCertificates(version: CInt) throws {
    let context = try Certificates.server(clientCA: "ca")
    for (certificate, reason) in [
      ("client", nil), ("stranger", "certificate verification failed"),
      ("expired", "expired"), (nil, "peer did not return a certificate"),
    ] as [(String?, String?)] {
      var server = try Party(accepting: context)
      let client = RawClient(
        .init(maximumVersion: version, certificate: certificate.map { Certificates.files($0) }))
      client.talk(to: &server)
      let (isDone, fault) = (server.isDone, server.fault)
      #expect(isDone == (reason == nil), "\(certificate ?? "none")")
      #expect((fault == nil) == (reason == nil), "\(certificate ?? "none")")
      if let reason {
        #expect(fault?.reason.contains(reason) == true, "\(fault?.reason ?? "")")
        #expect(client.hasFailed)
      }
    }
  }

  @Test(
    "a ticket resumes a session, whichever certificate it began with",
    arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func resumption(version: CInt) throws {
    let context = try Certificates.server(["one", "two"])
    let wishes = RawClient.Wishes(name: "two.test", maximumVersion: version)
    var first = try Party(accepting: context)
    let client = RawClient(wishes)
    client.talk(to: &first)
    #expect(client.isDone)

    var second = try Party(accepting: context)
    let again = RawClient(wishes, resuming: client)
    again.talk(to: &second)
    var (isDone, isResumed) = (second.isDone, second.tls.isResumed)
    #expect(isDone)
    #expect(isResumed)

    // Another context has other ticket keys: the handshake is a full one.
    var stranger = try Party(accepting: Certificates.server(["one", "two"]))
    let once = RawClient(wishes, resuming: client)
    once.talk(to: &stranger)
    (isDone, isResumed) = (stranger.isDone, stranger.tls.isResumed)
    #expect(isDone)
    #expect(!isResumed)
  }

  @Test("a connection outlives the last other reference to its context")
  func contextLifetime() throws {
    var context: ServerContext? = try Certificates.server(["one", "two"])
    var server = try Party(accepting: try #require(context))
    context = nil
    let client = RawClient(.init(name: "two.test"))
    client.talk(to: &server)
    #expect(client.isDone)
    #expect(client.peerName == "two")
  }
}

@Suite("contexts")
struct ContextTests {
  /// What is wrong when a context is made.
  private func error(_ make: () throws(ContextError) -> Void) -> ContextError? {
    do throws(ContextError) {
      try make()
      return nil
    } catch {
      return error
    }
  }

  @Test("an error says which file is wrong")
  func serverErrors() {
    let one = Certificates.files("one")
    let two = Certificates.files("two")
    let missing = "\(Certificates.folder)/missing.pem"
    let text = Certificates.path("text")
    let cases: [([CertificateFiles], String?, ContextError.Part, String)] = [
      ([.init(certificate: missing, key: one.key)], nil, .certificate(0), missing),
      ([one, .init(certificate: text, key: one.key)], nil, .certificate(1), text),
      ([.init(certificate: one.certificate, key: missing)], nil, .key(0), missing),
      ([.init(certificate: one.certificate, key: text)], nil, .key(0), text),
      ([one, two, .init(certificate: one.certificate, key: two.key)], nil, .key(2), two.key),
      ([one], missing, .clientCA, missing), ([one], text, .clientCA, text),
      ([], nil, .context, "certificate"),
    ]
    for (certificates, clientCA, part, mention) in cases {
      let error = self.error { () throws(ContextError) in
        _ = try ServerContext(
          certificates: certificates, minimumVersion: .tls12, clientCA: clientCA)
      }
      #expect(error?.part == part)
      #expect(error?.message.contains(mention) == true, "\(error?.message ?? "no error")")
    }
  }

  @Test("a client context says what is wrong, too")
  func clientErrors() {
    for (ca, name, part) in [
      (Certificates.path("text"), nil, .ca), ("/nowhere.pem", nil, .ca),
      (Certificates.path("ca"), "", .serverName), (Certificates.path("ca"), "a\0b", .serverName),
    ] as [(String, String?, ContextError.Part)] {
      let error = self.error { () throws(ContextError) in
        _ = try ClientContext(ca: ca, serverName: name)
      }
      #expect(error?.part == part)
    }
  }

  @Test("a host that cannot be a name is an error, not a trap")
  func impossibleHost() throws {
    let context = try ClientContext(ca: Certificates.path("ca"), serverName: nil)
    let wire = try RecordWire()
    let host = String(repeating: "a", count: 300)
    var fault: TLSFault?
    do throws(TLSFault) {
      _ = try TLSConnection(connecting: context, host: host, over: wire)
    } catch {
      fault = error
    }
    #expect(fault != nil)
  }

  @Test("the names of versions are those of the configuration")
  func versions() {
    #expect(TLSVersion(rawValue: "1.2") == .tls12)
    #expect(TLSVersion(rawValue: "1.3") == .tls13)
    #expect(TLSVersion(rawValue: "1.1") == nil)
  }
}
