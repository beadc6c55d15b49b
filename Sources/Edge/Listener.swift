internal import Configuration
internal import Net
internal import TLS

/// One worker's end of a listener.
final class Listener: Sendable {
  let socket: ListeningSocket
  /// What holds for its connections.
  let rules: ListenerRules

  init(_ socket: ListeningSocket, _ rules: ListenerRules) {
    self.socket = socket
    self.rules = rules
  }

  /// How its connections are terminated; `nil` for plain ones.
  var tls: ServerContext? { self.rules.tls }

  /// Whether a client may begin with HTTP/2; under TLS the handshake settles that.
  var speaksHTTP2First: Bool { self.rules.http2 && self.rules.tls == nil }

  /// The scheme that its clients used, for X-Forwarded-Proto.
  var scheme: String { self.tls == nil ? "http" : "https" }
}

/// The sockets of all listeners: which of them each worker serves.
struct ListenerTable {
  /// One configured listener.
  private struct Row {
    let rules: ListenerRules
    /// For each worker those that it serves; one, as a rule.
    let sockets: [[ListeningSocket]]

    var all: [ListeningSocket] { self.sockets.flatMap(\.self) }
  }

  private let rows: [Row]
  private let workerCount: Int

  /// Binds what is not there yet. Nothing is closed, and nothing changes for those that serve.
  ///
  /// - Parameters:
  ///   - earlier: the table whose place it takes; its sockets are used where addresses agree, and its
  ///     TLS where certificates and all else agree, so that tickets stay good.
  ///   - inherited: sockets that the process was started with.
  /// - Throws: which address cannot be bound; then nothing was.
  init(
    _ listeners: [ListenerRules], workerCount: Int, inheriting earlier: ListenerTable? = nil,
    inherited: [ListeningSocket] = []
  ) throws(EdgeError) {
    self.workerCount = workerCount
    var (present, inherited) = (earlier?.rows ?? [], inherited)
    var rows: [Row] = []
    for rules in listeners {
      if let index = present.firstIndex(where: { $0.rules.address == rules.address }) {
        rows.append(Self.row(rules, inheriting: present.remove(at: index)))
      } else {
        let address = Self.address(of: rules, among: inherited, for: listeners)
        let taken = inherited.filter { $0.address == address }
        inherited.removeAll { $0.address == address }
        rows.append(try Self.bound(rules, taken, workerCount))
      }
    }
    self.rows = rows
    // Nobody would ever serve those.
    for socket in inherited { socket.close() }
  }

  /// The real address of a listener among sockets that are there: a predecessor has found a port where
  /// any is asked for, and it stays.
  private static func address(
    of rules: ListenerRules, among sockets: [ListeningSocket], for listeners: [ListenerRules]
  ) -> SocketAddress {
    guard case .ip(let ip, port: 0) = rules.address else { return rules.address }
    let named = listeners.map(\.address)
    let found = sockets.lazy.map(\.address).first { address in
      address.ipAddress == ip && !named.contains(address)
    }
    return found ?? rules.address
  }

  private static func row(_ rules: ListenerRules, inheriting row: Row) -> Row {
    var rules = rules
    let isSame = !rules.fingerprint.isEmpty && rules.fingerprint == row.rules.fingerprint
    if isSame { rules.tls = row.rules.tls }
    return Row(rules: rules, sockets: row.sockets)
  }

  /// Every worker has a socket of its own; where there are fewer, some have descriptors of the same
  /// one, and where there are more, some serve several: none may be left unserved.
  private static func bound(
    _ rules: ListenerRules, _ taken: [ListeningSocket], _ workerCount: Int
  ) throws(EdgeError) -> Row {
    do throws(Errno) {
      var sockets: [[ListeningSocket]] = Array(repeating: [], count: workerCount)
      for (index, socket) in taken.enumerated() { sockets[index % workerCount].append(socket) }
      for worker in taken.count..<max(taken.count, workerCount) {
        let first = sockets[0].first
        sockets[worker].append(try Self.socket(rules.address, first, isShared: !taken.isEmpty))
      }
      return Row(rules: rules, sockets: sockets)
    } catch {
      throw EdgeError(description: "cannot listen on \(rules.address): \(error)")
    }
  }

  /// - Parameter first: the first worker's: it decides on the port where 0 is asked for.
  private static func socket(
    _ address: SocketAddress, _ first: ListeningSocket?, isShared: Bool
  ) throws(Errno) -> ListeningSocket {
    guard let first else {
      try ListeningSocket.requireFree(address)
      return try ListeningSocket(binding: address)
    }
    if case .unix = address { return try ListeningSocket(sharing: first) }
    return isShared
      ? try ListeningSocket(sharing: first) : try ListeningSocket(binding: first.address)
  }

  /// Where it listens, in the order of the configuration, with real port numbers.
  var addresses: [SocketAddress] {
    self.rows.map { $0.all.first?.address ?? $0.rules.address }
  }

  /// Every socket, for a process that takes the place of this one.
  var sockets: [ListeningSocket] { self.rows.flatMap(\.all) }

  /// One worker's listeners.
  func listeners(ofWorker worker: Int) -> [Listener] {
    self.rows.flatMap { row in
      row.sockets[worker].map { Listener($0, row.rules) }
    }
  }

  /// A unix socket's file is this process's to remove, or another one's.
  func ownPaths(_ owns: Bool) {
    // One descriptor's: a second removal could hit the file of whoever listens there by then.
    for row in self.rows { row.all.first?.ownPath(owns) }
  }
}
