internal import CLinux
internal import Glibc

/// What the process tells the supervisor that started it (sd_notify(3)): one datagram to the socket
/// that NOTIFY_SOCKET names. Without such a supervisor nothing happens.
public struct ServiceNotice: Sendable {
  private let path: String?

  /// - Parameter socket: the value of NOTIFY_SOCKET: a path, or a name that begins with `@`.
  public init(socket: String?) {
    // sockaddr_un's path has 108 octets, the last of which is NUL for a path.
    self.path = socket.flatMap { (2...107).contains($0.utf8.count) ? $0 : nil }
  }

  /// It serves, or serves again.
  public func ready(status: String) { self.send("READY=1\nSTATUS=\(status)") }

  /// It reads its configuration anew; ``ready(status:)`` follows.
  public func reloading() {
    self.send("RELOADING=1\nMONOTONIC_USEC=\(sluice_monotonic_nanoseconds() / 1000)")
  }

  /// It ends, after its tunnels.
  public func stopping() { self.send("STOPPING=1") }

  /// This process takes the place of the one that the supervisor started.
  public func succeeded(status: String) {
    self.send("MAINPID=\(getpid())\nREADY=1\nSTATUS=\(status)")
  }

  private func send(_ text: String) {
    guard let path = self.path else { return }
    let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { return }
    defer { _ = Glibc.close(number) }
    var octets = Array(path.utf8)
    // unix(7): an abstract name begins with NUL, and has no end but its length.
    let isAbstract = octets[0] == UInt8(ascii: "@")
    if isAbstract { octets[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
    unsafe withUnsafeMutableBytes(of: &address) { unsafe $0[offset...].copyBytes(from: octets) }
    let length = socklen_t(offset + octets.count + (isAbstract ? 0 : 1))
    let message = Array(text.utf8)
    // SAFETY: a sockaddr_un begins with the fields of `sockaddr`, and `length` is within it.
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        _ = unsafe sendto(number, message, message.count, CInt(MSG_NOSIGNAL), raw, length)
      }
    }
  }
}
