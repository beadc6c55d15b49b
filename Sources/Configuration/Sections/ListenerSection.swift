import Net
import TLS

/// `listeners[]`
struct ListenerSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case address, tls, http2
    case proxyProtocol = "proxy_protocol"
    case redirectToHTTPS = "redirect_to_https"
    case acmeChallenges = "acme_challenges"
  }

  let rules: ListenerRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let address = section.required(.address).flatMap(Self.address)
    let http2 = section[.http2]?.flag()
    let tls = section[.tls]?.part(ListenerTLSSection.self)
    // A client that offers h2 is given it where the listener speaks it, which it does by default.
    let context = tls?.context(offersHTTP2: http2 ?? true)
    let proxies = section[.proxyProtocol]?.addressRanges() ?? []
    let httpsPort = section[.redirectToHTTPS]?.httpsPort()
    if httpsPort != nil, section[.tls] != nil {
      section[.redirectToHTTPS]?.refuse("contradiction: what comes here comes over TLS already")
    }
    let challenges = section[.acmeChallenges]?.directory()
    guard let address else { throw Refused() }
    var rules = ListenerRules(
      address: address, tls: context, tlsSource: tls?.source, http2: http2,
      proxyProtocol: proxies, httpsPort: httpsPort, challengeDirectory: challenges)
    rules.fingerprint = section.fingerprint
    self.rules = rules
  }

  /// An address that no other listener has.
  private static func address(_ entry: Entry) -> SocketAddress? {
    guard let address = entry.socketAddress() else { return nil }
    // Port 0 asks for any free port, each time for another one.
    if case .ip(_, port: 0) = address { return address }
    entry.reading.claim("\(address)", as: .listener, at: entry.place)
    return address
  }
}

extension Entry {
  /// `true`, which means 443, `false`, or a port.
  fileprivate func httpsPort() -> UInt16? {
    guard let scalar = self.scalar("true, false or a port") else { return nil }
    switch scalar.kind {
    case .flag: return scalar.characters == "true" ? 443 : nil
    case .number: return self.integer(in: 1...Int(UInt16.max)).map { UInt16($0) }
    case .nothing, .text:
      self.refuse("\(self.quotation(of: scalar)) is not true, false or a port")
      return nil
    }
  }

  /// Blocks of addresses, at least one.
  func addressRanges() -> [AddressRange] {
    (self.list() ?? []).compactMap { entry in
      guard let text = entry.text("a block of addresses") else { return nil }
      if let range = AddressRange(parsing: text) { return range }
      entry.refuse(
        "\"\(text)\" is not a block of addresses (as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1)")
      return nil
    }
  }

  /// An IP address with a port, or the path of a socket.
  func socketAddress() -> SocketAddress? {
    guard let text = self.text("an address") else { return nil }
    if let address = SocketAddress(parsing: self.resolvingSocketPath(text)) { return address }
    let reason =
      text.hasPrefix("unix:")
      ? "the path of a socket, its folder included, has 1 to "
        + "\(SocketAddress.unixPathByteCountMax) octets"
      : "an IP address with a port (as 0.0.0.0:8443 or \"[::]:8443\") or unix:/path is"
    self.refuse("\"\(text)\" is not an address: \(reason)")
    return nil
  }

  /// `unix:PATH` with the path seen from the folder of the configuration file; other text as it is.
  func resolvingSocketPath(_ text: String) -> String {
    guard text.hasPrefix("unix:"), text != "unix:" else { return text }
    return "unix:"
      + resolvedPath(String(text.dropFirst("unix:".count)), from: self.reading.directory)
  }
}

/// `listeners[].tls`
struct ListenerTLSSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable {
    case certificates
    case minimumVersion = "minimum_version"
    case clientCA = "client_ca"
  }

  let source: ListenerTLSSource
  private let section: Section<Keys>

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let entries = section.required(.certificates)?.list() ?? []
    let files = entries.map { $0.part(CertificateSection.self)?.files }
    let version = section[.minimumVersion].map { $0.choice(TLSVersion.self) } ?? .tls12
    let clientCA = section[.clientCA].map { $0.path() }
    guard let version else { throw Refused() }
    let usable = Self.checked(Array(zip(entries, files)), version)
    // With what can be used of the certificates, so that the authorities are checked in any case.
    guard !usable.isEmpty else { throw Refused() }
    self.source = ListenerTLSSource(
      certificates: usable, minimumVersion: version, clientCA: clientCA ?? nil)
    self.section = section
  }

  /// What terminates TLS; records why it cannot be made.
  func context(offersHTTP2: Bool) -> ServerContext? {
    do {
      return try ServerContext(
        certificates: self.source.certificates, minimumVersion: self.source.minimumVersion,
        clientCA: self.source.clientCA, offersHTTP2: offersHTTP2)
    } catch {
      let entry = error.part == .clientCA ? self.section[.clientCA] : self.section.entry
      entry?.refuse(error.message)
      return nil
    }
  }

  /// The certificates that can be used; records what is wrong with each of the others.
  private static func checked(
    _ certificates: [(entry: Entry, files: CertificateFiles?)], _ version: TLSVersion
  ) -> [CertificateFiles] {
    certificates.compactMap { entry, files in files.flatMap { Self.checked($0, entry, version) } }
  }

  private static func checked(
    _ files: CertificateFiles, _ entry: Entry, _ version: TLSVersion
  ) -> CertificateFiles? {
    do {
      _ = try ServerContext(certificates: [files], minimumVersion: version, clientCA: nil)
      return files
    } catch {
      let place =
        switch error.part {
        case .certificate: entry.place.appending(CertificateSection.Keys.certificate)
        case .key: entry.place.appending(CertificateSection.Keys.key)
        default: entry.place
        }
      entry.reading.refuse(error.message, at: place)
      return nil
    }
  }
}

/// `listeners[].tls.certificates[]`
struct CertificateSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case certificate, key }

  let files: CertificateFiles

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let certificate = section.required(.certificate)?.path()
    let key = section.required(.key)?.path()
    guard let certificate, let key else { throw Refused() }
    self.files = CertificateFiles(certificate: certificate, key: key)
  }
}
