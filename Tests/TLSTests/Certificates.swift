import Foundation
import Testing

@testable import TLS

/// Certificates and keys, made once for a run of the tests: none is kept with the sources.
enum Certificates {
  static let folder: String = {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("sluice-tls-tests-\(UUID().uuidString)").path
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for authority in ["ca", "strange-ca"] { makeAuthority(authority, in: folder) }
    make("one", for: "DNS:one.test,DNS:www.one.test,IP:127.0.0.1,IP:::1", by: "ca", in: folder)
    make("wild", for: "DNS:*.wild.test", by: "ca", in: folder)
    make("two", for: "DNS:Two.Test", by: "ca", in: folder)
    make("client", for: "DNS:client.test", by: "ca", in: folder)
    make("stranger", for: "DNS:one.test", by: "strange-ca", in: folder)
    make("expired", for: "DNS:one.test", by: "ca", days: "-1", in: folder)
    try? "this is no PEM file\n".write(
      toFile: "\(folder)/text.pem", atomically: false, encoding: .utf8)
    return folder
  }()

  static func files(_ name: String) -> CertificateFiles {
    CertificateFiles(
      certificate: "\(self.folder)/\(name).pem", key: "\(self.folder)/\(name).key")
  }

  static func path(_ name: String) -> String { "\(self.folder)/\(name).pem" }

  static func server(
    _ names: [String] = ["one"], minimumVersion: TLSVersion = .tls12, clientCA: String? = nil
  ) throws(ContextError) -> ServerContext {
    try ServerContext(
      certificates: names.map { self.files($0) }, minimumVersion: minimumVersion,
      clientCA: clientCA.map { self.path($0) })
  }

  private static let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

  private static func makeAuthority(_ name: String, in folder: String) {
    self.openSSL(
      in: folder,
      ["req", "-x509"] + self.curve
        + ["-subj", "/CN=\(name)", "-days", "2", "-keyout", "\(name).key", "-out", "\(name).pem"])
  }

  private static func make(
    _ name: String, for names: String, by authority: String, days: String = "2",
    in folder: String
  ) {
    self.openSSL(
      in: folder,
      ["req"] + self.curve
        + ["-subj", "/CN=\(name)", "-keyout", "\(name).key", "-out", "\(name).csr"])
    try? "subjectAltName=\(names)\n".write(
      toFile: "\(folder)/\(name).ext", atomically: false, encoding: .utf8)
    self.openSSL(
      in: folder,
      [
        "x509", "-req", "-in", "\(name).csr", "-CA", "\(authority).pem", "-CAkey",
        "\(authority).key", "-CAcreateserial", "-days", days, "-extfile", "\(name).ext", "-out",
        "\(name).pem",
      ])
  }

  private static func openSSL(in folder: String, _ arguments: [String]) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    do {
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0, "openssl \(arguments)")
    } catch {
      Issue.record("openssl, which makes the certificates of these tests, does not run: \(error)")
    }
  }
}
