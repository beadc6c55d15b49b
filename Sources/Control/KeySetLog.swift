internal import Admission
internal import Configuration
public import Edge
internal import HTTP
internal import Logging
public import Token

extension RemoteKeySets {
  /// Keeps the key sets fresh that the edge's configuration names, and no others. To be called when the
  /// edge serves, and after each reload; the log tells what became of each fetch.
  public func serve(_ edge: Edge) {
    self.serve(edge.configuration.keySets) { set, outcome in note(outcome, of: set, edge.log) }
  }
}

private func note(_ outcome: RemoteKeySet.Outcome, of set: RemoteKeySet, _ log: Logger) {
  switch outcome {
  case .fetched(let keyCount, let skipped):
    log.info(
      "key set fetched",
      metadata: ["url": "\(set.url)", "keys": "\(keyCount)", "skipped": "\(skipped.count)"])
  case .failed(let reason, let retryDelay):
    log.warning(
      "key set not fetched",
      metadata: [
        "url": "\(set.url)", "reason": "\(reason)", "retry_in": "\(retryDelay.components.seconds)s",
      ])
  }
}
