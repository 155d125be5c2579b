"""The benchmark of blind discovery: a zoo of attacks, twins and benign fine-tunes, one row per model, and a page."""
