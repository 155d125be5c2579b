"""Layouts of checkpoints: how a program names its files, writes its configuration and calls its tensors.

One module per layout. Today there is one, `open_clip`. A layout module holds

- `CONFIG_FILE` and `WEIGHT_FILES`, its file names; `intake.find` and `intake.stage` know them;
- `parse_config(raw, limits)`, its configuration file as a `ClipConfig`; `checks.inspect` calls it;
- `stored_names(names, stored)`, what the file calls each tensor of open_clip's `CLIP`; `checks.compare` calls it.

Everything after that works on `ClipConfig` and on open_clip's names. So a new layout adds a module here, is told apart
by its file names in `intake.find`, and is passed on to `checks.inspect`. Where its tensors have to be cut or joined to
become open_clip's, `weights.read_weights` is the place.

`section` reads one JSON object of a stranger's configuration key by key; every layout can use it.

Standard library only: this room runs in the limited child.
"""
