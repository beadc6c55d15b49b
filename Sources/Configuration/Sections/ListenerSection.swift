import Net
import TLS

/// `listeners[]`
struct ListenerSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case address, tls }

  let rules: ListenerRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let addressEntry = section.required(.address)
    let address = addressEntry?.socketAddress()
    let tls = section[.tls]?.part(ListenerTLSSection.self)
    guard let addressEntry, let address else { throw Refused() }
    // Port 0 asks for any free port, each time for another one.
    let isAnyPort = if case .ip(_, port: 0) = address { true } else { false }
    if !isAnyPort {
      section.entry.reading.claim("\(address)", as: .listener, at: addressEntry.place)
    }
    var rules = ListenerRules(address: address, tls: tls?.context, tlsSource: tls?.source)
    rules.fingerprint = section.fingerprint
    self.rules = rules
  }
}

extension Entry {
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

  let context: ServerContext
  let source: ListenerTLSSource

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
    do {
      self.context = try ServerContext(
        certificates: usable, minimumVersion: version, clientCA: self.source.clientCA)
    } catch {
      let entry = error.part == .clientCA ? section[.clientCA] : section.entry
      entry?.refuse(error.message)
      throw Refused()
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
