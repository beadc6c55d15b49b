import Net

/// `admin`
struct AdminSection: Decodable {
  enum Keys: String, CodingKey, CaseIterable { case address, token }

  let rules: AdminRules

  init(from decoder: any Decoder) throws {
    let section = try Section(decoder, Keys.self)
    let address = section.required(.address)?.socketAddress()
    let token = section[.token]?.secret()
    guard let address else { throw Refused() }
    if let token, token.utf8.count < AdminRules.tokenByteCountMin {
      section[.token]?.refuse("it is short: \(AdminRules.tokenByteCountMin) octets at least")
    }
    if section[.token] == nil, !address.isLocal {
      section.entry.reading.refuse(
        "missing: other machines can reach \(address), and would need none",
        at: section.entry.place.appending(Keys.token))
    }
    self.rules = AdminRules(address: address, token: token)
  }
}

/// The `admin` of a file whose other parts are not looked at.
struct AdminAloneSection: Decodable {
  let rules: AdminRules?

  init(from decoder: any Decoder) throws {
    let members = try Entry(decoder).members()
    self.rules = members.first { $0.key == "admin" }?.entry.part(AdminSection.self)?.rules
  }
}

extension SocketAddress {
  /// Whether it is out of the reach of other machines.
  fileprivate var isLocal: Bool {
    switch self {
    case .ip(let address, _): address.isLoopback
    case .unix: true
    }
  }
}
