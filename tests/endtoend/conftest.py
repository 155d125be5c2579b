from queue_fixtures import audit_server, home, hub, store

__all__ = ["audit_server", "home", "hub", "store"]
