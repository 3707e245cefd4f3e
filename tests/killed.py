"""A process that is killed in the middle of its work, to see what it leaves."""

import subprocess
import sys


def kill_in(module: str, opening: str, work: str, path: object) -> None:
    """Run ``work`` within ``with OPENING as it``, a call of what ``module`` has, on ``path``."""
    script = (
        "import sys, time\n"
        f"from {module} import *\n"
        "path = sys.argv[1]\n"
        f"with {opening} as it:\n"
        f"    {work}\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.kill()
