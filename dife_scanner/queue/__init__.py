"""The queue: one job at a time per worker, audits in watched children, and the watcher that keeps all of it going."""
