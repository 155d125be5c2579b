from queue_fixtures import audit_server

__all__ = ["audit_server"]
