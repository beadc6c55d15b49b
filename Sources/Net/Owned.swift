/// A value of its own on the heap, with one owner: it never moves, and moving the owner costs a word.
@frozen @safe public struct Owned<Value: ~Copyable>: ~Copyable {
  @usableFromInline let address: UnsafeMutablePointer<Value>

  /// Takes the value over.
  @inlinable
  public init(_ value: consuming Value) {
    unsafe self.address = .allocate(capacity: 1)
    unsafe self.address.initialize(to: value)
  }

  @inlinable
  deinit {
    unsafe self.address.deinitialize(count: 1)
    unsafe self.address.deallocate()
  }

  /// The value, in place.
  @inlinable
  public var value: Value {
    unsafeAddress { unsafe UnsafePointer(self.address) }
    unsafeMutableAddress { unsafe self.address }
  }

  /// Gives the value back and frees its place.
  @inlinable
  public consuming func take() -> Value {
    // SAFETY: the memory is initialized, and `discard` keeps the deinit from reading it again.
    let value = unsafe self.address.move()
    unsafe self.address.deallocate()
    discard self
    return value
  }
}

/// Two values side by side on the heap, with one owner. A choice between them is a choice between
/// addresses, where one between two stored properties would be a coroutine, which allocates.
@frozen @safe public struct OwnedPair<Value: ~Copyable>: ~Copyable {
  @usableFromInline let address: UnsafeMutablePointer<Value>

  /// Takes both over.
  @inlinable
  public init(_ first: consuming Value, _ second: consuming Value) {
    unsafe self.address = .allocate(capacity: 2)
    unsafe self.address.initialize(to: first)
    unsafe (self.address + 1).initialize(to: second)
  }

  @inlinable
  deinit {
    unsafe self.address.deinitialize(count: 2)
    unsafe self.address.deallocate()
  }

  /// The one or the other, in place.
  @inlinable
  public subscript(isSecond isSecond: Bool) -> Value {
    unsafeAddress { unsafe UnsafePointer(self.address + (isSecond ? 1 : 0)) }
    unsafeMutableAddress { unsafe self.address + (isSecond ? 1 : 0) }
  }

  /// Both at once, in either order.
  @inlinable
  public mutating func withBoth<Result>(
    startingWithSecond: Bool, _ body: (inout Value, inout Value) -> Result
  ) -> Result {
    // SAFETY: two different places, and the pair is borrowed for as long as they are lent.
    unsafe body(
      &self.address[startingWithSecond ? 1 : 0], &self.address[startingWithSecond ? 0 : 1])
  }

  /// Gives both away, one after the other.
  @inlinable
  public consuming func takeEach(_ body: (consuming Value) -> Void) {
    // SAFETY: the memory is initialized, and `discard` keeps the deinit from reading it again.
    unsafe body(self.address.move())
    unsafe body((self.address + 1).move())
    unsafe self.address.deallocate()
    discard self
  }
}
