"""One audit: a suspect, its clean reference, probes and trigger hypotheses in; a record and its evidence out."""
