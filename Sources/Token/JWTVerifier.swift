public import Admission
import FoundationEssentials
import JWTKit

/// Whether a token without an expiry (RFC 7519 §4.1.4) is taken.
public enum ExpiryRule: Sendable, Hashable {
  /// It is refused: what never ends cannot be taken back.
  case required
  /// It is taken, and is good for ever.
  case optional
}

/// Judges JSON Web Tokens with keys that it was given, or that are fetched.
///
/// A token is authentic if one key whose algorithm is the one that the header names has signed it;
/// where both sides have a `kid`, it must be the same. Then its times, its issuer and its audience
/// are looked at. Nothing in a token chooses a key of another algorithm, an extension, or no
/// signature at all (RFC 8725 §2.1).
public final class JWTVerifier: TokenVerifying {
  /// The longest token that is looked at, in octets.
  public static let tokenByteCountMax = 8192

  /// No leeway is longer than a day.
  private static let leewaySecondsMax: Int64 = 86_400

  private let source: KeySource
  private let rules: ClaimRules
  private let now: @Sendable () -> Int64

  /// A verifier.
  ///
  /// - Parameters:
  ///   - keys: any of these may have signed a token. With none, every token is refused.
  ///   - issuer: the `iss` that a token must have; `nil` asks nothing.
  ///   - audience: what `aud` must be or hold; `nil` asks nothing, also of a token that has one.
  ///   - leeway: how far the clocks of the issuer and of this machine may differ.
  ///   - expiry: whether a token must have one.
  ///   - now: the clock, in seconds since 1970.
  public convenience init(
    keys: [VerificationKey], issuer: String? = nil, audience: String? = nil,
    leeway: Duration = .seconds(30), expiry: ExpiryRule = .required,
    now: @escaping @Sendable () -> Int64 = JWTVerifier.systemSeconds
  ) {
    self.init(
      source: .fixed(FixedKeys(keys)), issuer: issuer, audience: audience, leeway: leeway,
      expiry: expiry, now: now)
  }

  /// A verifier whose keys are those of a set behind a URL. Until it was fetched once, tokens are
  /// neither good nor bad. The rest is as above.
  public convenience init(
    keySet: RemoteKeySet, issuer: String? = nil, audience: String? = nil,
    leeway: Duration = .seconds(30), expiry: ExpiryRule = .required,
    now: @escaping @Sendable () -> Int64 = JWTVerifier.systemSeconds
  ) {
    self.init(
      source: .remote(keySet), issuer: issuer, audience: audience, leeway: leeway, expiry: expiry,
      now: now)
  }

  private init(
    source: KeySource, issuer: String?, audience: String?, leeway: Duration, expiry: ExpiryRule,
    now: @escaping @Sendable () -> Int64
  ) {
    self.source = source
    self.rules = ClaimRules(
      issuer: issuer, audience: audience, expiry: expiry,
      leewaySeconds: min(max(0, leeway.components.seconds), Self.leewaySecondsMax))
    self.now = now
  }

  /// The machine's clock, in seconds since 1970.
  @Sendable public static func systemSeconds() -> Int64 { Int64(Date().timeIntervalSince1970) }

  /// Judges one token. Reasons are sentences that quote nothing of it.
  public func verify(_ token: String) async -> Verdict {
    guard token.utf8.count <= Self.tokenByteCountMax else {
      return .invalid(reason: "The token is longer than \(Self.tokenByteCountMax) octets.")
    }
    let signed: SignedToken
    do {
      signed = try SignedToken(parsing: token)
    } catch {
      return .invalid(reason: error.reason)
    }
    guard let keys = await self.source.keys(for: signed.kid) else {
      return .unavailable(reason: "The keys that tokens are checked with are not there for now.")
    }
    if let fault = Self.signatureFault(of: signed, keys: keys) { return .invalid(reason: fault) }
    return self.rules.judge(payload: signed.payload, now: self.now())
  }

  /// Why no key has signed the token; `nil` if one has.
  private static func signatureFault(of token: SignedToken, keys: [ReadyKey]) -> String? {
    let sameAlgorithm = keys.filter { $0.key.algorithm.rawValue == token.algorithm }
    guard !sameAlgorithm.isEmpty else {
      return "The token's signature algorithm is not one that is accepted here."
    }
    let candidates = sameAlgorithm.filter { candidate in
      guard let asked = token.kid, let kid = candidate.key.kid else { return true }
      return asked == kid
    }
    guard !candidates.isEmpty else { return "No key of the token's kid is known here." }
    let isAuthentic = candidates.contains { candidate in
      // It throws where the signature has the wrong length: that is not authentic either.
      (try? candidate.operation.verify(token.signature, signs: token.signedOctets)) == true
    }
    return isAuthentic ? nil : "The token's signature is not valid."
  }

  /// The set that its keys come from; `nil` where they were given.
  public var keySet: RemoteKeySet? {
    if case .remote(let keySet) = self.source { keySet } else { nil }
  }
}

extension JWTVerifier {
  /// Makes a token that this verifier accepts, for trying a route out: issuer and audience are those
  /// that it asks for, where `contents` names none.
  ///
  /// - Parameter key: what signs; `nil` takes the verifier's first shared secret.
  /// - Throws: where there is no shared secret: private keys are not here.
  public func mint(
    _ contents: TokenContents, key: SigningKey? = nil
  ) async throws(KeyError) -> String {
    var contents = contents
    contents.issuer = contents.issuer ?? self.rules.issuer
    if contents.audience.isEmpty, let audience = self.rules.audience {
      contents.audience = [audience]
    }
    if let key { return try await Token.mint(contents, key: key) }
    guard let secret = self.source.fixedKeys.first(where: { $0.algorithm.isSymmetric }) else {
      throw KeyError(message: "the route's keys are public ones; name a private key to sign with")
    }
    let key = SigningKey(algorithm: secret.algorithm, kid: secret.kid, material: secret.material)
    return try await Token.mint(contents, key: key)
  }
}
