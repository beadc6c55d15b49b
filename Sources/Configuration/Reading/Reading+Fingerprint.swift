import Crypto
import Foundation
import Yams

/// What parts of a file come to, so that a reload can tell which of them have changed.
extension Reading {
  /// A digest of a part of the file: its values, variables replaced, and the files that it names.
  func fingerprint(of place: Place) -> String {
    var digest = SHA256()
    if let node = self.document.node(at: place) { self.add(node, to: &digest) }
    for (stamp, named) in self.files where named.steps.starts(with: place.steps) {
      digest.update(data: Data("\(stamp.path)\u{0}\(stamp.digest)\u{0}".utf8))
    }
    return digest.finalize().prefix(16).map { octet in
      String(octet >> 4, radix: 16) + String(octet & 0xF, radix: 16)
    }.joined()
  }

  /// The order of keys means nothing; each text carries its length, so that no two trees look alike.
  private func add(_ node: Node, to digest: inout SHA256) {
    switch node {
    case .mapping(let mapping):
      digest.update(data: Data("{\(mapping.count)".utf8))
      let pairs = mapping.sorted { ($0.key.scalar?.string ?? "") < ($1.key.scalar?.string ?? "") }
      for (key, value) in pairs {
        self.add(key, to: &digest)
        self.add(value, to: &digest)
      }
    case .sequence(let sequence):
      digest.update(data: Data("[\(sequence.count)".utf8))
      for member in sequence { self.add(member, to: &digest) }
    case .scalar(let scalar):
      // A variable without a value is a problem, which makes no configuration.
      let text = (try? replacingVariables(in: scalar.string, from: self.environment)) ?? ""
      digest.update(data: Data("\"\(text.utf8.count):\(text)".utf8))
    case .alias(let alias):
      digest.update(data: Data("*\(alias.anchor.rawValue)".utf8))
    }
  }
}

/// What a file held at some time.
public struct FileStamp: Hashable, Sendable {
  /// Where it is.
  public let path: String
  /// Of what it held; empty where it could not be read.
  let digest: String

  /// Reads the file now.
  public init(of path: String) {
    self.path = path
    let octets = FileManager.default.contents(atPath: path)
    self.digest = octets.map { "\(SHA256.hash(data: $0))" } ?? ""
  }
}
