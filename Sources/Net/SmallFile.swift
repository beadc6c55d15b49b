internal import CLinux
internal import Glibc

/// What a file in a directory holds, read in one go: for files that are small and lie on a local disk,
/// as whoever calls waits for it.
///
/// `name` may come from a peer. It is one component of a path, and neither a link nor a name that begins
/// with "." is followed, so that nothing outside of the directory is ever read, and nothing that hides
/// in it.
///
/// - Parameters:
///   - name: the file's name.
///   - directory: a path, which may lead over links.
///   - byteCountMax: the longest file, in octets.
/// - Returns: `nil` where the directory has no regular file of this name.
/// - Throws: why the directory or the file cannot be read; EFBIG for one that is longer.
public func smallFile(
  named name: String, in directory: String, byteCountMax: Int
) throws(Errno) -> [UInt8]? {
  guard !name.isEmpty, name.utf8.first != 0x2E, !name.utf8.contains(0x2F), !name.utf8.contains(0)
  else { return nil }
  let folder = try openedForReading(directory, in: AT_FDCWD, O_DIRECTORY)
  defer { _ = Glibc.close(folder) }
  let file: CInt
  do {
    // O_NONBLOCK: a pipe would else be waited for.
    file = try openedForReading(name, in: folder, O_NOFOLLOW | O_NONBLOCK)
  } catch {
    // ELOOP is a link, ENXIO a socket, ENAMETOOLONG a name that no file can have.
    guard [ENOENT, ELOOP, ENXIO, ENAMETOOLONG].contains(error.rawValue) else { throw error }
    return nil
  }
  defer { _ = Glibc.close(file) }
  var status = stat()
  // SAFETY: the call fills the struct.
  guard unsafe fstat(file, &status) == 0 else { throw Errno(rawValue: errno) }
  guard status.st_mode & S_IFMT == S_IFREG else { return nil }
  return try contents(of: file, byteCountMax: byteCountMax)
}

private func openedForReading(
  _ path: String, in folder: CInt, _ flags: CInt
) throws(Errno) -> CInt {
  while true {
    let number = unsafe openat(folder, path, O_RDONLY | O_CLOEXEC | flags)
    if number >= 0 { return number }
    guard errno == EINTR else { throw Errno(rawValue: errno) }
  }
}

private func contents(of file: CInt, byteCountMax: Int) throws(Errno) -> [UInt8] {
  var contents: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 4096)
  while contents.count <= byteCountMax {
    // SAFETY: at most the array's count is written.
    let count = unsafe piece.withUnsafeMutableBytes { bytes in
      unsafe Glibc.read(file, bytes.baseAddress, bytes.count)
    }
    if count == 0 { return contents }
    if count > 0 {
      contents += piece[..<count]
    } else if errno != EINTR {
      throw Errno(rawValue: errno)
    }
  }
  throw Errno(rawValue: EFBIG)
}
