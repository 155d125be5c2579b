"""DIFE Scanner: finds backdoored CLIP checkpoints on public model hubs and shows why."""

__version__ = "0.1.0"
