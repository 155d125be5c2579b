"""Pictures the lab is made of: drawing sets, scenes composed of their drawings, and the bundled probe set."""
