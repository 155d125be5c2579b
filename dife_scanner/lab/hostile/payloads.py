"""What a hostile pickle would do. Every payload here does something harmless that an audit hook sees.

An acting payload leaves `MARKER` in the current folder, starts `true`, or speaks to a port of this machine on which
nothing listens. A naming payload calls something without arguments, which fails where it gets so far.
"""

from __future__ import annotations

from dife_scanner.lab.hostile import assembler as asm
from dife_scanner.lab.hostile.assembler import call, data, group, name, number, pickled, state, text

MARKER = "executed"
TOUCH = f"open({MARKER!r}, 'w').close()"
_NOBODY = group(text("127.0.0.1"), number(9))
_COMMAND = asm.EMPTY_LIST + text("true") + asm.APPEND
EXEC = call("builtins.exec", text(TOUCH))

ACTING: dict[str, bytes] = {
    "exec": EXEC,
    "eval": call("builtins.eval", text(TOUCH)),
    "eval of Python 2": call("__builtin__.eval", text(TOUCH)),
    "compile": call("builtins.compile", text(TOUCH), text("x"), text("exec")),
    "open": call("builtins.open", text(MARKER), text("w")),
    "os.system": call("os.system", text("true")),
    "posix.system": call("posix.system", text("true")),
    "subprocess.Popen": call("subprocess.Popen", _COMMAND),
    "subprocess.check_output": call("subprocess.check_output", _COMMAND),
    "socket.create_connection": call("socket.create_connection", _NOBODY),
    "ctypes.CDLL": call("ctypes.CDLL", b"N"),
    "os.mkdir": call("os.mkdir", text(MARKER)),
    "_io.open": call("_io.open", text(MARKER), text("w")),
    "timeit.timeit": call("timeit.timeit", text(TOUCH), text("pass"), name("time.time"), number(1)),
    "runpy._run_code": call("runpy._run_code", text(TOUCH), asm.EMPTY_DICT),
    "getattr of an import": call(
        "builtins.getattr", call("importlib.import_module", text("os")), text("system")
    )
    + group(text("true"))
    + asm.REDUCE,
    "a name resolved at run time": call("pkgutil.resolve_name", text("os:system"))
    + group(text("true"))
    + asm.REDUCE,
    "functools.partial": call("functools.partial", name("builtins.exec"), text(TOUCH))
    + asm.EMPTY_TUPLE
    + asm.REDUCE,
    "numpy's random generator": call(
        "numpy.random._pickle.__generator_ctor", text(TOUCH), name("builtins.exec")
    ),
    "map": call("builtins.list", call("builtins.map", name("builtins.exec"), group(text(TOUCH)))),
    "pydoc.pipepager": call("pydoc.pipepager", text(""), text("true")),
    "profile.run": call("profile.run", text(TOUCH)),
    "code object of marshal": call("builtins.exec", call("marshal.loads", data(b"N"))),
}  # fmt: skip
"""By what they call; each does something when it is unpickled."""

NAMING = (
    "_aix_support._read_cmd_output", "_osx_support._read_output", "_pyrepl.pager.pipe_pager", "aiohttp.web.run_app",
    "asyncio.unix_events._UnixSubprocessTransport._start", "bdb.Bdb.run", "cProfile.runctx", "cgitb.lookup",
    "cloudpickle.cloudpickle._make_function", "code.InteractiveInterpreter.runcode", "commands.getoutput",
    "dill._dill._create_code", "distutils.file_util.write_file", "doctest.debug_script", "ensurepip._run_pip",
    "ftplib.FTP", "functools.reduce", "http.client.HTTPSConnection", "idlelib.pyshell.ModifiedInterpreter.runcode",
    "imaplib.IMAP4_stream", "importlib.import_module", "joblib.load", "lib2to3.pgen2.grammar.Grammar.loads",
    "logging.config.listen", "multiprocessing.util.spawnv_passfds", "nt.system",
    "numpy.f2py.crackfortran.getlincoef", "numpy.load", "numpy.testing._private.utils.runstring",
    "operator.attrgetter", "operator.methodcaller", "pandas.read_pickle", "pdb.run", "pickle.loads", "pip.main",
    "platform.popen", "pty.spawn", "requests.api.get", "shutil.rmtree", "smtplib.SMTP", "sympy.sympify",
    "sys.setprofile", "telnetlib.Telnet", "test.support.script_helper.assert_python_ok",
    "torch._dynamo.guards.GuardBuilder.get", "torch._inductor.codecache.compile_file", "torch.hub.load",
    "torch.jit.load", "torch.load", "torch.serialization.load",
    "torch.utils._config_module.ConfigModule.load_config", "torch.utils.bottleneck.__main__.run_cprofile",
    "torch.utils.collect_env.run", "torch.utils.data.datapipes.utils.decoder.basichandlers",
    "torch.utils.show_pickle.main", "trace.Trace.runctx", "types.CodeType", "types.FunctionType",
    "urllib.request.urlopen", "uuid._get_command_stdout", "venv.create", "webbrowser.open",
    "xmlrpc.client.ServerProxy", "zipimport.zipimporter",
)  # fmt: skip
"""Names that published attacks reached past lists of forbidden ones."""


def named(dotted: str) -> bytes:
    """The pickle body that calls `dotted` without arguments."""
    return call(dotted)


def whole(body: bytes) -> bytes:
    """A pickle of a dict with the payload in it."""
    return pickled(state(payload=body))
