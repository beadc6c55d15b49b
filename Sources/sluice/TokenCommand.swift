import Admission
import ArgumentParser
import Configuration
import Foundation
import Synchronization
import Token

struct TokenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token",
    abstract: "Make a JSON Web Token to try a route with.",
    discussion: """
      With --config and --route the token has the issuer and the audience that the route asks for, \
      and is signed with its first shared secret; a route with public keys needs --private-key. \
      Without them, give --secret or --private-key.
      """)

  @Option(name: [.short, .long], help: ArgumentHelp("The configuration file.", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("The route that is to admit the token.", valueName: "name"))
  var route: String?

  @Option(help: ArgumentHelp("A shared secret to sign with.", valueName: "text"))
  var secret: String?

  @Option(help: ArgumentHelp("A private key to sign with, PEM.", valueName: "file"))
  var privateKey: String?

  @Option(help: "The algorithm that --secret or --private-key signs with (default: HS256, ES256).")
  var algorithm: String?

  @Option(help: ArgumentHelp("The name of the key, kid.", valueName: "name"))
  var kid: String?

  @Option(help: ArgumentHelp("Who the token speaks for, sub.", valueName: "name"))
  var subject: String?

  @Option(help: ArgumentHelp("Who issued it, iss.", valueName: "name"))
  var issuer: String?

  @Option(help: ArgumentHelp("Whom it is for, aud. Can be repeated.", valueName: "name"))
  var audience: [String] = []

  @Option(help: ArgumentHelp("How long it is valid, such as 90s, 5m, 1h.", valueName: "duration"))
  var expires: Lifetime = Lifetime(seconds: 3600)

  @Option(help: ArgumentHelp("A further claim, as NAME=TEXT. Can be repeated.", valueName: "claim"))
  var claim: [String] = []

  func validate() throws {
    guard (self.config == nil) == (self.route == nil) else {
      throw ValidationError("--config and --route go together")
    }
    guard self.secret == nil || self.privateKey == nil else {
      throw ValidationError("--secret and --private-key exclude each other")
    }
    guard self.config != nil || self.secret != nil || self.privateKey != nil else {
      throw ValidationError("give --config and --route, or --secret, or --private-key")
    }
  }

  func run() throws {
    let contents = try self.contents()
    do throws(KeyError) {
      let (key, verifier) = (try self.signingKey(), try self.verifier())
      print(
        try self.wait { () async throws(KeyError) -> String in
          if let verifier { return try await verifier.mint(contents, key: key) }
          guard let key else { throw KeyError(message: "there is nothing to sign with") }
          return try await mint(contents, key: key)
        })
    } catch {
      fail(["sluice: \(error.message)"])
    }
  }

  /// The library's keys live in actors. The command line has one thread and nothing else to do.
  private func wait(
    for work: @escaping @Sendable () async throws(KeyError) -> String
  ) throws(KeyError) -> String {
    let outcome = Mutex<Result<String, KeyError>>(
      .failure(KeyError(message: "no token was made")))
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      let result = await Self.result(of: work)
      outcome.withLock { $0 = result }
      done.signal()
    }
    done.wait()
    return try outcome.withLock { $0 }.get()
  }

  private static func result(
    of work: @Sendable () async throws(KeyError) -> String
  ) async -> Result<String, KeyError> {
    do throws(KeyError) {
      return .success(try await work())
    } catch {
      return .failure(error)
    }
  }

  private func contents() throws -> TokenContents {
    let now = JWTVerifier.systemSeconds()
    var extra: [String: ClaimValue] = [:]
    for claim in self.claim {
      let parts = claim.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ValidationError("\"\(claim)\" is no claim: name=text is one")
      }
      extra[String(parts[0])] = .text(String(parts[1]))
    }
    return TokenContents(
      subject: self.subject, issuer: self.issuer, audience: self.audience, issuedAt: now,
      expiry: now + self.expires.seconds, extra: extra)
  }

  private func signingKey() throws(KeyError) -> SigningKey? {
    if let secret = self.secret {
      let algorithm = try SigningAlgorithm(parsing: self.algorithm ?? "HS256")
      return try .hmac(algorithm: algorithm, secret: secret, kid: self.kid)
    }
    guard let path = self.privateKey else { return nil }
    guard let pem = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw KeyError(message: "\(path) cannot be read")
    }
    let algorithm = try SigningAlgorithm(parsing: self.algorithm ?? "ES256")
    return try .pem(algorithm: algorithm, pem: pem, kid: self.kid)
  }

  private func verifier() throws(KeyError) -> JWTVerifier? {
    guard let config = self.config, let name = self.route else { return nil }
    let file = ConfigurationFile(config: config)
    guard let configuration = try? file.load() else { return nil }
    guard let route = configuration.routes.first(where: { $0.name == name }) else {
      throw KeyError(message: "\(config) has no route \"\(name)\"")
    }
    guard let verifier = route.admission.credentials?.jwt?.verifier as? JWTVerifier else {
      throw KeyError(message: "the route \"\(name)\" asks for no token")
    }
    return verifier
  }
}

/// A number of seconds, written as 90s, 5m, 1h or 1d.
struct Lifetime: ExpressibleByArgument {
  let seconds: Int64

  init(seconds: Int64) { self.seconds = seconds }

  init?(argument: String) {
    let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    guard let last = argument.last, let unit = units[last], let count = Int64(argument.dropLast()),
      count > 0, count <= 36_500
    else { return nil }
    self.seconds = count * unit
  }

  var defaultValueDescription: String { "1h" }
}
