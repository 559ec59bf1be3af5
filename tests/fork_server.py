"""Commands without the price of their imports: a process that has imported the libraries forks for each command.

A pipeline starts hundreds of processes, and each would import torch, DVC or Snakemake anew. `programs` makes a folder
for the front of PATH whose `oneshot-vos`, `dvc`, `snakemake` and `repro` (of the current checkout) hand their
arguments, folder, environment and open files to such a process, and end with the code of its fork. The project's own
modules are imported by the fork, from the PYTHONPATH of the command. A command that is to be killed or interrupted
needs the real programs.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

# What is imported when a program is first asked for, and the function that it runs.
PRELOADED = {
    "oneshot-vos": "torch torchvision torch.utils.data torch.distributed timm cv2 av PIL.Image pydantic typer "
    "ruamel.yaml safetensors.torch pandas tabulate tqdm",
    "dvc": "dvc.cli dvc.repo dvc.commands.repro dvc.commands.status dvc.commands.commit",
    "snakemake": "snakemake.cli",
    "repro": "networkx dvc.repo dvc.stage.cache dvc.utils.serialize pydantic ruamel.yaml",
}
ENTRIES = {
    "oneshot-vos": "oneshot_vos.cli:app",
    "dvc": "dvc.cli:main",
    "snakemake": "snakemake.cli:main",
    "repro": "workflow/scripts/repro.py",
}

# Starts in a hundredth of a second: no site-packages.
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [b"%16d" % len(request)], [0, 1, 2])
    server.sendall(request)
    code = server.recv(16)
sys.exit(int(code or 255))
"""


@contextlib.contextmanager
def programs() -> Iterator[Path]:
    """The folder for the front of PATH, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        address = f"{folder}/socket"
        listener.bind(address)
        listener.listen(64)
        for name in ENTRIES:
            program = Path(folder, name)
            program.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
            program.chmod(0o755)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads do not outlive a fork
        command = [sys.executable, __file__, str(listener.fileno())]
        with subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()]) as server:
            try:
                yield Path(folder)
            finally:
                server.kill()


def serve(listener: socket.socket) -> None:
    """Fork for every command that comes; returns in the fork, which is set up as the command wants it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        client, _ = listener.accept()
        length, files, _, _ = socket.recv_fds(client, 16, 3)
        arguments, folder, environment = json.loads(client.recv(int(length), socket.MSG_WAITALL))
        for name in PRELOADED.pop(Path(arguments[0]).name, "").split():
            importlib.import_module(name)
            gc.freeze()  # forks share what is not touched
        if not os.fork():
            break
        client.close()
        for file in files:
            os.close(file)
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    worker = os.fork()
    if worker:
        client.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))
        os._exit(0)
    client.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv = arguments
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]


def run(entry: str) -> int:
    """Call `module:function`, or run a script, and do what ends a process in order, as far as somebody may notice;
    returns its code.
    """
    module, _, function = entry.partition(":")
    code = 0
    try:
        if function:
            code = getattr(importlib.import_module(module), function)() or 0
        else:
            runpy.run_path(entry, run_name="__main__")
    except SystemExit as ending:
        code = ending.code or 0
    except Exception:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of the tests
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(run(ENTRIES[Path(sys.argv[0]).name]))  # taking everything apart would cost a second
