/// How much a direction may have waiting for a slow peer before its source is no longer read.
public struct Watermarks: Equatable, Sendable {
  /// Octets queued above which reading the source stops.
  public let highByteCount: Int
  /// Octets queued below which it goes on.
  public let lowByteCount: Int

  /// A pair of marks, in octets, 0 < low < high.
  public init(highByteCount: Int, lowByteCount: Int) {
    precondition(lowByteCount < highByteCount && lowByteCount > 0)
    self.highByteCount = highByteCount
    self.lowByteCount = lowByteCount
  }

  /// 64 KiB and 16 KiB. What is queued exceeds the high mark by one receive at most.
  public static let standard = Watermarks(highByteCount: 64 * 1024, lowByteCount: 16 * 1024)
}
