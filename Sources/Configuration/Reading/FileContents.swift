import Foundation

/// Why a file that the configuration names cannot be used: a sentence that begins with its path.
struct FileFault: Error, Equatable {
  let message: String
}

/// The text of a file, at most `byteCountMax` octets of UTF-8.
func readFile(at path: String, byteCountMax: Int) throws(FileFault) -> String {
  let octets: Data
  do {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { try? file.close() }
    // One more than the limit tells whether there is more; a device has no end.
    octets = try file.read(upToCount: byteCountMax + 1) ?? Data()
  } catch {
    throw FileFault(message: "\(path): \(reason(of: error))")
  }
  guard octets.count <= byteCountMax else {
    throw FileFault(message: "\(path): longer than \(Quantity.text(ofByteCount: byteCountMax))")
  }
  guard let text = String(validating: octets, as: UTF8.self) else {
    throw FileFault(message: "\(path): not UTF-8 text")
  }
  return text
}

/// Why there is no directory at `path`; `nil` where there is one.
func directoryFault(at path: String) -> FileFault? {
  // A directory has itself as a member; nothing else has any.
  if FileManager.default.fileExists(atPath: "\(path)/.") { return nil }
  let isThere = FileManager.default.fileExists(atPath: path)
  return FileFault(message: "\(path): \(isThere ? "it is not a directory" : "no such directory")")
}

/// The cause in a few words. Foundation wraps the system's error once or not at all.
private func reason(of error: any Error) -> String {
  let outer = error as NSError
  let cause = outer.userInfo[NSUnderlyingErrorKey] as? NSError ?? outer
  guard cause.domain == NSPOSIXErrorDomain else {
    switch (outer as? CocoaError)?.code {
    case .fileNoSuchFile?, .fileReadNoSuchFile?: return "no such file"
    case .fileReadNoPermission?: return "permission denied"
    default: return "it cannot be read"
    }
  }
  switch CInt(cause.code) {
  case ENOENT, ENOTDIR: return "no such file"
  case EACCES, EPERM: return "permission denied"
  case EISDIR: return "it is a directory"
  default: return "it cannot be read (errno \(cause.code))"
  }
}

/// The folder of a file, to which its relative paths are relative.
func directory(ofFile path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// `path`, if relative seen from `directory`.
func resolvedPath(_ path: String, from directory: String) -> String {
  guard !path.hasPrefix("/"), directory != "." else { return path }
  return directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
}
