/// Something that can tell whether a token is authentic. It may take its time (a key may have to be
/// fetched), so it lives in the control plane; its verdict is posted back to the worker.
public protocol TokenVerifying: Sendable {
  /// Judges one token, as it stood in the request.
  func verify(_ token: String) async -> Verdict
}

/// What a verifier found. No reason ever quotes the token: reasons are sent to the client and logged.
public enum Verdict: Sendable, Equatable {
  /// Authentic and current.
  case valid(Claims)
  /// Not authentic, or expired, or not valid yet: 401.
  case invalid(reason: String)
  /// Authentic, but it does not permit this, because it is meant for another audience: 403.
  case notPermitted(reason: String)
  /// It could not be found out, because keys are missing for now: 503, never 401, which would make
  /// the client throw a good token away.
  case unavailable(reason: String)
}

/// What becomes of a tunnel when the token that it was admitted with is no longer taken.
public enum ExpiryAction: String, Sendable, CaseIterable {
  /// It ends.
  case close
  /// Nothing: the token is for the door alone.
  case ignore
}

/// How a route takes JSON Web Tokens.
public struct JWTRule: Sendable {
  /// Who judges them.
  public var verifier: any TokenVerifying
  /// Where they may stand; the first of these that holds one counts.
  public var sources: [TokenSource]
  /// Claims that the backend is told, and the field for each. The fields are removed from what
  /// clients send.
  public var forwardClaims: [(claim: String, field: String)]
  /// What becomes of a tunnel that outlives its token.
  public var onExpiry: ExpiryAction

  /// A rule with a verifier, the places where tokens may stand, and the claims to forward.
  public init(
    verifier: any TokenVerifying, sources: [TokenSource],
    forwardClaims: [(claim: String, field: String)] = [], onExpiry: ExpiryAction = .close
  ) {
    self.verifier = verifier
    self.sources = sources
    self.forwardClaims = forwardClaims
    self.onExpiry = onExpiry
  }
}
