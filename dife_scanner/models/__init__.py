"""From files of unknown origin to an encoder: staging, checking in a limited child, loading.

The steps, in order, and where each lives:

- `load`: the whole way, from a folder to a `ClipEncoder`; `interface` is what the rest of the program sees of one;
- `intake`: a private, hashed copy of the files;
- `sandbox`: the limited child, which runs `checks` on the copy: `header` reads the safetensors header, a module of
  `layouts` reads the configuration, and `tensors` says which tensors follow from it;
- `clip`: the encoder on torch; `weights`: its tensors and the hashes of its towers; `gradient`: its towers as
  differentiable functions; `device`: where it runs; `likeness`: two files of weights compared;
- `tokenizers`: what cuts texts into tokens.

A new layout of checkpoints (other file names, another configuration file, other tensor names) is a new module in
`layouts`; the docstring there says what it has to hold and who calls it.

Importing this room loads neither torch nor pydantic; the limited child relies on it.
"""

from dife_scanner.models.interface import Encoder

__all__ = ["Encoder"]
