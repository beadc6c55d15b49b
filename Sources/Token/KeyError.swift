/// Why a key of the configuration cannot be used, or a token not be made: a sentence without any
/// part of the key.
public struct KeyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The sentence.
  public let message: String

  /// An error with a sentence.
  public init(message: String) { self.message = message }

  /// The sentence.
  public var description: String { self.message }
}
