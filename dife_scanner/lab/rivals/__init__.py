"""Published detectors as baselines, our own searches without one of their terms, and how both compare with ours."""
