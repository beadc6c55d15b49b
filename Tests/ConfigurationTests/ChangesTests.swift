import Foundation
import Testing

@testable import Configuration

@Suite("what a reload changed")
struct ChangesTests {
  private static let before = Fixtures.file()

  private static func changes(_ old: String, _ new: String) throws -> Changes {
    Changes(from: try Fixtures.parse(old), to: try Fixtures.parse(new))
  }

  @Test("nothing, whatever the file looks like")
  func nothing() throws {
    let spaced = Self.before.replacingOccurrences(of: "routes:", with: "\n# routes\nroutes:")
    let changes = try Self.changes(Self.before, spaced)
    #expect(changes.isEmpty)
    #expect("\(changes)" == "nothing")
  }

  @Test(
    "each part by itself",
    arguments: [
      (Fixtures.file(route: "idle_timeout: 99s"), "routes ~main"),
      (Fixtures.file(origins: "[https://example.com]"), "routes ~main"),
      (Fixtures.file(upstream: "retries: 1"), "upstreams ~backend"),
      (
        Fixtures.file(server: "ws://other:1"),
        "upstreams ~backend; servers +backend ws://other:1 -backend ws://127.0.0.1:9001"
      ),
      (Fixtures.file(route: "http: true"), "routes ~main"),
      (Fixtures.file(upstream: "keepalive: false"), "upstreams ~backend"),
      (Fixtures.file(upstream: "proxy_protocol: v2"), "upstreams ~backend"),
      (
        Fixtures.file(listener: "{ address: 127.0.0.1:8080, http2: true }"),
        "listeners ~127.0.0.1:8080"
      ),
      (
        Fixtures.file(listener: "{ address: 127.0.0.1:8080, redirect_to_https: true }"),
        "listeners ~127.0.0.1:8080"
      ),
      (Fixtures.file(top: "limits: { connections: 5 }"), "limits"),
      (Fixtures.file(top: "limits: { streams: 5 }"), "limits"),
      (Fixtures.file(top: "limits: { keepalive_timeout: 5s }"), "limits"),
      (Fixtures.file(top: "log: { level: debug }"), "log"),
      (Fixtures.file(top: "shutdown_grace: 1s"), "shutdown_grace"),
      (Fixtures.file(top: "drain_over: 1s"), "drain_over"),
      (Fixtures.file(top: "trusted_proxies: [10.0.0.0/8]"), "trusted_proxies"),
      (Fixtures.file(top: "trace: true"), "trace"),
      (
        Fixtures.file(top: "admin: { address: 127.0.0.1:1 }"),
        "admin.address (with the next start)"
      ),
      (Fixtures.file(top: "workers: 3"), "workers (with the next start)"),
    ])
  func parts(new: String, expected: String) throws {
    let changes = try Self.changes(Self.before, new)
    #expect("\(changes)" == expected)
    #expect(!changes.isEmpty)
  }

  @Test("a name in the place of another")
  func renamed() throws {
    let new = Self.before.replacingOccurrences(of: "name: main", with: "name: talk")
    let changes = try Self.changes(Self.before, new)
    #expect(changes.routes.added == ["talk"])
    #expect(changes.routes.removed == ["main"])
    #expect(changes.routes.changed == [])
  }

  @Test("the value of a variable counts, not its name")
  func variables() throws {
    let new = Fixtures.file(route: "idle_timeout: ${T}")
    let parse = { (value: String) in
      try Configuration.parse(
        yaml: new, path: "a.yaml", directory: Fixtures.folder, environment: ["T": value])
    }
    let (one, same, other) = (try parse("60s"), try parse("60s"), try parse("61s"))
    #expect(Changes(from: one, to: same).isEmpty)
    #expect(Changes(from: one, to: other).routes.changed == ["main"])
  }

  @Test("what a named file holds counts")
  func files() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let keys = folder.appending(path: "keys.txt")
    let yaml = Fixtures.file(route: "auth: { api_keys: { keys: [\"file:keys.txt\"] } }")
    let parse = { (key: String) in
      try Data(key.utf8).write(to: keys)
      return try Configuration.parse(
        yaml: yaml, path: "a.yaml", directory: folder.path, environment: [:])
    }
    let (one, same, other) = (try parse("one"), try parse("one"), try parse("other"))
    #expect(one.files.map(\.path) == [keys.path])
    #expect(Changes(from: one, to: same).isEmpty)
    #expect(Changes(from: one, to: other).routes.changed == ["main"])
    #expect(one.files == same.files)
    #expect(one.files != other.files)
    #expect(other.files == [FileStamp(of: keys.path)])
  }
}
