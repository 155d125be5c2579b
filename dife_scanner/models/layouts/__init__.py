"""Layouts of checkpoints: how a program describes a model and calls its tensors.

- `choice`: which layout a checkpoint has; the names of its tensors decide;
- `open_clip`: the canonical form, its configuration (`parse_config`) and its names (`stored_names`);
- `transformers_clip`, `transformers_siglip`, `timm_alone`, `timm_tower`, `peft_lora`: one layout each, with the place
  of every tensor (`place`) and what the small files say (`describe`);
- `from_tensors`: the architecture where no file says it, from shapes;
- `places`: the answers that all layouts give; `written`: a configuration in open_clip's words;
- `json_section`, `bounds`: a stranger's configuration read key by key, within bounds.

`conversion` plans with these how a checkpoint becomes open_clip's. A new layout adds a module here and a line in
`choice.NAMINGS`.

Standard library only: this room runs in the limited child.
"""
