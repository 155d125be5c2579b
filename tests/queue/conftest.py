from queue_fixtures import (
    audit_server,
    home,
    hub,
    limited_child,
    read_here,
    read_here_as_a_rule,
    store,
)

__all__ = [
    "audit_server",
    "home",
    "hub",
    "limited_child",
    "read_here",
    "read_here_as_a_rule",
    "store",
]
