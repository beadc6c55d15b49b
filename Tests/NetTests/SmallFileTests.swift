import Foundation
import Net
import Testing

@Suite("Small files")
struct SmallFileTests {
  /// A directory of its own, and what lies in it and beside it.
  private static func withFolder(_ body: (String) throws -> Void) throws {
    let outer = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    let folder = outer.appending(path: "folder")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: outer) }
    try Data("secret".utf8).write(to: outer.appending(path: "secret"))
    try body(folder.path)
  }

  private static func write(_ octets: [UInt8], _ name: String, _ folder: String) throws {
    try Data(octets).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  @Test("a file is read whole, up to the limit", arguments: [0, 1, 100, 4095, 4096, 4097, 10_000])
  func whole(count: Int) throws {
    try Self.withFolder { folder in
      let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
      try Self.write(octets, "token-1_A", folder)
      let read = { (countMax: Int) throws(Errno) in
        try smallFile(named: "token-1_A", in: folder, byteCountMax: countMax)
      }
      #expect(try read(count) == octets)
      #expect(try read(count + 1) == octets)
      guard count > 0 else { return }
      #expect(throws: Errno(rawValue: EFBIG)) { try read(count - 1) }
    }
  }

  @Test(
    "names that lead elsewhere, or are none",
    arguments: [
      "", ".", "..", "../secret", "/etc/passwd", "sub/file", "file/", "./file", ".hidden",
      "a\u{0}b",
      "file\u{0}", "missing", String(repeating: "x", count: 300),
    ])
  func noNames(name: String) throws {
    try Self.withFolder { folder in
      try Self.write([1], "file", folder)
      try Self.write([2], ".hidden", folder)
      try FileManager.default.createDirectory(
        atPath: "\(folder)/sub", withIntermediateDirectories: false)
      try Self.write([3], "sub/file", folder)
      #expect(try smallFile(named: name, in: folder, byteCountMax: 100) == nil)
      #expect(try smallFile(named: "file", in: folder, byteCountMax: 100) == [1])
    }
  }

  @Test("what is no regular file is not read")
  func otherKinds() throws {
    try Self.withFolder { folder in
      try Self.write([1], "file", folder)
      for (link, target) in [("out", "../secret"), ("in", "file"), ("loop", "loop")] {
        try FileManager.default.createSymbolicLink(
          atPath: "\(folder)/\(link)", withDestinationPath: target)
      }
      try FileManager.default.createDirectory(
        atPath: "\(folder)/directory", withIntermediateDirectories: false)
      // Nobody writes into it: whoever waited for that would wait for ever.
      #expect(unsafe mkfifo("\(folder)/pipe", 0o600) == 0)
      for name in ["out", "in", "loop", "directory", "pipe"] {
        #expect(try smallFile(named: name, in: folder, byteCountMax: 100) == nil, "\(name)")
      }
    }
  }

  @Test("the directory itself may be a link, and must be one that can be read")
  func directories() throws {
    try Self.withFolder { folder in
      try Self.write([7], "file", folder)
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)-link", withDestinationPath: folder)
      #expect(try smallFile(named: "file", in: "\(folder)-link", byteCountMax: 9) == [7])
      #expect(throws: Errno(rawValue: ENOENT)) {
        try smallFile(named: "file", in: "\(folder)-none", byteCountMax: 9)
      }
      #expect(throws: Errno(rawValue: ENOTDIR)) {
        try smallFile(named: "file", in: "\(folder)/file", byteCountMax: 9)
      }
    }
  }
}
