import Admission
public import TLS
import Telemetry
public import Upstream

extension Configuration {
  /// What `sluice proxy` runs without a file: one route for every host and path and from every
  /// origin, one server, which gets WebSockets and ordinary requests.
  ///
  /// - Parameters:
  ///   - server: where everything goes; verified with the system's authorities if it speaks TLS.
  ///   - listeners: where connections are accepted.
  public static func proxy(
    to server: ServerURL, listeners: [ListenerRules]
  ) throws(ContextError) -> Configuration {
    let name = "proxy"
    var group = GroupRules(name: name, servers: [ServerRules(url: server)])
    if server.scheme == .wss { group.tls = try ClientContext(ca: nil, serverName: nil) }
    let route = RouteRules(
      name: name, match: RouteMatch(hosts: [], path: .prefix("/")),
      admission: AdmissionRules(origins: .any), destination: .upstream(name), http: HTTPRules())
    return Configuration(
      listeners: listeners, routes: [route], upstreams: [group], log: LogRules(format: .text))
  }
}
