"""The corpus of bad checkpoints: generators only, payloads inert, nothing kept in the repository.

Each case says what the loader has to call it and which words have to be in the message. Run as a program it loads
every case through the public door with an audit hook installed and prints what happened as JSON.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import CONFIG, WEIGHTS, changed_config, split, with_header

MARKER = "executed"
_ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
_TENSOR = "visual.ln_post.weight"


@dataclass(frozen=True)
class Case:
    error: str
    words: str
    """Has to be in the message."""
    write: Callable[[Path], None]
    """Turns a folder with a valid checkpoint into the bad one."""


def weights(error: str, words: str, change: Callable[[bytes], bytes]) -> Case:
    def write(folder: Path) -> None:
        path = folder / WEIGHTS
        path.write_bytes(change(path.read_bytes()))

    return Case(error, words, write)


def header(error: str, words: str, change: Callable[[dict[str, Any]], Any]) -> Case:
    """`change` edits the parsed header in place, or returns another one (or its bytes)."""

    def edit(raw: bytes) -> bytes:
        parsed, data = split(raw)
        returned = change(parsed)
        return with_header(parsed if returned is None else returned, data)

    return weights(error, words, edit)


def config(error: str, words: str, raw: bytes | None = None, **changes: Any) -> Case:
    made = changed_config(**changes) if raw is None else raw
    return Case(error, words, lambda folder: (folder / CONFIG).write_bytes(made) and None)


def _linked(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).rename(folder / "elsewhere")
        (folder / name).symlink_to(folder / "elsewhere")

    return write


def _replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return write


def _rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(parsed: dict[str, Any]) -> None:
        parsed[new] = parsed.pop(old)

    return change


def _entry(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(parsed: dict[str, Any]) -> None:
        parsed[_TENSOR] |= changes

    return change


def _twice(parsed: dict[str, Any]) -> bytes:
    """One name for two tensors of the same size."""
    text = json.dumps(parsed)
    other = next(body for body in parsed.values() if body["shape"] == [64])
    return (text[:-1] + f', "{_TENSOR}": {json.dumps(other)}' + "}").encode()


def _first(parsed: dict[str, Any]) -> dict[str, Any]:
    return next(body for name, body in parsed.items() if body.get("data_offsets", [1])[0] == 0)


def _shift_first(by: int) -> Callable[[dict[str, Any]], None]:
    def change(parsed: dict[str, Any]) -> None:
        offsets = _first(parsed)["data_offsets"]
        offsets[:] = [offsets[0] + by, offsets[1] + by]

    return change


def _value(name: str, value: float) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        parsed, data = split(raw)
        start = parsed[name]["data_offsets"][0]
        return with_header(parsed, data[:start] + struct.pack("<f", value) + data[start + 4 :])

    return change


def _length(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _many(raw: bytes) -> bytes:
    entries = (
        f'"t{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + 1}]}}' for i in range(300_000)
    )
    return with_header(("{" + ",".join(entries) + "}").encode(), bytes(300_000))


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {MARKER}",)


def _pickle(raw: bytes) -> bytes:
    return pickle.dumps({"state_dict": _Payload()})


def _zip(raw: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(raw))
    return made.getvalue()


def _pointer(path: Path) -> None:
    path.write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    )


REFUSED, UNREADABLE, UNSUPPORTED = "Refused", "Unreadable", "Unsupported"
LIMIT, MISMATCH, LOADED = "LimitExceeded", "ContentMismatch", "loaded"

HEADERS: dict[str, Case] = {
    "empty": weights(UNREADABLE, "truncated", lambda raw: b""),
    "seven bytes": weights(UNREADABLE, "truncated", lambda raw: raw[:7]),
    "cut in the header": weights(UNREADABLE, "truncated", lambda raw: raw[:100]),
    "cut in the data": weights(UNREADABLE, "truncated", lambda raw: raw[:-1]),
    "over-long": weights(UNREADABLE, "over-long, 3 bytes", lambda raw: raw + b"abc"),
    "a zip behind the tensors": weights(
        REFUSED, "they are a zip archive", lambda raw: raw + _zip(raw)
    ),
    "line ends of Windows": weights(
        UNREADABLE, "over-long", lambda raw: raw.replace(b"\n", b"\r\n")
    ),
    "text with a mark": weights(UNREADABLE, "byte order mark", lambda raw: b"\xef\xbb\xbf" + raw),
    "read as text": weights(UNREADABLE, "read as text", lambda raw: b"\xef\xbf\xbd" + raw),
    "header length 2^63": weights(REFUSED, "its header lies, it announces", lambda raw: _length(2**63) + raw[8:]),
    "header length all ones": weights(REFUSED, "its header lies", lambda raw: _length(2**64 - 1) + raw[8:]),
    "header not JSON": header(UNREADABLE, "not json", lambda parsed: b'{"a": oops}'),
    "header not an object": header(UNREADABLE, "not a json object", lambda parsed: b"[1, 2]"),
    "header with text after it": header(UNREADABLE, "not json", lambda parsed: json.dumps(parsed).encode() + b"x"),
    "header not UTF-8": header(UNREADABLE, "not utf-8", lambda parsed: b'{"\xff\xfe": 1}'),
    "header with NaN": header(UNREADABLE, "nan is not a json number", lambda parsed: b'{"a": NaN}'),
    "header nested deeply": header(REFUSED, "nested too deeply", lambda parsed: b'{"a":' + b"[" * 200_000),
    "header with a giant number": header(REFUSED, "of 5000 digits", lambda parsed: b'{"a": ' + b"9" * 5000 + b"}"),
    "duplicate tensor": header(REFUSED, "occurs twice", _twice),
    "300,000 tensors": weights(LIMIT, "more than 20000 tensors", _many),
    "no tensors": header(UNREADABLE, "over-long", lambda parsed: {}),
    "ANSI in a name": header(REFUSED, "control or text-direction", _rename(_TENSOR, "\x1b[2J\x1b]0;owned\x07")),
    "right-to-left name": header(REFUSED, "control or text-direction", _rename(_TENSOR, "visual.\u202egnp.weight")),
    "newline in a name": header(REFUSED, "control or text-direction", _rename(_TENSOR, "a\nERROR forged log line")),
    "path as a name": header(REFUSED, "a path out of its folder", _rename(_TENSOR, "../../etc/passwd")),
    "markup as a name": header(UNSUPPORTED, "1 unexpected tensors", _rename(_TENSOR, "<img src=x>")),
    "empty name": header(UNSUPPORTED, "1 unexpected tensors", _rename(_TENSOR, "")),
    "endless name": header(UNSUPPORTED, "1 unexpected tensors", _rename(_TENSOR, "a" * 5000)),
    "unknown dtype": header(REFUSED, "control or text-direction", _entry(dtype="F\x1b[31m8")),
    "wrong dtype": header(UNSUPPORTED, "has the dtype i32", _entry(dtype="I32")),
    "quantised": weights(UNSUPPORTED, "quantised", lambda raw: _quantised(raw)),
    "wrong shape": header(UNSUPPORTED, "has the shape [8, 8] instead of [64]", _entry(shape=[8, 8])),
    "shape beyond 2^31": header(REFUSED, "impossible shape", _entry(shape=[0, 2**60])),
    "shape that overflows": header(REFUSED, "more values than any file", _entry(shape=[2**31] * 8)),
    "negative shape": header(REFUSED, "impossible shape", _entry(shape=[-8, -8])),
    "true as a shape": header(UNREADABLE, "not a list of whole numbers", _entry(shape=[True, 64])),
    "fraction as an offset": header(UNREADABLE, "not two whole numbers", _entry(data_offsets=[0.0, 256.0])),
    "negative offsets": header(REFUSED, "impossible offsets", _shift_first(-4)),
    "offsets reversed": header(REFUSED, "impossible offsets", _entry(data_offsets=[256, 0])),
    "offsets of 4,000 digits": header(REFUSED, "a number of 4001 digits", _entry(data_offsets=[0, 10**4000])),
    "overlap": header(REFUSED, "overlaps", _entry(data_offsets=[0, 256])),
    "gap": header(REFUSED, "a gap", lambda parsed: _shift_all(parsed, 8)),
    "offsets past the end": header(REFUSED, "a gap", _entry(data_offsets=[2**40, 2**40 + 256])),
    "entry with a fourth key": header(LOADED, "", _entry(run="rm -rf /")),
    "entry that is a string": header(UNREADABLE, "lacks dtype, shape", lambda parsed: {"a": "b"}),
    "metadata of numbers": header(UNREADABLE, "map of strings", lambda parsed: {**parsed, "__metadata__": {"a": 1}}),
    "metadata of a megabyte": header(
        LOADED, "", lambda parsed: {**parsed, "__metadata__": {"a": "b" * 10**6}}
    ),
    "unexpected tensor": header(UNSUPPORTED, "1 unexpected tensors", _rename(_TENSOR, "visual.backdoor.weight")),
    "missing tensor": weights(UNSUPPORTED, "1 missing tensors", lambda raw: _without_last(raw)),
    "two namings at once": header(UNSUPPORTED, "unexpected tensors", _rename("ln_final.bias", "text.ln_final.bias")),
    "image tower under the text tower": header(UNSUPPORTED, "unexpected", _rename("visual.proj", "text.visual.proj")),
    "another layout": header(UNSUPPORTED, "another layout", lambda parsed: _prefixed(parsed, "vision_model.")),
}  # fmt: skip
"""What the parser alone has to notice."""

FILES: dict[str, Case] = {
    "also empty": weights(UNREADABLE, "truncated", lambda raw: b""),
    "also cut in the data": weights(UNREADABLE, "truncated", lambda raw: raw[:-1]),
    "also a duplicate tensor": header(REFUSED, "occurs twice", _twice),
    "also ANSI in a name": header(REFUSED, "control or text-direction", _rename(_TENSOR, "\x1b[2J\x1b]0;owned\x07")),
    "NaN weight": weights(UNREADABLE, "'visual.proj' holds nan", _value("visual.proj", float("nan"))),
    "infinite weight": weights(UNREADABLE, "'ln_final.bias' holds nan", _value("ln_final.bias", float("inf"))),
    "NaN token": weights(UNREADABLE, "embedding.weight' holds nan", _value("token_embedding.weight", float("nan"))),
    "pickle renamed": weights(REFUSED, "a python pickle", _pickle),
    "zip renamed": weights(REFUSED, "a zip archive", _zip),
    "GGUF renamed": weights(UNREADABLE, "a gguf file", lambda raw: b"GGUF" + b"\xff" * 400),
    "web page": weights(UNREADABLE, "a web page", lambda raw: b"<!doctype html><title>404</title>"),
    "LFS pointer": Case(MISMATCH, "git-lfs pointer", _replaced(WEIGHTS, _pointer)),
    "configuration is an LFS pointer": Case(MISMATCH, "git-lfs pointer", _replaced(CONFIG, _pointer)),
    "weights are a link": Case(REFUSED, "symbolic link", _linked(WEIGHTS)),
    "configuration is a link": Case(REFUSED, "symbolic link", _linked(CONFIG)),
    "link to a device": Case(REFUSED, "symbolic link", _replaced(WEIGHTS, lambda path: path.symlink_to("/dev/zero"))),
    "weights are a folder": Case(UNSUPPORTED, "not a regular file", _replaced(WEIGHTS, Path.mkdir)),
    "weights are a pipe": Case(UNSUPPORTED, "not a regular file", _replaced(WEIGHTS, os.mkfifo)),
    "no weights": Case(UNSUPPORTED, f"no {WEIGHTS}", _replaced(WEIGHTS, lambda path: None)),
    "no configuration": Case(UNSUPPORTED, f"no {CONFIG}", _replaced(CONFIG, lambda path: None)),
    "only a pickle": Case(UNSUPPORTED, f"no {WEIGHTS}", lambda folder: _renamed(folder, "pytorch_model.bin")),
    "another width": config(UNSUPPORTED, "does not match its configuration", vision={"width": 128}),
    "more layers than the file": config(UNSUPPORTED, "missing tensors", vision={"layers": 3}),
    "also 10^6 layers": config(UNSUPPORTED, "`model_cfg.vision_cfg.layers`", vision={"layers": 10**6}),
    "also a text tower from a repository": config(UNSUPPORTED, "'evil/model'", text={"hf_model_name": "evil/model"}),
}  # fmt: skip
"""What has to come out of the public door, `load`."""


def _renamed(folder: Path, name: str) -> None:
    (folder / WEIGHTS).rename(folder / name)


def _shift_all(parsed: dict[str, Any], by: int) -> None:
    for body in parsed.values():
        if "data_offsets" in body:
            body["data_offsets"] = [offset + by for offset in body["data_offsets"]]


def _prefixed(parsed: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: body for name, body in parsed.items()}


def _last(parsed: dict[str, Any]) -> str:
    return max(parsed, key=lambda name: parsed[name].get("data_offsets", [0, 0])[1])


def _without_last(raw: bytes) -> bytes:
    parsed, data = split(raw)
    start = parsed.pop(_last(parsed))["data_offsets"][0]
    return with_header(parsed, data[:start])


def _quantised(raw: bytes) -> bytes:
    parsed, data = split(raw)
    entry = parsed[_last(parsed)]
    start, end = entry["data_offsets"]
    entry |= {"dtype": "I8", "data_offsets": [start, start + (end - start) // 4]}
    return with_header(parsed, data[: entry["data_offsets"][1]])


CONFIGS: dict[str, Case] = {
    "10^6 layers": config(UNSUPPORTED, "`model_cfg.vision_cfg.layers` makes 1000000", vision={"layers": 10**6}),
    "10^6 text layers": config(UNSUPPORTED, "`model_cfg.text_cfg.layers`", text={"layers": 10**6}),
    "a width of 10^400": config(REFUSED, "a number of 401 digits", vision={"width": 10**400}),
    "10^6 blocks": config(UNSUPPORTED, "`model_cfg.vision_cfg.layers`", vision={"layers": [10**6, 1, 1, 1]}),
    "a picture of 10^6 pixels": config(UNSUPPORTED, "`model_cfg.vision_cfg.image_size`", vision={"image_size": 10**6}),
    "a million patches": config(UNSUPPORTED, "makes 1048576", vision={"image_size": 1024, "patch_size": 1}),
    "a context of 10^6": config(UNSUPPORTED, "`model_cfg.text_cfg.context_length`", text={"context_length": 10**6}),
    "an embedding of 10^9": config(UNSUPPORTED, "`model_cfg.embed_dim`", embed_dim=10**9),
    "a huge file": config(LIMIT, "more than 16777216 bytes", b" " * (2**24 + 1)),
    "10,000 objects": config(UNREADABLE, "`model_cfg` is missing", b'{"a":[' + b",".join([b"{}"] * 10_000) + b"]}"),
    "zero layers": config(UNREADABLE, "`model_cfg.vision_cfg.layers` is not a whole number", vision={"layers": 0}),
    "negative width": config(UNREADABLE, "`model_cfg.text_cfg.width`", text={"width": -64}),
    "layers in words": config(UNREADABLE, "`model_cfg.vision_cfg.layers`", vision={"layers": "12"}),
    "true layers": config(UNREADABLE, "`model_cfg.vision_cfg.layers`", vision={"layers": True}),
    "three stages": config(UNREADABLE, "four whole numbers", vision={"layers": [1, 1, 1]}),
    "heads that do not divide": config(UNREADABLE, "`model_cfg.text_cfg.width` is not a multiple", text={"heads": 5}),
    "heads wider than the tower": config(UNREADABLE, "`model_cfg.vision_cfg.width`", vision={"head_width": 1000}),
    "patch larger than the picture": config(UNREADABLE, "larger than the picture", vision={"patch_size": 64}),
    "odd picture for a ResNet": config(UNREADABLE, "multiple of 32", vision={"layers": [1, 1, 1, 1], "image_size": 65}),
    "deviation of zero": config(UNREADABLE, "`preprocess_cfg.std`", preprocess={"std": [0, 1, 1]}),
    "mean in words": config(UNREADABLE, "`preprocess_cfg.mean`", preprocess={"mean": ["a", "b", "c"]}),
    "an endless number": config(UNREADABLE, "`model_cfg.vision_cfg.mlp_ratio`", vision={"mlp_ratio": 1e300}),
    "NaN": config(UNREADABLE, "nan is not a json number", b'{"model_cfg": NaN}'),
    "5,000 digits": config(REFUSED, "a number of 5000 digits", b'{"model_cfg": ' + b"9" * 5000 + b"}"),
    "not JSON": config(UNREADABLE, "not json", b"import os"),
    "not UTF-8": config(UNREADABLE, "not utf-8", '{"model_cfg": "é"}'.encode("latin-1")),
    "UTF-16": config(UNREADABLE, "not utf-8", '{"model_cfg": {}}'.encode("utf-16")),
    "a list": config(UNREADABLE, "not a json object", b"[]"),
    "nested deeply": config(REFUSED, "nested too deeply", b"[" * 200_000),
    "duplicate key": config(REFUSED, "'model_cfg' occurs twice", b'{"model_cfg": {}, "model_cfg": {"a": 1}}'),
    "no model_cfg": config(UNREADABLE, "`model_cfg` is missing", b"{}"),
    "no embed_dim": config(UNREADABLE, "`model_cfg.embed_dim` is missing", embed_dim=None),
    "model_cfg in words": config(UNREADABLE, "`model_cfg` is not an object", b'{"model_cfg": "ViT-B-32"}'),
    "timm from a repository": config(
        UNSUPPORTED, "not on the list", vision={"timm_model_name": "hf-hub:evil/\x1b[31mmodel"}
    ),
    "timm from a folder": config(UNSUPPORTED, "not on the list", vision={"timm_model_name": "local-dir:/etc"}),
    "timm out of the folder": config(REFUSED, "path out of its folder", vision={"timm_model_name": "../../etc/model"}),
    "text tower out of the folder": config(REFUSED, "a path out of its folder", text={"hf_model_name": "../../etc"}),
    "the same key twice, and the same value": config(LOADED, "", changed_config()[:-1] + b", \"preprocess_cfg\": {}}"),
    "a byte order mark": config(LOADED, "", b"\xef\xbb\xbf" + changed_config()),
    "timm": config(UNSUPPORTED, "'convnext_atto' of timm", vision={"timm_model_name": "convnext_atto"}),
    "text tower from a repository": config(UNSUPPORTED, "'evil/model'", text={"hf_model_name": "evil/model"}),
    "tokenizer from a repository": config(UNSUPPORTED, "'evil/tokens'", text={"hf_tokenizer_name": "evil/tokens"}),
    "tokenizer options": config(UNSUPPORTED, "tokenizer_kwargs", text={"tokenizer_kwargs": {"mode": "whitespace"}}),
    "another vocabulary": config(UNSUPPORTED, "vocab_size", text={"vocab_size": 32000}),
    "both directions": config(LOADED, "", text={"no_causal_mask": True}),
    "a caption decoder": config(UNSUPPORTED, "multimodal_cfg", multimodal_cfg={"width": 64}),
    "unknown key": config(UNSUPPORTED, "unknown key", **{"\x1b[2Jtrust_remote_code": True}),
    "unknown interpolation": config(UNSUPPORTED, "interpolation", preprocess={"interpolation": "lanczos"}),
    "a picture that is not square": config(UNSUPPORTED, "not square", vision={"image_size": [32, 64]}),
}  # fmt: skip


# --- as a program ---------------------------------------------------------------------------------------------

FORBIDDEN = (
    "pickle.find_class", "exec", "compile", "marshal.loads", "code.__new__", "function.__new__", "import", "os.system",
    "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn", "socket.", "ctypes.",
    "urllib.Request", "http.client.", "shutil.unpack_archive", "webbrowser.open",
)  # fmt: skip


def _parse(folder: Path) -> None:
    """What the limited child does, here where the audit hook sees it."""
    from dife_scanner.models.header import ParseLimits
    from dife_scanner.models.inspection import inspect

    with (folder / CONFIG).open("rb") as config_file, (folder / WEIGHTS).open("rb") as weights_file:
        inspect(config_file, weights_file, WEIGHTS, ParseLimits())


def main(good: Path, scratch: Path) -> None:
    """Load every case with `good` as the starting point; print `{case: [error, message]}` and the events."""
    import shutil
    import socket

    from dife_scanner.errors import DifeError
    from dife_scanner.models.load import load

    os.chdir(scratch)
    load(good)  # whatever is imported late is imported now
    _parse(good)
    events: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching or not event.startswith(FORBIDDEN):
            return
        if event == "socket.sendmsg" and arguments[0].family == socket.AF_UNIX:
            return  # to the server that limited children are forked from
        events.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(hook)
    outcomes: dict[str, list[str]] = {}
    doors = (
        (HEADERS, lambda folder: _parse(folder)),
        (CONFIGS, lambda folder: _parse(folder)),
        (FILES, load),
    )
    for cases, door in doors:
        for name, case in cases.items():
            folder = scratch / "case"
            watching = False
            shutil.copytree(good, folder)
            case.write(folder)
            watching = True
            try:
                door(folder)
                outcomes[name] = ["loaded", ""]
            except DifeError as error:
                outcomes[name] = [type(error).__name__, error.what]
            watching = False
            shutil.rmtree(folder)
            watching = True
    seen = list(events)
    pickle.loads(pickle.dumps(os.getcwd))  # the hook does notice
    left = sorted(path.name for path in scratch.iterdir())
    print(
        json.dumps(
            {"outcomes": outcomes, "events": seen, "control": events[len(seen) :], "left": left}
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
