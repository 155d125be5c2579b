"""Exit codes that every command shares; 0, 1 and 2 are as each command says."""

FAILED = 3
USAGE = 64
INTERRUPTED = 130
