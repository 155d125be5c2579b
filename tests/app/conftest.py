from queue_fixtures import home, hub, read_here, read_here_as_a_rule, store

__all__ = ["home", "hub", "read_here", "read_here_as_a_rule", "store"]
