internal import Net
internal import Synchronization

/// What the process has open, over all workers, and what it may have.
///
/// Touched when a connection begins or ends, never by a message.
final class Occupancy: Sendable {
  /// Connections that are served; further ones are told 503.
  private let connectionCountMax: Atomic<Int>
  /// Descriptors for connections: the process's limit less what is open anyway and a reserve for
  /// files, resolver and the like.
  private let descriptorCountMax: Int
  private let connections = Atomic<Int>(0)
  private let descriptors = Atomic<Int>(0)

  /// - Parameters:
  ///   - connectionCountMax: the configured limit.
  ///   - descriptorLimit: what the kernel allows the process.
  ///   - openDescriptorCount: what is open before the first connection.
  init(connectionCountMax: Int, descriptorLimit: Int, openDescriptorCount: Int) {
    self.connectionCountMax = Atomic(connectionCountMax)
    let reserve = max(16, descriptorLimit / 50)
    self.descriptorCountMax = max(4, descriptorLimit - openDescriptorCount - reserve)
  }

  private var connectionLimit: Int { self.connectionCountMax.load(ordering: .relaxed) }

  /// A new configuration has another limit. Nobody who is here has to go.
  func setConnectionCountMax(_ count: Int) {
    self.connectionCountMax.store(count, ordering: .relaxed)
  }

  /// Connections that live now.
  var connectionCount: Int { self.connections.load(ordering: .relaxed) }

  /// Whether one more client can be taken, if only to be told 503. A part of the descriptors is
  /// kept for the servers' side of those that are taken.
  var mayAccept: Bool {
    self.connectionCount < self.connectionLimit + Limits.surplusConnectionCountMax
      && self.descriptors.load(ordering: .relaxed) < self.descriptorCountMax
  }

  /// Whether a client that has been taken may have a tunnel, which costs one more descriptor. Some
  /// are left for clients that are to be told 503.
  var maySpareTunnel: Bool {
    let left = self.descriptorCountMax - self.descriptors.load(ordering: .relaxed)
    return self.connectionCount <= self.connectionLimit
      && left > max(2, self.descriptorCountMax / 16)
  }

  /// A client was accepted.
  func connectionBegan() {
    self.connections.wrappingAdd(1, ordering: .relaxed)
    self.descriptors.wrappingAdd(1, ordering: .relaxed)
  }

  /// A client's connection was closed.
  func connectionEnded() {
    self.connections.wrappingSubtract(1, ordering: .relaxed)
    self.descriptors.wrappingSubtract(1, ordering: .relaxed)
  }

  /// A stream of an HTTP/2 connection began: a client's connection without a descriptor.
  func streamBegan() { self.connections.wrappingAdd(1, ordering: .relaxed) }

  /// A stream ended.
  func streamEnded() { self.connections.wrappingSubtract(1, ordering: .relaxed) }

  /// A connection to a server was begun.
  func upstreamBegan() { self.descriptors.wrappingAdd(1, ordering: .relaxed) }

  /// A connection to a server was closed.
  func upstreamEnded() { self.descriptors.wrappingSubtract(1, ordering: .relaxed) }
}
