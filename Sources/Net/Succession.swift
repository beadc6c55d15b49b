internal import CLinux
internal import Glibc

/// What a process was started with: listening sockets, by a supervisor that opened them beforehand
/// (systemd.socket(5), sd_listen_fds(3)) or by the process whose place this one takes.
public struct Inheritance: Sendable {
  /// Sockets that are open already.
  public let listeners: [ListeningSocket]
  /// The process whose place this one takes; `nil` where there is none.
  public let predecessor: SuccessionChannel?

  /// Nothing.
  public static let none = Inheritance(listeners: [], predecessor: nil)

  /// The first descriptor that is handed over (sd_listen_fds(3): SD_LISTEN_FDS_START).
  static let firstNumber: CInt = 3

  /// Takes what the environment speaks of, and out of the environment. Once, before anything else
  /// opens a descriptor.
  ///
  /// - Parameter environment: LISTEN_PID must name this process: the variables may have been meant
  ///   for another one, whose child this is.
  public static func take(from environment: [String: String]) -> Inheritance {
    defer { for name in Succession.variables { unsafe _ = unsetenv(name) } }
    guard environment["LISTEN_PID"] == String(getpid()),
      let count = environment["LISTEN_FDS"].flatMap({ CInt($0) }), (0...65_535).contains(count)
    else { return .none }
    let channelNumber = environment[Succession.channelVariable].flatMap { CInt($0) }
    let listeners = (Self.firstNumber..<Self.firstNumber + count).compactMap {
      ListeningSocket(inheriting: $0)
    }
    return Inheritance(
      listeners: listeners,
      predecessor: channelNumber.flatMap { SuccessionChannel(inheriting: $0) })
  }
}

/// A new process of this program takes the place of this one, and its listening sockets.
public enum Succession {
  static let channelVariable = "SLUICE_SUCCESSION_FD"
  static let variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", Self.channelVariable]

  /// Starts the program at `path` with these sockets.
  ///
  /// - Parameters:
  ///   - arguments: what it is called with, its name first.
  ///   - environment: its environment, but for the variables of sd_listen_fds(3).
  /// - Throws: why there is no new process. One that ends before it says that it is ready is seen as
  ///   the end of the channel.
  public static func start(
    _ path: String, arguments: [String], environment: [String: String],
    listeners: [ListeningSocket]
  ) throws(Errno) -> SuccessionChannel {
    var ends: (CInt, CInt) = (-1, -1)
    // SAFETY: the call fills two ints.
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe socketpair(
        AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0,
        bytes.assumingMemoryBound(to: CInt.self).baseAddress)
    }
    guard result == 0 else { throw Errno(rawValue: errno) }
    defer { _ = Glibc.close(ends.1) }
    var variables = environment.filter { !Self.variables.contains($0.key) }
    variables["LISTEN_FDS"] = String(listeners.count)
    variables[Self.channelVariable] = String(Int(Inheritance.firstNumber) + listeners.count)
    let pid = Self.spawn(
      path, arguments, variables, numbers: listeners.map(\.descriptor) + [ends.1])
    guard pid > 0 else {
      let fault = Errno(rawValue: errno)
      _ = Glibc.close(ends.0)
      throw fault
    }
    return SuccessionChannel(owning: ends.0, successor: pid)
  }

  /// - Returns: the new process, or -1.
  private static func spawn(
    _ path: String, _ arguments: [String], _ variables: [String: String], numbers: [CInt]
  ) -> pid_t {
    var numbers = numbers
    let argumentTexts = unsafe arguments.map { unsafe strdup($0) }
    let variableTexts = unsafe variables.map { unsafe strdup("\($0.key)=\($0.value)") }
    // Room for the digits of a process id, which the child alone knows.
    let pidName = "LISTEN_PID="
    let pidText = unsafe strdup(pidName + String(repeating: " ", count: 11))
    defer {
      unsafe (argumentTexts + variableTexts + [pidText]).forEach { unsafe free($0) }
    }
    guard let digits = unsafe pidText.map({ unsafe $0 + pidName.utf8.count }) else { return -1 }
    // SAFETY: the lists end with NULL and live, like their texts, until the call returns.
    return unsafe sluice_spawn(
      path, argumentTexts + [nil], variableTexts + [pidText, nil], digits, &numbers,
      CInt(numbers.count))
  }
}

/// What a process and its successor say to each other: lines of text. These calls may block.
public final class SuccessionChannel: Sendable {
  private let descriptor: CInt
  /// The successor, for the one that started it.
  private let successor: pid_t?

  fileprivate init(owning descriptor: CInt, successor: pid_t) {
    self.descriptor = descriptor
    self.successor = successor
  }

  fileprivate init?(inheriting number: CInt) {
    guard number >= Inheritance.firstNumber, fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else {
      return nil
    }
    self.descriptor = number
    self.successor = nil
  }

  deinit { _ = Glibc.close(self.descriptor) }

  /// Sends a line, which must not contain a line break; whether the other process is there.
  @discardableResult
  public func send(_ line: String) -> Bool {
    let octets = Array("\(line)\n".utf8)
    return unsafe octets.withUnsafeBytes { bytes in
      // A few hundred octets: they fit in the socket's buffer at once.
      unsafe Glibc.send(
        self.descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        == bytes.count
    }
  }

  /// The longest line, in octets.
  public static let lineByteCountMax = 64 * 1024

  /// The next line; `nil` where none came in time, or none will come.
  public func receive(timeout: Duration) -> String? {
    let deadline = Deadline.now().advanced(by: timeout)
    var line: [UInt8] = []
    while line.count < Self.lineByteCountMax {
      var entry = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
      let left = deadline.duration(since: .now())
      // SAFETY: one entry, which lives for the duration of the call.
      guard unsafe poll(&entry, 1, left.clampedMillisecondsUp) > 0 else {
        if left > .zero, errno == EINTR { continue }
        return nil
      }
      var octet: UInt8 = 0
      // SAFETY: one octet. What follows a line is left to the next call.
      guard unsafe Glibc.recv(self.descriptor, &octet, 1, 0) == 1 else { return nil }
      if octet == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(octet)
    }
    return nil
  }

  /// Ends a successor that has not become ready, where it has not ended by itself.
  public func endSuccessor() {
    guard let pid = self.successor else { return }
    // It may be anywhere in its start: nothing it could still do is wanted.
    _ = kill(pid, SIGKILL)
    var status: CInt = 0
    unsafe _ = waitpid(pid, &status, 0)
  }
}
