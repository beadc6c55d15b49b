import Foundation
import Testing

@testable import Configuration

/// A folder with the files that the whole example names. Made once for a run of the tests.
enum Fixtures {
  static let folder: String = {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("sluice-configuration-tests-\(UUID().uuidString)").path
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try? FileManager.default.createDirectory(
      atPath: "\(folder)/acme", withIntermediateDirectories: true)
    for name in ["one", "two"] { makeCertificate(name, in: folder) }
    write("  \n# ours\nfirst-key\n\t second-key \r\n", to: "keys.txt", in: folder)
    write("a secret from a file, 32 octets or more\n", to: "secret.txt", in: folder)
    write("# nothing\n\n", to: "empty.txt", in: folder)
    write(keySet, to: "jwks.json", in: folder)
    return folder
  }()

  /// RFC 7517, appendix A.1, the elliptic one.
  private static let keySet = """
    {"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
      "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
      "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}
    """

  static func write(_ text: String, to name: String, in folder: String = Fixtures.folder) {
    try? text.write(toFile: "\(folder)/\(name)", atomically: false, encoding: .utf8)
  }

  /// NAME.crt, NAME.key and NAME.pub. Private keys are made, so that none is kept with the sources.
  private static func makeCertificate(_ name: String, in folder: String) {
    openSSL(
      in: folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-subj", "/CN=\(name).test", "-keyout", "\(name).key", "-out", "\(name).crt")
    openSSL(in: folder, "pkey", "-in", "\(name).key", "-pubout", "-out", "\(name).pub")
  }

  private static func openSSL(in folder: String, _ arguments: String...) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardError = FileHandle.nullDevice
    do {
      try process.run()
      process.waitUntilExit()
    } catch {
      Issue.record("openssl, which makes the certificates of these tests, does not run: \(error)")
    }
  }

  static let environment = [
    "JWT_SECRET": "a secret of the environment, 32 octets", "EMPTY": "",
    "ROOMS_PASSWORD": "swordfish", "TURN_SECRET": "a secret of the TURN server",
    "HOOK_SECRET": "a secret for webhooks",
  ]

  static func parse(_ yaml: String) throws(ConfigurationErrors) -> Configuration {
    try .parse(yaml: yaml, path: "a.yaml", directory: self.folder, environment: self.environment)
  }

  /// What is wrong with a file, one line each, as a user sees it.
  static func problems(_ yaml: String) -> [String] {
    do {
      _ = try self.parse(yaml)
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  /// A file with nothing but what must be there; each part can be replaced or added to.
  static func file(
    top: String = "", listener: String = "address: 127.0.0.1:8080", route: String = "",
    origins: String = "any", upstream: String = "", server: String = "ws://127.0.0.1:9001"
  ) -> String {
    func lines(_ text: String, indentedBy count: Int) -> String {
      text.split(separator: "\n")
        .map { "\n" + String(repeating: " ", count: count) + $0 }.joined()
    }
    return """
      listeners:
        - \(listener)
      routes:
        - name: main
          match: { path: / }
          upstream: backend
          origins: \(origins)\(lines(route, indentedBy: 4))
      upstreams:
        - name: backend
          servers: [\(server)]\(lines(upstream, indentedBy: 4))\(lines(top, indentedBy: 0))
      """
  }

  /// A file with one route, which has rooms, and no upstream.
  static func rooms(
    _ rooms: String = "{}", route: String = "", path: String = "/rooms/"
  ) -> String {
    let lines = route.split(separator: "\n").map { "\n    \($0)" }.joined()
    return """
      listeners:
        - address: 127.0.0.1:8080
      routes:
        - name: main
          match: { path: \(path) }
          origins: any
          rooms: \(rooms)\(lines)
      """
  }
}

/// A file in which every key stands, in JSON, so that tests can take it apart.
let wholeExample = """
  {
    "workers": 2,
    "listeners": [
      {
        "address": "0.0.0.0:8443",
        "tls": {
          "certificates": [
            {"certificate": "one.crt", "key": "one.key"},
            {"certificate": "two.crt", "key": "two.key"}
          ],
          "minimum_version": "1.3",
          "client_ca": "one.crt"
        },
        "http2": false,
        "proxy_protocol": ["10.0.0.0/8", "2001:db8::/32"]
      },
      {
        "address": "unix:edge.sock", "http2": true, "redirect_to_https": 8443,
        "acme_challenges": "acme"
      }
    ],
    "shutdown_grace": "45s",
    "drain_over": "20s",
    "admin": {"address": "0.0.0.0:9900", "token": "a-token-of-some-length"},
    "trace": true,
    "trusted_proxies": ["10.0.0.0/8", "2001:db8::1"],
    "limits": {
      "connections": 5000, "handshake_timeout": "2500ms", "head_size": "8KiB", "queued": "64MiB",
      "keepalive_timeout": "90s", "streams": 100
    },
    "routes": [
      {
        "name": "chat",
        "match": {"hosts": ["chat.example.com", "*.chat.example.com"], "path": "/chat/"},
        "origins": ["https://example.com", "https://*.example.com", "null"],
        "require_origin": true,
        "auth": {
          "jwt": {
            "keys": [
              {"algorithm": "HS256", "secret": "${JWT_SECRET}", "kid": "1"},
              {"algorithm": "HS256", "secret": "file:secret.txt"},
              {"algorithm": "ES256", "public_key": "one.pub"},
              {"algorithm": "ES256", "public_key": "file:two.crt"}
            ],
            "issuer": "https://id.example.com",
            "audience": "chat",
            "token_from": ["authorization", "subprotocol", "cookie:session", "query:access_token"],
            "forward_claims": {"sub": "X-Auth-Subject", "team.name": "X-Auth-Team"},
            "on_expiry": "ignore"
          },
          "api_keys": {"header": "X-Key", "keys": ["file:keys.txt", "third-key"]},
          "forward": {
            "url": "http://127.0.0.1:7000/authorize", "timeout": "500ms",
            "headers": ["X-User", "X-Role"], "subject_from": "X-User"
          }
        },
        "limits": {
          "connections_per_client": 20,
          "upgrades_per_client": {"rate": "10/s", "burst": 20},
          "requests_per_client": {"rate": "100/s", "burst": 300},
          "message_size": "1MiB",
          "messages": {"rate": "50/s", "burst": 100, "exceed": "close", "from": "both"},
          "bytes": {"rate": "1MiB/s", "burst": "4MiB", "exceed": "close", "from": "server"}
        },
        "heartbeat": {"interval": "20s", "timeout": "5s", "to": "both"},
        "idle_timeout": "20m",
        "stall_timeout": "15s",
        "max_lifetime": "24h",
        "compression": "offload",
        "headers": {"set": {"X-Edge": "sluice", "Host": "inner"}, "remove": ["X-Debug"]},
        "rewrite": {"strip_prefix": "/chat", "set_prefix": "/ws"},
        "http": {"response_timeout": "90s", "silence_timeout": "2m", "body_size": "10MiB"},
        "cors": {
          "methods": ["GET", "PUT"], "headers": ["X-A", "Content-Type"], "expose": ["X-B"],
          "credentials": true, "max_age": "1h"
        },
        "upstream": "chat-backend"
      },
      {
        "name": "fetched",
        "match": {"path": "/fetched/"},
        "origins": "any",
        "auth": {"jwt": {"jwks": {"url": "https://id.example.com/keys", "refresh": "10m"}}},
        "limits": {"requests_per_client": "5/s"},
        "http": true,
        "cors": true,
        "upstream": "other"
      },
      {
        "name": "rooms",
        "match": {"path": "/rooms/"},
        "origins": "any",
        "auth": {"jwt": {"jwks": {"file": "jwks.json"}}},
        "limits": {
          "message_size": "128KiB",
          "messages": {"rate": "30/s", "burst": 60, "exceed": "close", "from": "client"}
        },
        "heartbeat": {"interval": "15s", "timeout": "5s", "to": "client"},
        "stall_timeout": "10s",
        "max_lifetime": "1h",
        "rooms": {
          "max_peers": 16,
          "resume_window": "1m",
          "create": "token",
          "list": ["standup", {"name": "board~1", "max_peers": 8, "password": "file:secret.txt"}],
          "empty_room_ttl": "5m",
          "password": "${ROOMS_PASSWORD}",
          "limits": {"rooms": 100, "peers": 500, "rooms_per_client": 10, "outbox": "256KiB"},
          "stun": ["stun:stun.example.com:3478"],
          "turn": {
            "urls": ["turn:turn.example.com:3478?transport=udp", "turns:turn.example.com"],
            "secrets": ["${TURN_SECRET}", "file:secret.txt"],
            "ttl": "2h"
          },
          "webhooks": {
            "url": "https://app.example.com/hooks", "secret": "${HOOK_SECRET}", "timeout": "2s",
            "queue": 500
          },
          "demo": false
        }
      },
      {
        "name": "rest",
        "match": {"path": "/"},
        "origins": "any",
        "auth": {"jwt": {"jwks": {"file": "jwks.json"}}},
        "heartbeat": "off",
        "compression": "off",
        "http": false,
        "cors": false,
        "upstream": "other"
      }
    ],
    "upstreams": [
      {
        "name": "chat-backend",
        "servers": ["ws://10.0.0.1:9001", {"url": "wss://10.0.0.2:9001", "weight": 2, "drain": true}, "unix:chat.sock"],
        "balance": "hash",
        "hash_on": "cookie:session",
        "sticky_cookie": {"name": "where", "ttl": "2h", "same_site": "strict"},
        "tls": {"ca": "one.crt", "server_name": "chat.internal"},
        "connect_timeout": "1s",
        "retries": 0,
        "keepalive": {"connections": 16, "timeout": "30s"},
        "health_check": {
          "request": "http", "path": "/healthz", "statuses": "200-299", "interval": "1s",
          "timeout": "500ms", "unhealthy_after": 4, "healthy_after": 1, "on_unhealthy": "keep"
        },
        "eject": {"consecutive_failures": 7, "for": "1m"},
        "slow_start": "10s"
      },
      {"name": "other", "servers": ["http://example.com"], "proxy_protocol": "v1"},
      {"name": "unused", "servers": ["http://127.0.0.1:1"], "keepalive": false}
    ],
    "log": {"format": "text", "level": "debug", "access": false}
  }
  """
