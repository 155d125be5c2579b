from queue_fixtures import home, hub, store

__all__ = ["home", "hub", "store"]
