from queue_fixtures import audit_server, home, hub

__all__ = ["audit_server", "home", "hub"]
