/// What holds for the rooms of a route.
public struct RoomRules: Sendable, Equatable {
  /// Who may open a room that is not there.
  public enum Creation: String, Sendable, CaseIterable {
    /// Who asks for it.
    case anyone
    /// Who has a token for it.
    case token
    /// Nobody: the rooms are those of ``RoomRules/listed``.
    case listed
  }

  /// A room that the configuration names.
  public struct Listed: Sendable, Equatable {
    /// Its name.
    public var name: RoomName
    /// Peers that it may have; `nil` for as many as others.
    public var peerCountMax: Int?
    /// What its peers have to know; `nil` for what those of others have to.
    public var password: String?

    /// A room with a name.
    public init(name: RoomName, peerCountMax: Int? = nil, password: String? = nil) {
      self.name = name
      self.peerCountMax = peerCountMax
      self.password = password
    }
  }

  /// Peers of one room, 1 to ``peerCountLimit``.
  public var peerCountMax: Int
  /// For how long a peer whose connection is gone keeps its place.
  public var resumeWindow: Duration
  /// Who may open a room.
  public var creation: Creation
  /// Rooms with rules of their own; with ``Creation/listed``, all that there are.
  public var listed: [Listed]
  /// For how long a room without peers keeps its state: its lock, its meta, its bans.
  public var emptyRoomTTL: Duration
  /// What a peer has to know to come in; `nil` where it need not know anything.
  public var password: String?
  /// What bounds all of the route's rooms.
  public var limits: Limits
  /// URLs of STUN servers that peers are told.
  public var stunURLs: [String]
  /// The TURN servers that peers are told; `nil` for none.
  public var turn: TURNRules?
  /// Whether the demonstration page is served.
  public var demo: Bool

  /// The most peers that a room may be allowed to have: each join is told to all of them.
  public static let peerCountLimit = 1000

  /// The rules of a route that says nothing about its rooms but that it has some.
  public init(
    peerCountMax: Int = 64, resumeWindow: Duration = .seconds(30), creation: Creation = .anyone,
    listed: [Listed] = [], emptyRoomTTL: Duration = .seconds(30), password: String? = nil,
    limits: Limits = Limits(), stunURLs: [String] = [], turn: TURNRules? = nil, demo: Bool = true
  ) {
    self.peerCountMax = peerCountMax
    self.resumeWindow = resumeWindow
    self.creation = creation
    self.listed = listed
    self.emptyRoomTTL = emptyRoomTTL
    self.password = password
    self.limits = limits
    self.stunURLs = stunURLs
    self.turn = turn
    self.demo = demo
  }

  /// What bounds the rooms of a route.
  public struct Limits: Sendable, Equatable {
    /// Rooms of the route, in the whole process; beyond it 4102.
    public var roomCountMax: Int
    /// Peers of the route, in the whole process; beyond it 4102.
    public var peerCountMax: Int
    /// Rooms in which one client, an address, may be at once; beyond it 4102. `nil` for any number.
    public var roomsPerClientMax: Int?
    /// Octets that may wait for a slow peer; beyond it the peer is closed with 4102.
    public var outboxByteCountMax: Int

    /// The limits of a route that says nothing about them.
    public init(
      roomCountMax: Int = 10_000, peerCountMax: Int = 50_000, roomsPerClientMax: Int? = nil,
      outboxByteCountMax: Int = 1024 * 1024
    ) {
      self.roomCountMax = roomCountMax
      self.peerCountMax = peerCountMax
      self.roomsPerClientMax = roomsPerClientMax
      self.outboxByteCountMax = outboxByteCountMax
    }
  }
}

extension RoomRules {
  /// Octets of a message where the route's limits say nothing.
  public static let messageByteCountMax = 64 * 1024

  /// What holds for one room.
  func rules(of name: RoomName) -> Listed {
    let listed = self.listed.first { $0.name == name }
    return Listed(
      name: name, peerCountMax: listed?.peerCountMax ?? self.peerCountMax,
      password: listed?.password ?? self.password)
  }
}
