import Foundation
import Testing

@testable import Net

@Suite("directories that are watched")
struct DirectoryWatchTests {
  @Test("what happens to files in it is told, once")
  func changes() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let watch = try DirectoryWatch()
    try watch.add(folder.path)
    try watch.add(folder.path)
    #expect(!watch.wait(timeout: .zero))
    let file = folder.appending(path: "a")
    try Data("a".utf8).write(to: file)
    #expect(watch.wait(timeout: .seconds(10)))
    #expect(!watch.wait(timeout: .zero))
    try FileManager.default.moveItem(at: file, to: folder.appending(path: "b"))
    #expect(watch.wait(timeout: .seconds(10)))
    try FileManager.default.createSymbolicLink(
      at: folder.appending(path: "c"), withDestinationURL: folder.appending(path: "b"))
    #expect(watch.wait(timeout: .seconds(10)))
  }

  @Test("a directory that is not there is an error")
  func missing() throws {
    let watch = try DirectoryWatch()
    #expect(throws: Errno.self) { try watch.add("/nowhere/at/all") }
  }
}
