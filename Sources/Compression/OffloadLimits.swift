internal import WebSocket

/// What compression in the server's place may cost. One connection that compresses both ways holds
/// at most ``deflaterByteCountMax`` and ``inflaterByteCountMax``, 79 KiB together; 51 KiB if the
/// client lets us choose its window, as browsers do; nothing between messages in a direction without
/// context takeover, and nothing before its first compressed message.
public enum OffloadLimits {
  /// The largest window of our compressor, as a power of two: 4 KiB. RFC 7692 §7.1.2.1 lets a
  /// server choose it unasked.
  public static let serverWindowBitsMax = 12
  /// The window that a client is told to keep to, where it lets itself be told (§7.1.2.2): 4 KiB.
  public static let clientWindowBitsMax = 12
  /// The window of a client that does not let itself be told: 32 KiB.
  public static let windowBitsMax = 15
  /// zlib's raw deflate refuses 8 bits, and older versions use 9 where they were asked for 8.
  public static let windowBitsMin = 9

  /// zlib's 1...9 for the size of the compressor's tables: 5 halves them three times from zlib's 8.
  static let memoryLevel = 5
  /// zlib's 1...9: the fastest, since every message is compressed on the thread that serves all
  /// others. With this window, level 4 makes JSON a quarter smaller and prose a tenth, and takes a
  /// twelfth and a third more time.
  static let level = 1

  /// Octets a compressor holds at most: 16 KiB for the window, 16 KiB for the tables, and zlib's
  /// own state.
  public static let deflaterByteCountMax =
    1 << (serverWindowBitsMax + 2) + 1 << (memoryLevel + 9) + 7 * 1024
  /// Octets a decompressor holds at most, whatever the client agreed to.
  public static let inflaterByteCountMax = inflaterByteCountMax(windowBits: windowBitsMax)
  /// Octets a decompressor holds at most with a window of 1 << `windowBits`, 9...15: the window and
  /// zlib's own state.
  public static func inflaterByteCountMax(windowBits: Int) -> Int { 1 << windowBits + 8 * 1024 }

  /// Messages of fewer octets pass as they are: what they would shrink by is not worth the work,
  /// and many would grow.
  public static let compressedByteCountMin = 64
  /// Free octets of the output without which nothing is begun: any control frame fits in, and
  /// fragments do not get tiny. The output has at least this capacity.
  public static let roomByteCountMin =
    FrameHeader.byteCountMax + FrameHeader.controlPayloadByteCountMax
}
