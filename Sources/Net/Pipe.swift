internal import CLinux
internal import Glibc

/// Octets on their way from one socket to another inside the kernel, never seen by this process
/// (splice(2)).
public struct Pipe: ~Copyable {
  private let readEnd: OwnedDescriptor
  private let writeEnd: OwnedDescriptor
  /// Octets in it.
  public private(set) var count = 0

  /// How much it is asked to hold, in octets. The kernel may give less to a user with many pipes.
  public static let capacity = 256 * 1024

  /// An empty pipe; `nil` where the process has no descriptor left.
  public init?() {
    var numbers: (CInt, CInt) = (-1, -1)
    // SAFETY: the call fills two ints.
    let result = unsafe withUnsafeMutableBytes(of: &numbers) { bytes in
      unsafe sluice_pipe(bytes.assumingMemoryBound(to: CInt.self).baseAddress)
    }
    guard result == 0 else { return nil }
    self.readEnd = OwnedDescriptor(owning: numbers.0)
    self.writeEnd = OwnedDescriptor(owning: numbers.1)
    // Where it is refused, the pipe holds what pipes hold.
    _ = sluice_set_pipe_capacity(self.writeEnd.rawValue, CInt(Self.capacity))
  }

  /// The descriptors of a pipe that nobody owns at the moment.
  struct Numbers {
    let readEnd: CInt
    let writeEnd: CInt
  }

  /// Takes an empty pipe over.
  init(_ numbers: Numbers) {
    self.readEnd = OwnedDescriptor(owning: numbers.readEnd)
    self.writeEnd = OwnedDescriptor(owning: numbers.writeEnd)
  }

  /// Gives up an empty pipe, for ``init(_:)``.
  consuming func numbers() -> Numbers {
    Numbers(readEnd: self.readEnd.release(), writeEnd: self.writeEnd.release())
  }

  /// Whether nothing is in it.
  public var isEmpty: Bool { self.count == 0 }

  /// Closes both ends. What is in it is lost.
  public consuming func close() {
    self.readEnd.close()
    self.writeEnd.close()
  }

  /// Takes up to `byteCountMax` octets that the socket has received. To be called on an empty pipe: a full
  /// one could not be told from a socket that has none.
  public mutating func fill(from socket: borrowing Socket, upTo byteCountMax: Int) -> Received {
    assert(self.isEmpty && byteCountMax > 0)
    while true {
      let moved = sluice_splice(
        socket.descriptor.rawValue, self.writeEnd.rawValue, min(byteCountMax, Self.capacity))
      if moved > 0 {
        self.count += moved
        return .octets(moved, isLast: false)
      }
      if moved == 0 { return .endOfStream }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(Socket.peerFault(code))
      }
    }
  }

  /// Gives as much of it to the socket as that takes. `.octets` says how much that was.
  public mutating func drain(into socket: borrowing Socket) -> Sent {
    var total = 0
    while self.count > 0 {
      let moved = sluice_splice(self.readEnd.rawValue, socket.descriptor.rawValue, self.count)
      if moved > 0 {
        self.count -= moved
        total += moved
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: return total > 0 ? .octets(total) : .wouldBlock
      case let code: return .failed(Socket.peerFault(code))
      }
    }
    return .octets(total)
  }
}

/// The pipes of one worker: borrowed while a payload is on its way, kept while they are empty.
public struct PipePool: ~Copyable {
  private var spares: [Pipe.Numbers] = []
  /// Pipes there are, borrowed or not.
  public private(set) var count = 0
  private let countMax: Int

  /// - Parameter countMax: pipes that may exist at once; each takes two descriptors.
  public init(countMax: Int) { self.countMax = countMax }

  deinit { for numbers in self.spares { Pipe(numbers).close() } }

  /// An empty pipe; `nil` where there are too many, or the process has no descriptor left.
  public mutating func take() -> Pipe? {
    if let numbers = self.spares.popLast() { return Pipe(numbers) }
    guard self.count < self.countMax, let pipe = Pipe() else { return nil }
    self.count += 1
    return pipe
  }

  /// Takes a pipe back. One that still holds octets is closed.
  public mutating func give(_ pipe: consuming Pipe) {
    guard pipe.isEmpty else {
      self.count -= 1
      return pipe.close()
    }
    self.spares.append(pipe.numbers())
  }
}
