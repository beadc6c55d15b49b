public import Admission
public import HTTP
import Synchronization

/// The key sets that configurations name by URL. The same URL has the same set in each, so that a
/// reload keeps what was fetched.
public final class RemoteKeySets: Sendable {
  private struct Place: Hashable {
    let url: WebURL
    let refresh: Duration
  }

  private let web: any WebFetching
  private let sets = Mutex<[Place: RemoteKeySet]>([:])

  /// - Parameter web: what fetches them.
  public init(web: any WebFetching) { self.web = web }

  /// The set at a URL. Nothing is fetched before a token needs it, or it is served.
  public func keySet(at url: WebURL, refresh: Duration) -> RemoteKeySet {
    self.sets.withLock { sets in
      let place = Place(url: url, refresh: refresh)
      if let set = sets[place] { return set }
      let set = RemoteKeySet(url: url, refresh: refresh, web: self.web)
      sets[place] = set
      return set
    }
  }

  /// Keeps these sets fresh, and no others: those are forgotten.
  ///
  /// - Parameter report: hears what each fetch came to, on any thread.
  public func serve(_ served: [RemoteKeySet], report: @escaping RemoteKeySet.Report) {
    let ended = self.sets.withLock { sets in
      let ended = sets.values.filter { set in !served.contains { $0 === set } }
      sets = sets.filter { _, set in served.contains { $0 === set } }
      return ended
    }
    for set in ended { set.stop() }
    for set in served { set.start(report) }
  }
}
