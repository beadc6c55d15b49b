public import Admission
public import Signaling
import Telemetry
import Tunnel

extension Configuration {
  /// What `sluice rooms` runs without a file: one route with rooms, for every host and from every
  /// origin.
  ///
  /// - Parameters:
  ///   - path: what stands before the names of rooms; it ends in `/`.
  ///   - rules: what holds for the rooms.
  ///   - listeners: where connections are accepted.
  public static func rooms(
    path: String = "/rooms/", rules: RoomRules = RoomRules(), listeners: [ListenerRules]
  ) throws(PatternError) -> Configuration {
    let pattern = try PathPattern(parsing: path)
    if let fault = roomsFault(of: pattern) { throw PatternError(message: fault) }
    let route = RouteRules(
      name: "rooms", match: RouteMatch(hosts: [], path: pattern),
      admission: AdmissionRules(origins: .any),
      tunnel: TunnelRules(messageByteCountMax: UInt64(RoomRules.messageByteCountMax)),
      destination: .rooms(rules))
    return Configuration(
      listeners: listeners, routes: [route], upstreams: [], log: LogRules(format: .text))
  }

  /// The URL of a STUN server, where it is one that browsers take.
  public static func stunURL(parsing text: String) throws(PatternError) -> String {
    do throws(ICEURLError) {
      return try ICEURL(parsing: text, as: .stun).text
    } catch {
      throw PatternError(message: error.message)
    }
  }
}
