"""Hostile files: inert generators of published attacks, and a watch that shows whether any of them ran.

`assembler` writes pickles opcode by opcode, `archives` zip files field by field; `payloads`, `forms`, `tensors`,
`containers` and `headers` are the attacks; `corpus` lists them all with how each has to end; `watched` reads them, or
as a control unpickles them, in a child under an audit hook. No file is kept in the repository.
"""
