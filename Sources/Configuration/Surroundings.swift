public import Admission
public import Token

/// What of the world around it a configuration uses while it is in force. It outlives each
/// configuration that is read.
public struct Surroundings: Sendable {
  /// The network.
  public let web: any WebFetching
  /// What was fetched of key sets.
  public let keySets: RemoteKeySets

  /// - Parameter web: the network. Without it nothing is ever fetched, which is right for reading a
  ///   file to check it.
  public init(web: any WebFetching = NoWeb()) {
    self.web = web
    self.keySets = RemoteKeySets(web: web)
  }
}

extension Configuration {
  /// The key sets behind URLs that its routes verify tokens with.
  public var keySets: [RemoteKeySet] {
    self.routes.compactMap { route in
      (route.admission.credentials?.jwt?.verifier as? JWTVerifier)?.keySet
    }
  }
}
