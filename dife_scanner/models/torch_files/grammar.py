"""Which names a torch file may use, and what for. Every list here is closed; a name on none of them may not be called.

Four kinds: names that tensors are made of (`storage_dtype`, `is_dtype`, `REBUILDERS` and the containers), classes whose
objects are known to do nothing when they are made (`is_inert`), modules whose very mention is a finding
(`is_dangerous`), and all others.
"""

from __future__ import annotations

from dife_scanner.models.torch_files.values import Global

_OLD_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "torch.tensor": "torch._tensor",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
    "pathlib._local": "pathlib",
}
"""Names that one module had, or got, in another version of its library."""

DTYPES = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16",
    "bfloat16": "BF16", "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
"""torch's names of the element types that safetensors has too."""
_OTHER_DTYPES = frozenset(
    {"complex128", "complex32", "float8_e4m3fnuz", "float8_e5m2fnuz", "quint8", "qint8", "qint32"}
)

_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL", "ComplexFloatStorage": "C64", "UntypedStorage": "",
}  # fmt: skip
_OTHER_STORAGES = frozenset(
    {"ComplexDoubleStorage", "QUInt8Storage", "QInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage"}
)  # fmt: skip
_STORAGE_MODULES = frozenset({"torch", "torch.cuda", "torch.storage"})

REBUILDERS = frozenset(
    {
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._tensor._rebuild_from_type_v2",
    }
)
OTHER_REBUILDERS = frozenset(
    {
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_sparse_csr_tensor",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_wrapper_subclass",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        "torch._utils._rebuild_xla_tensor",
        "torch.distributed.tensor.DTensor",
    }
)
"""Makers of tensors that are not read here: sparse, quantised, nested, without data."""
TENSOR_CLASSES = frozenset(
    {"torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"}
)  # fmt: skip
MAPPINGS = frozenset(
    {"builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter"}
)
NESTED_FILE = "torch.storage._load_from_bytes"
"""Reads a torch file inside a torch file."""
RECONSTRUCTOR = "copyreg._reconstructor"
ENCODE = "_codecs.encode"
LIST_MAKERS = frozenset(
    f"torch.jit._pickle.build_{of}list" for of in ("int", "bool", "double", "tensor")
)
"""What TorchScript wraps its typed lists in; each takes the list and returns it."""
TYPE_TAG = "torch.jit._pickle.restore_type_tag"

_CALLERS = frozenset(
    {
        "functools.partial",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    }
)
"""Harmless where each name among their arguments is on a list: they call one of these, at once or later."""
_RANDOM = "numpy.random."
_ACTIVATIONS = frozenset(
    {"torch._C._nn.gelu", "torch._C._nn.silu", "torch._C._nn.hardswish", "torch.relu", "torch.sigmoid", "torch.tanh"}
)  # fmt: skip
"""Functions that modules mention."""
_CALLED = (
    REBUILDERS
    | OTHER_REBUILDERS
    | TENSOR_CLASSES
    | MAPPINGS
    | LIST_MAKERS
    | _CALLERS
    | _ACTIVATIONS
    | {NESTED_FILE, RECONSTRUCTOR, ENCODE, TYPE_TAG}
)
"""All names above."""

_INERT_CALLS = frozenset(
    {
        "argparse.Namespace",
        "builtins.bytearray", "builtins.bytes", "builtins.complex", "builtins.float", "builtins.frozenset",
        "builtins.int", "builtins.list", "builtins.range", "builtins.set", "builtins.slice", "builtins.str",
        "builtins.tuple", "builtins.bool", "builtins.object",
        "collections.deque",
        "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "datetime.timezone",
        "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
        "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "numpy.core.numeric._frombuffer",
        "numpy.dtype", "numpy.ndarray", "numpy.bool_", "numpy.float16", "numpy.float32", "numpy.float64", "numpy.int8",
        "numpy.int16", "numpy.int32", "numpy.int64", "numpy.uint8", "numpy.uint16", "numpy.uint32", "numpy.uint64",
        "pathlib.Path", "pathlib.PosixPath", "pathlib.PurePath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath",
        "pathlib.WindowsPath",
        "torch.Size", "torch.device", "torch.serialization._get_layout", "torch.Generator",
        "accelerate.state.PartialState", "accelerate.utils.dataclasses.DistributedType",
        "transformers.debug_utils.DebugOption",
        "transformers.trainer_pt_utils.AcceleratorConfig",
        "transformers.trainer_utils.EvaluationStrategy", "transformers.trainer_utils.FSDPOption",
        "transformers.trainer_utils.HubStrategy", "transformers.trainer_utils.IntervalStrategy",
        "transformers.trainer_utils.SaveStrategy", "transformers.trainer_utils.SchedulerType",
        "transformers.training_args.OptimizerNames", "transformers.training_args.ParallelMode",
        "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata",
    }
)  # fmt: skip
"""Classes and functions that only make a value of their arguments."""

_INERT_CLASSES = frozenset(
    {
        "types.SimpleNamespace",
        "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.base.ContainerMetadata",
        "omegaconf.base.Metadata", "omegaconf.nodes.AnyNode", "omegaconf.nodes.BooleanNode",
        "omegaconf.nodes.FloatNode", "omegaconf.nodes.IntegerNode", "omegaconf.nodes.StringNode",
        "omegaconf.nodes.EnumNode", "omegaconf.nodes.PathNode", "omegaconf.nodes.BytesNode",
        "easydict.EasyDict", "addict.addict.Dict", "box.box.Box", "ml_collections.config_dict.config_dict.ConfigDict",
        "yacs.config.CfgNode", "munch.Munch", "mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict",
        "fvcore.common.config.CfgNode", "detectron2.config.config.CfgNode",
        "lightning.fabric.utilities.data.AttributeDict", "lightning_fabric.utilities.data.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.pytorch.utilities.parsing.AttributeDict",
    }
)  # fmt: skip
"""Configuration objects: made empty, then given their attributes."""

_INERT_PACKAGES = (
    "__torch__.",
    "accelerate.",
    "clip.model.",
    "diffusers.",
    "lightning.",
    "lightning_fabric.",
    "open_clip.",
    "peft.",
    "pytorch_lightning.",
    "sentence_transformers.",
    "timm.",
    "torch.amp.",
    "torch.cuda.amp.",
    "torch.nn.",
    "torch.optim.",
    "torchmetrics.",
    "torchvision.",
    "transformers.",
)
"""Packages whose classes may be made, as a model or an optimizer saved whole is: their code is that of a library, and
none of it is run here."""
_OWN_MODULES = ("__main__", "__mp_main__", "__torch__")
"""What the program defined that saved the file, and what TorchScript calls its classes: no library has such names."""

_DANGEROUS_MODULES = frozenset(
    {
        "_posixsubprocess", "_winapi", "asyncio", "bdb", "code", "codeop", "commands", "ctypes", "ftplib", "http",
        "idlelib", "imaplib", "importlib", "marshal", "multiprocessing", "nt", "os", "pdb", "pip", "pkgutil", "poplib",
        "posix", "profile", "pty", "pydoc", "requests", "runpy", "shutil", "smtplib", "socket", "ssl", "subprocess",
        "sys", "telnetlib", "timeit", "trace", "urllib", "webbrowser", "xmlrpc",
    }
)  # fmt: skip
_DANGEROUS_NAMES = frozenset(
    f"builtins.{name}"
    for name in ("__import__", "breakpoint", "compile", "eval", "exec", "getattr", "globals", "open", "setattr")
)  # fmt: skip


def named(module: str, name: str) -> Global:
    """The global, under the one name that its module has here."""
    return Global(_OLD_MODULES.get(module, module), name)


def full_name(known: Global) -> str:
    """Module and name with a dot, as the lists here write them."""
    return f"{known.module}.{known.name}"


def storage_dtype(known: Global) -> str | None:
    """The element type of a storage class, empty for one without; None where it is none, or of a type not read."""
    if known.module not in _STORAGE_MODULES:
        return None
    return _STORAGES.get(known.name)


def is_storage(known: Global) -> bool:
    """Whether this is one of torch's storage classes."""
    return known.module in _STORAGE_MODULES and (
        known.name in _STORAGES or known.name in _OTHER_STORAGES
    )


def is_dtype(known: Global) -> bool:
    """Whether this is an element type of torch."""
    return known.module == "torch" and (known.name in DTYPES or known.name in _OTHER_DTYPES)


def is_inert_call(known: Global) -> bool:
    """Whether calling this with any values makes a value and does nothing else."""
    return full_name(known) in _INERT_CALLS


def calls_arguments(known: Global) -> bool:
    """Whether calling this may call the names among its arguments."""
    return full_name(known) in _CALLERS


def is_inert_class(known: Global) -> bool:
    """Whether this is a class whose objects may be made empty and then be given a state."""
    name = full_name(known)
    if name in _INERT_CLASSES or name in _INERT_CALLS:
        return True
    if not _is_class_name(known.name):
        return False
    if name.startswith(_RANDOM):
        return True
    return known.module in _OWN_MODULES or name.startswith(_INERT_PACKAGES)


def is_known(known: Global) -> bool:
    """Whether the name is on any list: mentioning it says nothing."""
    name = full_name(known)
    if name in _CALLED or (known.name.isidentifier() and name.startswith(_INERT_PACKAGES)):
        return True
    return is_storage(known) or is_dtype(known) or is_inert_class(known)


def is_dangerous(known: Global) -> bool:
    """Whether a file of tensors has no honest reason even to mention this name."""
    outermost = known.module.partition(".")[0]
    return outermost in _DANGEROUS_MODULES or full_name(known) in _DANGEROUS_NAMES


def _is_class_name(name: str) -> bool:
    """Whether a name is written as classes are; with a dot it would reach through an object into another."""
    return name.isidentifier() and name.lstrip("_")[:1].isupper()
