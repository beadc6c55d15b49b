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
  private let exchange: UnsafeMutablePointer<Exchange>

  /// - Throws: where OpenSSL has no memory.
  public init() throws(ContextError) {
    guard let method = unsafe BIOMethod.shared.pointer, let bio = unsafe BIO_new(method) else {
      throw ContextError(.context, "OpenSSL gives no BIO: \(ErrorQueue.takeReason())")
    }
    unsafe self.exchange = .allocate(capacity: 1)
    unsafe self.exchange.initialize(to: Exchange())
    unsafe self.bio = bio
    unsafe BIO_set_data(bio, self.exchange)
  }

  deinit {
    unsafe BIO_set_data(self.bio, nil)
    unsafe BIO_free(self.bio)
    unsafe self.exchange.deallocate()
  }

  /// Lends the buffers for the OpenSSL calls in `body`, then notes what was taken and left.
  borrowing func lend<Result>(
    input: inout Buffer, output: inout Buffer, _ body: () -> Result
  ) -> Result {
    let from = unsafe input.unsafeOctets
    let into = unsafe output.unsafeFreeSpace
    unsafe self.exchange.pointee = unsafe Exchange(input: from, output: into)
    let result = body()
    input.consume(unsafe self.exchange.pointee.taken)
    output.produced(unsafe self.exchange.pointee.left)
    unsafe self.exchange.pointee = unsafe Exchange()
    return result
  }

  /// Lends a buffer for OpenSSL calls that only write.
  borrowing func lend<Result>(output: inout Buffer, _ body: () -> Result) -> Result {
    let into = unsafe output.unsafeFreeSpace
    unsafe self.exchange.pointee = unsafe Exchange(output: into)
    let result = body()
    output.produced(unsafe self.exchange.pointee.left)
    unsafe self.exchange.pointee = unsafe Exchange()
    return result
  }

  /// Whether OpenSSL has taken all octets that were lent.
  var isInputTaken: Bool {
    unsafe self.exchange.pointee.taken == self.exchange.pointee.input.count
  }

  /// Octets that OpenSSL can still leave.
  var outputFreeCount: Int {
    unsafe self.exchange.pointee.output.count - self.exchange.pointee.left
  }
}

/// The buffers lent at present.
@unsafe private struct Exchange {
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
  // SAFETY: the BIO's data is the Exchange of the wire that made it, alive while its worker is.
  guard let into = unsafe into,
    let exchange = unsafe BIO_get_data(bio)?.assumingMemoryBound(to: Exchange.self)
  else { return -1 }
  let available = unsafe exchange.pointee.input.count - exchange.pointee.taken
  guard available > 0, let from = unsafe exchange.pointee.input.baseAddress else {
    unsafe sluice_BIO_set_retry_read(bio)
    return -1
  }
  let taken = min(Int(count), available)
  unsafe memcpy(into, from + exchange.pointee.taken, taken)
  unsafe exchange.pointee.taken += taken
  return CInt(taken)
}

private func leaveOutput(bio: OpaquePointer?, from: UnsafePointer<CChar>?, count: CInt) -> CInt {
  unsafe sluice_BIO_clear_retry_flags(bio)
  // SAFETY: as above.
  guard let from = unsafe from,
    let exchange = unsafe BIO_get_data(bio)?.assumingMemoryBound(to: Exchange.self)
  else { return -1 }
  let free = unsafe exchange.pointee.output.count - exchange.pointee.left
  guard free > 0, let into = unsafe exchange.pointee.output.baseAddress else {
    unsafe sluice_BIO_set_retry_write(bio)
    return -1
  }
  let left = min(Int(count), free)
  unsafe memcpy(into + exchange.pointee.left, from, left)
  unsafe exchange.pointee.left += left
  return CInt(left)
}
