"""What the integration tests stand on: a running edge, raw connections, backends, tokens."""
