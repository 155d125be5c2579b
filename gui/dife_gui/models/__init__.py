"""Tables: the list knows nothing of Qt, a thin adapter answers Qt's questions."""
