internal import CLinux
internal import COpenSSL

/// Why a context cannot be made: what its owner wrote is wrong.
public struct ContextError: Error, Equatable, Sendable {
  /// Which part of what was given is at fault.
  public enum Part: Equatable, Sendable {
    /// The certificate file with this index.
    case certificate(Int)
    /// The key file with this index.
    case key(Int)
    /// The authorities that client certificates are verified against.
    case clientCA
    /// The authorities that servers are verified against.
    case ca
    /// The name that servers are verified for.
    case serverName
    /// The library itself.
    case context
  }

  /// What its owner has to look at.
  public let part: Part
  /// One sentence that names the file, where there is one, and OpenSSL's reason.
  public let message: String

  init(_ part: Part, _ message: String) {
    self.part = part
    self.message = message
  }
}

/// OpenSSL's error queue: every thread has one, and old entries change the meaning of new results,
/// so that it is cleared before each call that may fail.
enum ErrorQueue {
  /// Before each call whose outcome is asked for: an older entry would be taken for its own. Looking
  /// costs a tenth of clearing what is empty.
  static func clear() { if ERR_peek_error() != 0 { ERR_clear_error() } }

  /// The reason of the oldest entry, which is the cause of the others. Empties the queue.
  static func takeReason() -> String {
    let code = ERR_get_error()
    defer { ERR_clear_error() }
    // A failed system call carries its errno instead of a reason (ERR_GET_LIB, ERR_LIB_SYS).
    guard code != 0, let reason = unsafe ERR_reason_error_string(code) else {
      return code == 0 ? "unknown error" : "OpenSSL error \(code)"
    }
    // SAFETY: the string is static and NUL-terminated.
    return unsafe String(cString: reason)
  }
}

/// The memory in which OpenSSL keeps its records.
enum RecordMemory {
  /// Chosen once, before OpenSSL has allocated anything; it keeps its own where that is too late.
  static let isPooled =
    unsafe CRYPTO_set_mem_functions(
      sluice_pool_allocate, sluice_pool_reallocate, sluice_pool_free) == 1
}
