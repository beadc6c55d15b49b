internal import CLinux
internal import Glibc

/// What the kernel allows this process.
public enum ProcessLimits {
  /// Raises the soft limit on descriptors to the hard one and gives the limit that holds then.
  public static func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    guard unsafe sluice_getrlimit_nofile(&limit) == 0 else { return 1024 }
    if limit.rlim_cur < limit.rlim_max,
      sluice_setrlimit_nofile(limit.rlim_max, limit.rlim_max) == 0
    {
      limit.rlim_cur = limit.rlim_max
    }
    return Int(clamping: limit.rlim_cur)
  }

  /// The limit on descriptors that holds now.
  public static func descriptorLimit() -> Int {
    var limit = rlimit()
    return unsafe sluice_getrlimit_nofile(&limit) == 0 ? Int(clamping: limit.rlim_cur) : 1024
  }

  /// Descriptors that are open now, as near as the lowest free number tells.
  public static func openDescriptorCount() -> Int {
    let number = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
    guard number >= 0 else { return 64 }
    _ = Glibc.close(number)
    return Int(number)
  }

  /// Processors this process may run on (sched_getaffinity(2)), at least 1.
  public static var processorCount: Int { max(1, Int(sluice_cpu_count())) }

  /// Memory that the process has in use (proc(5): statm); `nil` where /proc is not mounted.
  public static func residentByteCount() -> Int? {
    var octets = [UInt8](repeating: 0, count: 128)
    let number = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    defer { _ = Glibc.close(number) }
    // SAFETY: at most the array's count is written.
    let count = unsafe octets.withUnsafeMutableBytes { bytes in
      unsafe Glibc.read(number, bytes.baseAddress, bytes.count)
    }
    let words = String(decoding: octets.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
    guard words.count > 1, let pageCount = Int(words[1]) else { return nil }
    return pageCount * Int(getpagesize())
  }

  /// User and system time of the process so far, in seconds.
  public static func processorSeconds() -> Double {
    var time = timespec()
    unsafe _ = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Where this program lies, or lay when it was started; `nil` where /proc is not mounted.
  public static func programPath() -> String? {
    var octets = [UInt8](repeating: 0, count: 4096)
    // SAFETY: at most the array's count is written.
    let count = unsafe octets.withUnsafeMutableBytes { bytes in
      guard let start = unsafe bytes.assumingMemoryBound(to: CChar.self).baseAddress else {
        return 0
      }
      return unsafe readlink("/proc/self/exe", start, bytes.count)
    }
    return count > 0 ? String(decoding: octets.prefix(count), as: UTF8.self) : nil
  }

  /// Ends the process at once, without unwinding anything.
  public static func exitNow(_ code: CInt) -> Never { _exit(code) }
}

/// Writes to the process's standard streams, for the log's own thread: these calls may block.
public enum StandardStream: Sendable {
  case output
  case error

  /// Writes all octets, or as many as the stream takes before it breaks.
  public func write(_ octets: [UInt8]) {
    let number = self == .output ? STDOUT_FILENO : STDERR_FILENO
    var written = 0
    unsafe octets.withUnsafeBytes { bytes in
      while written < bytes.count {
        // SAFETY: `written` stays below the array's count.
        let count = unsafe Glibc.write(
          number, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
        if count < 0, errno == EINTR { continue }
        if count < 0, errno == EAGAIN {
          var wait = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
          unsafe _ = poll(&wait, 1, 1000)
          continue
        }
        guard count > 0 else { return }
        written += count
      }
    }
  }
}

/// The time of day, for records.
public struct WallClock: Sendable {
  /// Whole seconds since 1970 (UTC).
  public let seconds: Int64
  /// The rest, below 10⁹.
  public let nanoseconds: Int64

  /// The clock's present reading.
  public static func now() -> WallClock {
    var time = timespec()
    unsafe _ = clock_gettime(CLOCK_REALTIME, &time)
    return WallClock(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }

  /// How long it is from this reading until so many seconds after 1970; negative where that is past.
  public func duration(until second: Int64) -> Duration {
    .seconds(second) - .seconds(self.seconds) - .nanoseconds(self.nanoseconds)
  }

  /// `2026-01-31T12:00:00.123Z` (RFC 3339).
  public var timestamp: String {
    // Days to a civil date, by the algorithm of Howard Hinnant's "chrono-compatible low-level date
    // algorithms": eras of 400 years that begin on the first of March.
    let days = self.seconds.quotientFloor(86_400)
    let second = self.seconds - days * 86_400
    let shifted = days + 719_468
    let era = shifted.quotientFloor(146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(year)-\(month.padded(2))-\(day.padded(2))T\((second / 3600).padded(2)):"
      + "\((second / 60 % 60).padded(2)):\((second % 60).padded(2))."
      + "\((self.nanoseconds / 1_000_000).padded(3))Z"
  }
}

extension Int64 {
  fileprivate func quotientFloor(_ divisor: Int64) -> Int64 {
    self >= 0 ? self / divisor : (self - divisor + 1) / divisor
  }

  fileprivate func padded(_ width: Int) -> String {
    let digits = String(self)
    return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
  }
}
