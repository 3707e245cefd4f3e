"""A base's configuration becomes what docker makes of it with the same instructions."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from imgpack.cli.options.build.config import RuntimeFlags
from imgpack.cli.options.build.unset import UnsetFlags
from imgpack.image.image import images_in
from imgpack.spec.merge.changes import merge
from imgpack.store.open import open_images
from tests.cli_runner import Imgpack
from tests.servers.engine import Engine

KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "Volumes", "WorkingDir",
    "OnBuild", "Labels", "StopSignal", "Shell",
)  # fmt: skip
# Docker's own builder keeps a base's interval under a new health check; BuildKit does not.
BASE = (
    *("-e", "PATH=/usr/bin:/bin", "-e", "LANG=C", "-e", "EMPTY="),
    *("--entrypoint", '["/init"]', "--cmd", '["serve"]', "--workdir", "/srv", "--user", "5"),
    *("-l", "b=1", "-l", "a=2", "--expose", "80", "--volume", "/data", "--stop-signal", "INT"),
    *("--healthcheck-cmd", '["old"]'),
)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "env": (
        "ENV LANG=D\nENV Z=1\nENV A=2\nENV Z=$Z:2",
        {"env": ("LANG=D", "Z=1", "A=2", "Z=$Z:2")},
    ),
    "variables": (
        "ENV PATH=/opt/bin:$PATH\nENV B=${LANG}x${EMPTY:-d}${LANG:+e}\n"
        'ENV C="\\$LANG \\\\$LANG ${NONE:-a${LANG}b}"',
        {"env": ("PATH=/opt/bin:$PATH", "B=${LANG}x${EMPTY:-d}${LANG:+e}",
                 r"C=\$LANG \\$LANG ${NONE:-a${LANG}b}")},
    ),
    "entrypoint": ('ENTRYPOINT ["/x", "y"]', {"entrypoint": '["/x", "y"]'}),
    "no entrypoint": ("ENTRYPOINT []", {"entrypoint": "[]"}),
    "cmd": ('CMD ["x"]', {"cmd": '["x"]'}),
    "both": ('CMD ["x"]\nENTRYPOINT ["/y"]', {"cmd": '["x"]', "entrypoint": '["/y"]'}),
    "united": (
        "EXPOSE 53/udp 80\nVOLUME /x /data\nLABEL a=3 c=4",
        {"expose": ("53/udp", "80"), "volume": ("/x", "/data"), "label": ("a=3", "c=4")},
    ),
    "replaced": (
        'USER 7:8\nSTOPSIGNAL SIGTERM\nSHELL ["/bin/x", "-c"]\nHEALTHCHECK --retries=2 CMD ["n"]',
        {"user": "7:8", "stop_signal": "TERM", "shell": '["/bin/x", "-c"]',
         "healthcheck_cmd": '["n"]', "healthcheck_retries": 2},
    ),
    "no health check": ("HEALTHCHECK NONE", {"healthcheck_cmd": "NONE"}),
    "directory": ("WORKDIR /x", {"workdir": "/x"}),
    "relative directory": ("WORKDIR a/./b", {"workdir": "a/./b"}),
    "triggers": ("ONBUILD RUN make", {"onbuild": ("RUN make",)}),
}  # fmt: skip


def config_in(archive: Path) -> dict[str, Any]:
    """The runtime configuration of the one image in an archive."""
    with open_images(str(archive)) as opened:
        (image,) = images_in(opened.image().image)
        return dict(image.config.config)


def said(config: Any) -> dict[str, Any]:
    """What it says, without what it only leaves empty."""
    return {key: config[key] for key in KEYS if config.get(key)}


@pytest.mark.parametrize("case", CASES)
def test_docker_makes_the_same_configuration(
    engine: Engine, imgpack: Imgpack, tmp_path: Path, case: str
) -> None:
    """From a Dockerfile on the same base, in its values and in the order of its variables."""
    instructions, flags = CASES[case]
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").touch()
    imgpack("build", "root", "-t", "onbase:1", *BASE, "-o", "base.tar").ok()
    engine.load(tmp_path / "base.tar")
    (tmp_path / "Dockerfile").write_text(f"FROM onbase:1\n{instructions}\n")
    classic = {**os.environ, "DOCKER_BUILDKIT": "0"}
    engine("build", "-t", "above:1", str(tmp_path), env=classic)
    engine("save", "-o", str(tmp_path / "above.tar"), "above:1")

    merged = merge(config_in(tmp_path / "base.tar"), UnsetFlags().changes(RuntimeFlags(**flags)))
    theirs = said(config_in(tmp_path / "above.tar"))
    assert json.loads(json.dumps(said(merged.config))) == theirs
