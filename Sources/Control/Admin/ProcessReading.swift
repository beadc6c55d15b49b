internal import Foundation
internal import Net

/// What the process takes of the machine.
struct ProcessReading: Sendable {
  let version: String
  let pid: Int32
  /// Since 1970.
  let startSecond: Double
  let residentByteCount: Int
  let descriptorCount: Int
  let descriptorCountMax: Int
  let processorSeconds: Double

  /// Reads it now.
  ///
  /// - Parameter startSecond: when the process began, since 1970.
  init(version: String, startSecond: Double) {
    self.version = version
    self.startSecond = startSecond
    self.pid = ProcessInfo.processInfo.processIdentifier
    self.residentByteCount = ProcessLimits.residentByteCount() ?? 0
    self.descriptorCount =
      (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    self.descriptorCountMax = ProcessLimits.descriptorLimit()
    self.processorSeconds = ProcessLimits.processorSeconds()
  }
}
