"""The instrument itself: arrays in, records out. No torch, no files, no clock."""
