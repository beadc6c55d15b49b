internal import COpenSSL
internal import Glibc
internal import Net

/// Where OpenSSL takes and leaves records: the worker's own buffers, never a descriptor.
///
/// One of these, and one BIO, serves all connections of a worker: calls into OpenSSL are
/// synchronous, so at any time it lends the buffers of the connection that is being served. Reads
/// see many records of one receive, writes gather many records for one send.
@safe public struct RecordWire: ~Copyable {
  let bio: OpaquePointer
  private let loan: UnsafeMutablePointer<Loan>

  /// - Throws: where OpenSSL has no memory.
  public init() throws(ContextError) {
    _ = RecordMemory.isPooled
    guard let method = unsafe BIOMethod.shared.pointer, let bio = unsafe BIO_new(method) else {
      throw ContextError(.context, "OpenSSL gives no BIO: \(ErrorQueue.takeReason())")
    }
    unsafe self.loan = .allocate(capacity: 1)
    unsafe self.loan.initialize(to: Loan())
    unsafe self.bio = bio
    unsafe BIO_set_data(bio, self.loan)
  }

  deinit {
    unsafe BIO_set_data(self.bio, nil)
    unsafe BIO_free(self.bio)
    unsafe self.loan.deallocate()
  }

  /// Lends the buffers for the OpenSSL calls in `body`, then notes what was taken and left.
  borrowing func lend<Result>(
    input: inout Buffer, output: inout Buffer, _ body: () -> Result
  ) -> Result {
    let from = unsafe input.unsafeOctets
    let into = unsafe output.unsafeFreeSpace
    unsafe self.loan.pointee = unsafe Loan(input: from, output: into)
    let result = body()
    input.consume(unsafe self.loan.pointee.taken)
    output.produced(unsafe self.loan.pointee.left)
    unsafe self.loan.pointee = unsafe Loan()
    return result
  }

  /// Lends a buffer for OpenSSL calls that only write.
  borrowing func lend<Result>(output: inout Buffer, _ body: () -> Result) -> Result {
    let into = unsafe output.unsafeFreeSpace
    unsafe self.loan.pointee = unsafe Loan(output: into)
    let result = body()
    output.produced(unsafe self.loan.pointee.left)
    unsafe self.loan.pointee = unsafe Loan()
    return result
  }

  /// Whether OpenSSL has taken all octets that were lent.
  var isInputTaken: Bool {
    unsafe self.loan.pointee.taken == self.loan.pointee.input.count
  }

  /// Octets that OpenSSL can still leave.
  var outputFreeCount: Int {
    unsafe self.loan.pointee.output.count - self.loan.pointee.left
  }
}

/// The buffers lent at present.
@unsafe private struct Loan {
  var input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
  var taken = 0
  var output = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
  var left = 0
}

/// OpenSSL's table of our functions, one for the process.
@safe private final class BIOMethod: @unchecked Sendable {
  static let shared = BIOMethod()
  let pointer: OpaquePointer?

  private init() {
    unsafe self.pointer = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice")
    guard let pointer = unsafe self.pointer else { return }
    unsafe BIO_meth_set_create(pointer) { bio in
      unsafe BIO_set_init(bio, 1)
      return 1
    }
    unsafe BIO_meth_set_read(pointer, takeInput)
    unsafe BIO_meth_set_write(pointer, leaveOutput)
    unsafe BIO_meth_set_ctrl(pointer) { _, command, _, _ in
      // Nothing is held back, so a flush has nothing to do; no other control applies.
      command == BIO_CTRL_FLUSH ? 1 : 0
    }
  }
}

private func takeInput(
  bio: OpaquePointer?, into: UnsafeMutablePointer<CChar>?, count: CInt
) -> CInt {
  unsafe sluice_BIO_clear_retry_flags(bio)
  // SAFETY: the BIO's data is the loan of the wire that made it, alive while its worker is.
  guard let into = unsafe into,
    let loan = unsafe BIO_get_data(bio)?.assumingMemoryBound(to: Loan.self)
  else { return -1 }
  let available = unsafe loan.pointee.input.count - loan.pointee.taken
  guard available > 0, let from = unsafe loan.pointee.input.baseAddress else {
    unsafe sluice_BIO_set_retry_read(bio)
    return -1
  }
  let taken = min(Int(count), available)
  unsafe memcpy(into, from + loan.pointee.taken, taken)
  unsafe loan.pointee.taken += taken
  return CInt(taken)
}

private func leaveOutput(bio: OpaquePointer?, from: UnsafePointer<CChar>?, count: CInt) -> CInt {
  unsafe sluice_BIO_clear_retry_flags(bio)
  // SAFETY: as above.
  guard let from = unsafe from,
    let loan = unsafe BIO_get_data(bio)?.assumingMemoryBound(to: Loan.self)
  else { return -1 }
  let free = unsafe loan.pointee.output.count - loan.pointee.left
  guard free > 0, let into = unsafe loan.pointee.output.baseAddress else {
    unsafe sluice_BIO_set_retry_write(bio)
    return -1
  }
  let left = min(Int(count), free)
  unsafe memcpy(into + loan.pointee.left, from, left)
  unsafe loan.pointee.left += left
  return CInt(left)
}
