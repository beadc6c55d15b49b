internal import CLinux
internal import Glibc

/// A file descriptor with one owner.
public struct OwnedDescriptor: ~Copyable, Sendable {
  let rawValue: CInt

  init(owning rawValue: CInt) {
    precondition(rawValue >= 0, "not a descriptor: \(rawValue)")
    self.rawValue = rawValue
  }

  /// No descriptor at all, for what has a socket only as a rule.
  static var none: OwnedDescriptor { OwnedDescriptor() }

  private init() { self.rawValue = -1 }

  /// Closes now, where the caller can see it.
  public consuming func close() {
    let number = self.rawValue
    discard self
    Self.closeRaw(number)
  }

  /// Gives the number up without closing it.
  consuming func release() -> CInt {
    let number = self.rawValue
    discard self
    return number
  }

  /// The net. A descriptor that reaches it was leaked by a code path: debug builds stop here,
  /// release builds still give the number back.
  deinit {
    guard self.rawValue >= 0 else { return }
    assertionFailure("descriptor \(self.rawValue) was dropped without close()")
    Self.closeRaw(self.rawValue)
  }

  private static func closeRaw(_ number: CInt) {
    guard number >= 0 else { return }
    // EINTR: Linux has freed the number already, so a retry could close a stranger's.
    if Glibc.close(number) == -1 { precondition(errno != EBADF, "double close of \(number)") }
  }
}
