"""Models that Python code loads, found in its syntax tree; the code is never run. Pure."""

from __future__ import annotations

import ast
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dife_scanner.hub.in_use.found import HUB_PREFIXES, Found, UnreadableError, each_once, entry
from dife_scanner.records import InUse

MAX_NESTING = 200
"""Brackets within brackets; Python's own parser gives up at about the same depth."""
MAX_LINE = 20_000
"""Characters. Longer lines hold data, and a long chain of operators is nested as deep as it is long."""
MAX_NODES = 500_000
_SENTENCE_TRANSFORMERS = "sentence-transformers"
"""The organisation of names that SentenceTransformer takes without one."""
_BRACKETS = re.compile(r"[()\[\]{}]")


@dataclass(frozen=True)
class _Call:
    """How a function is told which repository to load."""

    keywords: tuple[str, ...]
    """Names of the argument that holds it, which is also the first one."""
    only_prefixed: bool = False
    """Whether a plain name means something else than a repository."""


_CALLS: Mapping[str, _Call] = {
    "from_pretrained": _Call(("pretrained_model_name_or_path", "model_id")),
    "create_model_and_transforms": _Call(("model_name",), only_prefixed=True),
    "create_model_from_pretrained": _Call(("model_name",), only_prefixed=True),
    "create_model": _Call(("model_name",), only_prefixed=True),
    "get_tokenizer": _Call(("model_name",), only_prefixed=True),
    "snapshot_download": _Call(("repo_id",)),
    "hf_hub_download": _Call(("repo_id",)),
    "SentenceTransformer": _Call(("model_name_or_path",)),
    "pipeline": _Call(("model",)),
}


def python(text: str, where: str) -> Found:
    """What calls such as `from_pretrained("org/name", revision="…")` load; names given once in the file are followed.

    Raises `UnreadableError` for what is no Python, or nested too deep to be parsed safely.
    """
    entries: list[InUse] = []
    tree = _tree(text)
    named = _constants(tree)
    for node in _nodes(tree):
        if isinstance(node, ast.Call):
            entries += _loaded(node, named, where)
    return Found(each_once(entries))


def _tree(text: str) -> ast.Module:
    _check_shape(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a stranger's escapes in a string
            return ast.parse(text)
    except (RecursionError, MemoryError) as error:
        raise UnreadableError("nested too deep") from error
    except (SyntaxError, ValueError) as error:
        raise UnreadableError("not Python of this version") from error


def _check_shape(text: str) -> None:
    """Raise `UnreadableError` for what the parser could overflow its stack with, before it sees it."""
    if any(len(line) > MAX_LINE for line in text.splitlines()):
        raise UnreadableError("very long lines")
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth += 1 if bracket[0] in "([{" else -1
        if depth > MAX_NESTING:
            raise UnreadableError("nested too deep")


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for number, node in enumerate(ast.walk(tree)):
        if number > MAX_NODES:
            return
        yield node


def _constants(tree: ast.AST) -> dict[str, str]:
    """Text by the name it is given; a name that is given two different texts is left out."""
    values: dict[str, set[str | None]] = defaultdict(set)
    for node in _nodes(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values[target.id].add(_literal(node.value))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            values[node.target.id].add(_literal(node.value))
    found: dict[str, str] = {}
    for name, texts in values.items():
        only = next(iter(texts))
        if len(texts) == 1 and only is not None:
            found[name] = only
    return found


def _literal(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _loaded(node: ast.Call, named: Mapping[str, str], where: str) -> list[InUse]:
    """The repository that a call loads, if it is one of those that do and names one."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    call = _CALLS.get(name)
    if call is None:
        return []
    given: dict[str | None, str | None] = {}
    for keyword in node.keywords:
        given[keyword.arg] = _text(keyword.value, named)
    if (given.get("repo_type") or "model") != "model":
        return []
    place = f"{where}:{node.lineno}"
    for text in _candidates(name, node, call, given, named):
        if call.only_prefixed and not text.startswith(HUB_PREFIXES):
            continue
        found = entry(text, given.get("revision"), place)
        if found is not None:
            return [found]
    return []


def _candidates(
    name: str,
    node: ast.Call,
    call: _Call,
    given: Mapping[str | None, str | None],
    named: Mapping[str, str],
) -> list[str]:
    """The texts of a call that may name its repository: by keyword, then the first two by position.

    The second is that of `PeftModel.from_pretrained(base, "org/adapter")`.
    """
    found = [given.get(keyword) for keyword in call.keywords]
    second = 2 if name == "from_pretrained" else 1
    if name != "pipeline":
        found += [_text(argument, named) for argument in node.args[:second]]
    elif len(node.args) > 1:
        found.append(_text(node.args[1], named))
    texts = [text for text in found if text]
    if name == "SentenceTransformer":
        return [text if "/" in text else f"{_SENTENCE_TRANSFORMERS}/{text}" for text in texts]
    return texts


def _text(node: ast.AST, named: Mapping[str, str]) -> str | None:
    """A text that is written out, or behind a name that is given it once."""
    if isinstance(node, ast.Name):
        return named.get(node.id)
    return _literal(node)
