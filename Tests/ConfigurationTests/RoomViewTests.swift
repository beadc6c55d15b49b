import Foundation
import Signaling
import Testing

@testable import Configuration

@Suite("what people see of rooms while a file is in force")
struct RoomViewTests {
  @Test("no secret, wherever it stands")
  func masked() throws {
    let rooms = """
      { password: s3cret-1, list: [a, { name: b, password: "s3cret-2${EMPTY}" }],
        turn: { urls: ["turn:x"], secrets: [s3cret-3, "${TURN_SECRET}"] },
        webhooks: { url: "http://x", secret: "${NOTHING:-s3cret-4-and-more}" } }
      """
    let shown = try JSONValue.read(json: Fixtures.parse(Fixtures.rooms(rooms)).text)
    let mask = JSONValue.text("********")
    #expect(
      shown.members["routes"]?.list.first?.members["rooms"]
        == .mapping([
          "password": mask,
          "list": .list([.text("a"), .mapping(["name": .text("b"), "password": mask])]),
          "turn": .mapping([
            "urls": .list([.text("turn:x")]), "secrets": .list([mask, .text("${TURN_SECRET}")]),
          ]),
          "webhooks": .mapping(["url": .text("http://x"), "secret": mask]),
        ]))
  }

  @Test("nor one of a mapping that is merged: it is shown where it counts")
  func merged() throws {
    let yaml = """
      listeners: [{ address: 127.0.0.1:1 }]
      routes:
        - &first
          name: a
          match: { path: /a/ }
          origins: any
          rooms: &rooms { password: s3cret-1, demo: false }
        - { <<: *first, name: b, match: { path: /b/ } }
        - name: c
          match: { path: /c/ }
          origins: any
          rooms: { <<: [*rooms, { password: s3cret-2, max_peers: 5 }], demo: true }
        - { <<: *first, name: d, match: { path: /d/ }, rooms: { max_peers: 7 } }
      """
    let configuration = try Fixtures.parse(yaml)
    #expect(
      configuration.routes.map(\.rooms?.password) == ["s3cret-1", "s3cret-1", "s3cret-1", nil])
    #expect(!configuration.text.contains("s3cret"), "\(configuration.text)")
    let routes = try JSONValue.read(json: configuration.text).members["routes"]?.list ?? []
    let (mask, off) = (JSONValue.text("********"), JSONValue.flag(false))
    #expect(
      routes.map { $0.members["rooms"] } == [
        .mapping(["password": mask, "demo": off]), .mapping(["password": mask, "demo": off]),
        .mapping(["password": mask, "max_peers": .number(5), "demo": .flag(true)]),
        .mapping(["max_peers": .number(7)]),
      ])
    #expect(routes.map { $0.members["name"]?.text } == ["a", "b", "c", "d"])
  }

  @Test("files with secrets are the file's own")
  func files() throws {
    let configuration = try Fixtures.parse(
      Fixtures.rooms(
        """
        { password: "file:secret.txt", list: [{ name: b, password: "file:keys.txt" }],
          turn: { urls: ["turn:x"], secrets: ["file:one.crt"] },
          webhooks: { url: "http://x", secret: "file:two.crt" } }
        """))
    #expect(
      Set(configuration.files)
        == Set(
          ["secret.txt", "keys.txt", "one.crt", "two.crt"].map {
            FileStamp(of: "\(Fixtures.folder)/\($0)")
          }))
  }

  @Test(
    "a route whose rooms have changed",
    arguments: [
      "{ max_peers: 5 }", "{ list: [standup] }", "{ password: x }", "{ stun: [\"stun:x\"] }",
      "{ turn: { urls: [\"turn:x\"], secrets: [x] } }", "{ demo: false }",
    ])
  func changes(rooms: String) throws {
    let (old, new) = (
      try Fixtures.parse(Fixtures.rooms()), try Fixtures.parse(Fixtures.rooms(rooms))
    )
    #expect("\(Changes(from: old, to: new))" == "routes ~main")
    #expect("\(Changes(from: new, to: new))" == "nothing")
  }

  @Test("a route that leads to rooms in the place of servers")
  func moved() throws {
    let old = try Fixtures.parse(Fixtures.file())
    let new = try Fixtures.parse(Fixtures.rooms())
    #expect(
      "\(Changes(from: old, to: new))"
        == "routes ~main; upstreams -backend; servers -backend ws://127.0.0.1:9001")
  }

  @Test("a secret behind a file that has changed")
  func rotation() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let yaml = Fixtures.rooms(
      "{ turn: { urls: [\"turn:x\"], secrets: [\"file:new.txt\", \"file:old.txt\"] } }")
    let parse = { (secret: String) in
      for name in ["new.txt", "old.txt"] { Fixtures.write(secret, to: name, in: folder.path) }
      return try Configuration.parse(
        yaml: yaml, path: "a.yaml", directory: folder.path, environment: [:])
    }
    let (one, same, other) = (try parse("one\n"), try parse("one\n"), try parse("other\n"))
    #expect(one.routes[0].rooms?.turn?.secrets == ["one", "one"])
    #expect(Changes(from: one, to: same).isEmpty)
    #expect(Changes(from: one, to: other).routes.changed == ["main"])
  }
}
