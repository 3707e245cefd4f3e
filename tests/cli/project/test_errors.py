"""What is wrong with imgpack.toml is told in one line, with file, line and key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.cli.commands.build import build
from imgpack.cli.habits import keys
from imgpack.cli.project.schema.keys import KEYS, LAYER_KEYS, MACHINE, PUSH
from tests.cli.project.shop import Shop

IMAGE = '[image.web]\nlayers = ["trees/web"]\n'

# A file, and what is said of it.
CASES: dict[str, tuple[str, str]] = {
    "an unknown key": (
        IMAGE + "tgas = []",
        "imgpack.toml:3: image.web.tgas: there is no such key; did you mean tags?",
    ),
    "an underscore": (
        IMAGE + 'stop_signal = "INT"',
        "imgpack.toml:3: image.web.stop_signal: there is no such key; did you mean stop-signal?",
    ),
    "a place in a source": (
        '[image.web]\nlayers = [{source = "trees:/x"}]',
        "imgpack.toml:2: image.web.layers[0].source: it is a path alone, and the place in the "
        'image is dest; write source = "trees", dest = "/x"',
    ),
    "nothing like it": (
        IMAGE + "colour = 1",
        "imgpack.toml:3: image.web.colour: there is no such key; "
        "docs/project-file.md lists the keys of an image",
    ),
    "an unknown key of a table": (
        IMAGE + '[image.web.healthcheck]\ncmd = "true"\nintervall = "3s"',
        "imgpack.toml:5: image.web.healthcheck.intervall: there is no such key; "
        "did you mean healthcheck.interval?",
    ),
    "an unknown table": (
        "[images.web]",
        "imgpack.toml:1: images: there is no such table; did you mean image?",
    ),
    "an image that is no table": (
        "image.web = 1",
        "imgpack.toml:1: image.web: a table is expected, and not a number; write [image.NAME]",
    ),
    "a name that is none": (
        '[image."a/b"]',
        'imgpack.toml:1: image."a/b": no image can be called so; '
        "use letters, digits, dots and dashes",
    ),
    "no image": ("[variables]\nA = '1'", "imgpack.toml: there is no image in it; write one as "
                 "[image.NAME]"),
    "a wrong type": (
        IMAGE + "expose = true",
        "imgpack.toml:3: image.web.expose: text or a number, or a list of texts or numbers is "
        'expected, and not true or false; write it as expose = [8080, "53/udp"]',
    ),
    "a version that is a number": (
        IMAGE + "tags = [\n  'latest',\n  1.10,\n]",
        "imgpack.toml:5: image.web.tags[1]: text is expected, and not a number with a point; "
        'write it as tags = ["1.0", "latest"]',
    ),
    "a wrong type in a table": (
        IMAGE + "[image.web.env]\nA = '1'\nDEBUG = true",
        "imgpack.toml:5: image.web.env.DEBUG: text or a number is expected, and not true or "
        'false; write it as env = { PORT = 8080, PATH = "/opt/app:$${PATH}" }',
    ),
    "two spellings": (
        IMAGE + "tag = '1'\ntags = '2'",
        "imgpack.toml:3: image.web.tag: tag and tags are the same key; give one of them",
    ),
    "a layer without a source": (
        "[image.web]\nlayers = [\n  { dest = '/' },\n]",
        'imgpack.toml:3: image.web.layers[0]: it has no source; write source = "SRC"',
    ),
    "a key that no layer has": (
        "[image.web]\nlayers = [{ source = 'trees/web', destination = '/' }]",
        "imgpack.toml:2: image.web.layers[0].destination: there is no such key; did you mean dest?",
    ),
    "a variable that is not listed": (
        "variables.VERSION = '1'\n" + IMAGE + "tags = ['${VERSOIN}']",
        "imgpack.toml:4: image.web.tags[0]: '${VERSOIN}' is no variable under [variables]; "
        "did you mean VERSION?",
    ),
    "a variable of a shell": (
        IMAGE + "cmd = 'sh -c \"echo ${HOME}\"'",
        "imgpack.toml:3: image.web.cmd: '${HOME}' is no variable under [variables]; "
        "none is listed; $${ is a ${ that stays",
    ),
    "a variable that no end has": (
        IMAGE + "cmd = 'echo ${HOME'",
        "imgpack.toml:3: image.web.cmd: '${HOME' is no variable under [variables]; "
        "none is listed; $${ is a ${ that stays",
    ),
    "a default that is no text": (
        "[variables]\nA = true\n" + IMAGE,
        "imgpack.toml:2: variables.A: text is expected, and not true or false; "
        'write A = "default"',
    ),
    "a default with a variable": (
        "[variables]\nA = '1'\nB = '${A}'\n" + IMAGE,
        "imgpack.toml:3: variables.B: a default is taken as it stands; write it without ${",
    ),
    "a tag beside tags": (
        IMAGE + "tags = ['2']\nname = 'localhost:5000/x:1'",
        "imgpack.toml:4: image.web.name: localhost:5000/x:1 has a tag, and there are tags; "
        "take it off",
    ),
    "a name in a table that ends early": (
        IMAGE + "[image.web.labels]\n'a=b' = 'c'",
        "imgpack.toml:4: image.web.labels.\"a=b\": a name without = is expected, and not 'a=b'; "
        'write it as labels = { "org.example.team" = "shop" }',
    ),
    "what gets too long": (
        f"[variables]\nV = '{'x' * 40_000}'\n[image.web]\ncmd = '${{V}}${{V}}'",
        "imgpack.toml:4: image.web.cmd: it has more than 65536 characters; make it shorter",
    ),
    "a port that is none": (
        IMAGE + "expose = [80, 'http']",
        "imgpack.toml:3: image.web.expose[1] 'http' is not a port; write 80, 53/udp or 8000-8010",
    ),
    "a number that is too large": (
        IMAGE + "healthcheck = { cmd = 'true', retries = -1 }",
        "imgpack.toml:3: image.web.healthcheck.retries: -1 is not in the range "
        "0<=x<=2147483647; see imgpack build --help",
    ),
    "a number that no TOML has": (
        IMAGE + f"expose = [80, 0x{'f' * 6000}]",
        "imgpack.toml:3: image.web.expose[1]: it is a number of more than 64 bits; "
        "write a smaller one",
    ),
    "such a variable": (
        f"variables.A = 0x{'f' * 6000}\n" + IMAGE,
        "imgpack.toml:1: variables.A: it is a number of more than 64 bits; write a smaller one",
    ),
    "a format that is none": (
        IMAGE + "format = 'rar'",
        "imgpack.toml:3: image.web.format: 'rar' is not one of 'docker', 'oci'; "
        "see imgpack build --help",
    ),
    "a source that is not there": (
        "[image.web]\nlayers = [\n 'trees/web',\n 'tree/api:/x',\n]",
        "imgpack.toml:4: image.web.layers[1]: tree/api does not exist; "
        "name a directory, a file or a tar archive",
    ),
    "a name that is no reference": (
        IMAGE + "name = 'Shop/Web'",
        "imgpack.toml:3: image.web.name: invalid image name 'Shop/Web': invalid repository "
        "'Shop/Web'; use lower-case letters, digits and single . _ - or / between them",
    ),
    "a base of its own": (
        IMAGE + "from-image = 'api'\n[image.api]\nfrom-image = 'web'",
        "imgpack.toml:5: image.api.from-image: web would be built on itself; "
        "build one of them on something else",
    ),
    "a base that is not there": (
        IMAGE + "from-image = 'wbe'",
        "imgpack.toml:3: image.web.from-image: there is no image wbe in this file; "
        "did you mean web?",
    ),
    "a base that is a stream": (
        IMAGE + "from-image = 'api'\n[image.api]\noutput = '-'",
        "imgpack.toml:3: image.web.from-image: the output of api is a stream; "
        "name an archive for it",
    ),
    "two bases": (
        IMAGE + "from-image = 'api'\nfrom = 'scratch'\n[image.api]",
        "imgpack.toml:3: image.web.from-image: from names a base, too; an image has one base",
    ),
    "an output of two": (
        IMAGE + "output = 'x.tar'\n[image.api]\noutput = './x.tar'",
        "imgpack.toml:5: image.api.output: ./x.tar is the output of web, too; "
        "name another archive; a layout, with a slash at its end, takes several images",
    ),
    "a NUL": (
        IMAGE + 'cmd = "a\\u0000b"',
        "imgpack.toml:3: image.web.cmd: it has a NUL in it; write it without",
    ),
    "options that contradict each other": (
        IMAGE + "ignore-file = 'x'\nno-ignore-file = true",
        "imgpack.toml:3: image.web.ignore-file and no-ignore-file exclude each other; "
        "see imgpack build --help",
    ),
    "what is for a base": (
        IMAGE + "unset-env = ['A']",
        "imgpack.toml:3: image.web.unset-env is about a base image, and there is none; "
        "add --from BASE",
    ),
    "no TOML": (
        IMAGE + "tags = [",
        "imgpack.toml:3: it is no TOML: Invalid value; see docs/project-file.md for what it holds",
    ),
    "a key twice": (
        IMAGE + "layers = []\n",
        "imgpack.toml:3: it is no TOML: Cannot overwrite a value; "
        "a key and a table are there once",
    ),
    "a table twice": (
        IMAGE + "[image.web]",
        "imgpack.toml:3: it is no TOML: Cannot declare ('image', 'web') twice; "
        "a key and a table are there once",
    ),
    "what compose calls otherwise": (
        IMAGE + "ports = [80]",
        "imgpack.toml:3: image.web.ports: there is no such key; write expose = [8080]",
    ),
    "what bake calls otherwise": (
        IMAGE + "args = { A = 1 }",
        "imgpack.toml:3: image.web.args: there is no such key; "
        "nothing is run in a build: run the steps before",
    ),
    "what is of the machine": (
        IMAGE + "cache-dir = 'x'",
        "imgpack.toml:3: image.web.cache-dir: there is no such key; "
        "it is of the run, and an option: --cache-dir",
    ),
    "a destination of other names": (
        "[image.web]\nlayers = [{ source = 'trees/web', to = '/x' }]",
        'imgpack.toml:2: image.web.layers[0].to: there is no such key; write dest = "/DEST"',
    ),
    "a level that is none": (
        IMAGE + "compression = 'gzip:99'",
        "imgpack.toml:3: image.web.compression gzip:99: gzip has no level 99; levels are 1 to 12",
    ),
    "an annotation of an index that is not made": (
        IMAGE + "annotations = { 'index:team' = 'shop' }",
        "imgpack.toml:3: image.web.annotations: there is no index to annotate with team: the image "
        "is of one platform; write team for its manifest",
    ),
    "a platform of a table that is none": (
        "[image.web]\n[image.web.platforms]\n'linux/amd65' = 'trees/web'",
        "imgpack.toml:3: image.web.platforms.\"linux/amd65\": no runtime knows the platform "
        "linux/amd65; write it as Go does, as linux/arm64; --platform-unchecked takes any",
    ),
    "a source of a platform that is not there": (
        "[image.web]\n[image.web.platforms]\n'linux/amd64' = 'trees/web'\n"
        "'linux/arm64' = 'nothing'",
        "imgpack.toml:4: image.web.platforms.\"linux/arm64\": nothing does not exist; "
        "name a directory, a file or a tar archive; --from nothing builds on the image",
    ),
    "lists in lists": (
        "[image.web]\nlayers = " + "[" * 10**5,
        "imgpack.toml:2: it is nested too deeply; make it flatter",
    ),
}  # fmt: skip

CODES = {
    "a port that is none": 7,
    "a source that is not there": 3,
    "a name that is no reference": 6,
    "a level that is none": 7,
    "a platform of a table that is none": 7,
    "an annotation of an index that is not made": 7,
    "a source of a platform that is not there": 3,
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_is_told_with_its_place(shop: Shop, case: str) -> None:
    """File, line, key, and what is right."""
    text, expected = CASES[case]
    assert shop.error(text, code=CODES.get(case, 2)) == expected


def test_what_is_of_the_run_is_an_option_as_it_is_said() -> None:
    """Of build, so that the answer to a key works; and no key is answered as another's."""
    spelled = {name for param in build.params for name in param.opts}
    options = {f"--{name.replace('_', '-')}" for name in (MACHINE | PUSH) - {"as_json"}}
    assert options <= spelled
    assert not (keys.KEYS.keys() & KEYS.keys() | keys.LAYER_KEYS.keys() & LAYER_KEYS.keys())


def test_a_flag_that_is_wrong_is_not_the_files(shop: Shop) -> None:
    """It is told as without a file."""
    shop.write(IMAGE)
    error = shop.imgpack("build", "--expose", "http").failed(7)
    assert error == "imgpack: error: --expose 'http' is not a port; write 80, 53/udp or 8000-8010"


WARNED = """\
[image.web]
exclude = ["*.none"]
layers = [
  { source = "trees/web", exclude = ["*.first"] },
  { source = "trees/lib", exclude = ["*.second"] },
]
chmod = "0644"
format = "oci"
healthcheck.cmd = "true"
"""


def warnings(shop: Shop, *arguments: str) -> list[str]:
    """What a build warns of, without what to do about it."""
    done = shop.imgpack("build", "--no-cache", *arguments)
    done.ok()
    lines = [line.removeprefix("imgpack: warning: ") for line in done.err.splitlines()]
    return sorted(line.partition("; ")[0].partition(": it is of")[0] for line in lines)


def test_a_warning_is_told_with_its_place(shop: Shop) -> None:
    """Where the file has what it names, of the image or of one layer."""
    shop.write(WARNED)
    assert warnings(shop) == [
        "imgpack.toml:2: image.web.exclude[0] '*.none' decides nothing",
        "imgpack.toml:4: image.web.layers[0].exclude[0] '*.first' decides nothing",
        "imgpack.toml:5: image.web.layers[1].exclude[0] '*.second' decides nothing",
        "imgpack.toml:7: image.web.chmod 0644 takes the x of directories as well, "
        "and nobody but root enters them",
        "imgpack.toml:8: image.web.format: podman ignores the health check of an OCI image",
    ]


def test_a_warning_of_a_flag_is_not_the_files(shop: Shop) -> None:
    """Though what the file says beside it is."""
    shop.write(WARNED)
    told = warnings(shop, "--format", "oci", "--exclude", "*.flag")
    assert "podman ignores the health check of an OCI image" in told
    assert "--exclude '*.flag' decides nothing" in told
    assert "imgpack.toml:2: image.web.exclude[0] '*.none' decides nothing" in told


def test_what_to_do_names_the_keys_that_are_there(shop: Shop) -> None:
    """An option that the file does not have is one still."""
    error = shop.error(IMAGE + "compression = 'zstd'", "--no-cache", code=9)
    assert error == (
        "imgpack.toml:3: image.web.compression zstd: the Docker format has no media type for "
        "zstd layers; add --format oci, or use compression gzip"
    )


def test_what_is_not_utf8_is_told_with_its_line(shop: Shop) -> None:
    """And a Dockerfile is told to be one."""
    (shop.directory / "imgpack.toml").write_bytes(b"\n" + IMAGE.encode() + b"cmd = '\xff'")
    assert "imgpack.toml:4: it is not UTF-8; see docs" in shop.imgpack("build").failed(2)
    shop.write("FROM debian\nCOPY . /\n", "Dockerfile")
    error = shop.imgpack("build", "-f", "Dockerfile", ".").failed(2)
    assert error == (
        "imgpack: error: there is no Dockerfile in a build; each SRC is a directory that becomes "
        "a layer, and --file names a file like imgpack.toml"
    )


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "large"])
def test_a_file_that_cannot_be_read_is_told(shop: Shop, kind: str) -> None:
    """And nothing waits for a pipe."""
    path = shop.directory / "imgpack.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        path.write_text(IMAGE.ljust(1 << 20, "#"))
        shop.imgpack("build", "--print").ok()
        path.write_text(IMAGE.ljust((1 << 20) + 1, "#"))
    error = shop.imgpack("build", "-f", "imgpack.toml").failed(2 if kind == "large" else 3)
    assert error.startswith("imgpack: error: imgpack.toml")


BOMBS = {
    "dots": "a" + ".a" * 200_000 + " = 1",
    "tables": "\n".join(f"[image.a{n}]" for n in range(20_000)),
    "expansions": "variables.V = '"
    + "x" * 60_000
    + "'\n[image.web]\ncmd = '"
    + "${V}" * 100_000
    + "'",
    "a long key": f"[image.web]\n{'x' * 900_000} = 1",
    "a long name": f"[image.{'x' * 900_000}]",
    "many keys": "[image.web]\n" + "\n".join(f"x{n} = 1" for n in range(60_000)),
    "a long list": "[image.web]\nexpose = [" + "1," * 400_000 + "]",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_hostile_file_ends_soon_and_in_one_line(shop: Shop, bomb: str) -> None:
    """Whatever it has a hundred thousand of."""
    shop.write(BOMBS[bomb])
    done = shop.imgpack("build")
    assert done.code != 0
    assert len(done.failed(done.code)) < 1000


def test_what_variables_come_to_is_bounded_over_the_whole_file(shop: Shop) -> None:
    """A text of each that is short enough is not, when there are a hundred thousand."""
    uses = ", ".join(["'${V}'"] * 100)
    error = shop.error(f"variables.V = '{'x' * 60_000}'\n{IMAGE}tags = [{uses}]")
    assert error == (
        "imgpack.toml:4: image.web.tags[69]: the variables of the file come to more than "
        "4194304 characters; use shorter ones"
    )


WHOLE = Path(__file__).with_name("whole.toml").read_text("utf-8")
PIECES = ["[", "]", "=", '"', "'", "\n", ".", "#", "${", "}", "{", "1", "true", "-", ",",
          "\\", "ä", "\0", "[image.web]", "layers", "from-image = 'web'", "1979-05-27",
          "expose = []"]  # fmt: skip


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), st.sampled_from(PIECES)),
        min_size=1,
        max_size=3,
    )
)
def test_a_file_with_slips_is_one_line_or_builds(
    shop: Shop, slips: list[tuple[int, int, str]]
) -> None:
    """Whatever was deleted from it and typed into it."""
    text = WHOLE
    for at, length, piece in slips:
        text = text[:at] + piece + text[at + length :]
    shop.write(text)
    done = shop.imgpack("build", "--dry-run")
    if done.code:
        line = done.failed(done.code)
        assert line.startswith("imgpack: error: imgpack.toml"), line
        assert done.code in (2, 3, 5, 6, 7, 8, 9, 11, 16, 20), line


@pytest.mark.parametrize("command", ["load", "inspect", "digest", "flatten", "manifest"])
def test_an_image_of_the_file_is_not_asked_of_docker_hub(shop: Shop, command: str) -> None:
    """There it is somebody else's; its archive is named."""
    shop.write(IMAGE)
    assert shop.imgpack(command, "web").failed(2) == (
        "imgpack: error: web is an image of imgpack.toml, which build writes to web.tar; write "
        f"imgpack {command} web.tar, or docker.io/library/web for Docker Hub's"
    )


def test_an_image_of_the_file_is_what_lies_under_its_name(shop: Shop) -> None:
    """A layout, for one; and what is no image of it is what it was."""
    shop.write(IMAGE)
    shop.imgpack("build", "-o", "web/").ok()
    assert b"web:latest" in shop.imgpack("inspect", "web").ok()
    assert "./other" in shop.imgpack("inspect", "./other").failed(3)


@pytest.mark.parametrize("command", ["build", "push"])
def test_a_file_above_is_named(shop: Shop, command: str) -> None:
    """For who went into a directory and forgot it."""
    shop.write(IMAGE)
    shop.imgpack.directory = shop.directory / "trees"
    assert "; --file ../imgpack.toml is there" in shop.imgpack(command).failed(2)
