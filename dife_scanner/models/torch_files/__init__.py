"""The safe reader of torch's files: `read` makes a table of the tensors, `state_dict` picks those of the model.

`reader` tells the formats apart; `zip_file` (with `archive` and `directory`) and `legacy` are the two containers;
`interpreter` reads pickles on inert `values`, `opcodes` their bytes, `grammar` which names they may use, `rebuild` what
those calls would make; `walk` finds the tensors in it, `table` holds them.

Standard library only: this room runs in the limited child.
"""

from dife_scanner.models.torch_files.reader import read
from dife_scanner.models.torch_files.state_dict import state_dict
from dife_scanner.models.torch_files.table import StoredTensor, Table

__all__ = ["StoredTensor", "Table", "read", "state_dict"]
