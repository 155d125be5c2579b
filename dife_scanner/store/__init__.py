"""What is kept between runs: one SQLite database and content-addressed evidence files, per home directory."""

from dife_scanner.durable.clock import later, now
from dife_scanner.store.db import Patience, Store, open_store
from dife_scanner.store.leases import LeaseLost
from dife_scanner.store.query import QueryError

__all__ = ["LeaseLost", "Patience", "QueryError", "Store", "later", "now", "open_store"]
