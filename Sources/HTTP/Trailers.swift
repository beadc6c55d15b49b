extension Fields {
  /// What of these trailers may go on. A receiver that puts trailers and fields together would believe of
  /// the others what nobody has looked at.
  func trailers() -> Fields {
    var trailers = self
    trailers.removeEntries { !$0.likeness.mayTrail }
    return trailers
  }
}
