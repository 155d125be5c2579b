"""How long tests wait. What a busy machine takes says nothing, so no promise is about a short time."""

BUSY_SECONDS = 20.0
"""Upper bound for what ends by a limit of its own; without that limit it would take longer still, or never end."""
