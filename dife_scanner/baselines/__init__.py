"""What a checkpoint is compared with: clean references, the bundled ones among them, and calibration sets."""
