"""What a kill at any moment must not break: files written whole, crash points, one clock, disk errors in our words."""
