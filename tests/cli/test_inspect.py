"""``imgpack inspect``, ``manifest`` and ``blob`` on archives and layouts."""

import gzip
import json
import os
import pty
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from imgpack.api import (
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Named,
    Platform,
    Ports,
    Runtime,
    is_path,
)
from imgpack.cli.output.display import one_line, table
from imgpack.errors import ArchiveError
from imgpack.events import human_size
from imgpack.image.image import walk
from imgpack.spec.config import History, build_config
from imgpack.spec.manifest import build_manifest
from imgpack.spec.schema1.payload import build_schema1
from imgpack.spec.schema1.signature import SigningKey, verify
from tests.cli_runner import Imgpack, InProcess
from tests.store.samples import (
    LAYERS,
    NAMES,
    Memory,
    make_config,
    make_image,
    make_multi,
    make_nested,
    make_tar,
    tar_of,
    write_all,
    write_image,
)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image that lies in ``a.tar`` and in ``layout/``."""
    source = Memory()
    image = make_image(source)
    write_image(tmp_path / "a.tar", image)
    write_image(f"{tmp_path}/layout/", image)
    return image


def test_people_see_names_digests_sizes_layers_and_history(
    image: Image, imgpack_here: InProcess
) -> None:
    """The same for an archive and a layout."""
    out = imgpack_here("inspect", "a.tar").ok().decode()
    assert out.startswith("foo:1, localhost:5000/bar/foo:v2\n")
    for shown in (
        str(image.manifest.descriptor.digest),
        str(image.config.digest),
        "linux/amd64",
        "2020-01-02T03:04:05Z",
        "in 2 layers",
        str(image.manifest.layers[1].digest),
        image.config.diff_ids[1].hex[:12],
        "diff.tar.gzip",
        "layer 1",
    ):
        assert shown in out
    assert imgpack_here("inspect", "layout/").ok().decode() == out


def test_programs_get_json(image: Image, imgpack_here: InProcess) -> None:
    """Everything, with sizes in bytes and digests in full."""
    document = json.loads(imgpack_here("inspect", "--json", "--verify", "a.tar").ok())
    assert document["verified"] is True
    (one,) = document["images"]
    assert one["names"] == [str(name) for name in NAMES]
    assert one["manifest"] == image.manifest.descriptor.as_json()
    assert one["config"] == image.manifest.config.as_json()
    assert one["layers"] == [
        layer.as_json() | {"diff_id": str(diff_id)}
        for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True)
    ]
    assert one["size"] == sum(layer.size for layer in image.manifest.layers)
    assert [entry["created_by"] for entry in one["history"]] == ["layer 0", "layer 1"]


def test_the_digests_that_people_see_are_those_that_blob_takes(
    image: Image, imgpack_here: InProcess
) -> None:
    """In full, on lines that are not much wider than one."""
    lines = imgpack_here("inspect", "a.tar").ok().decode().splitlines()
    (shown,) = (
        word for word in " ".join(lines).split() if word == str(image.manifest.layers[1].digest)
    )
    raw = b"".join(image.source.read_blob(image.manifest.layers[1]))
    assert imgpack_here("blob", f"a.tar@{shown}").ok() == raw
    assert max(map(len, lines)) <= 125


def test_one_long_cell_does_not_widen_a_thousand_rows() -> None:
    """Each row is padded to the longest, so the longest is cut off."""
    lines = table([("a" * 100_000, "b"), *[("a", "b")] * 1000])
    assert sum(map(len, lines)) < 200_000
    assert lines[0].endswith("…  b")


def test_json_of_deep_documents_is_not_much_longer_than_they_are(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Indentation would make a line of every number, as wide as it lies deep."""
    deep = b'{"x":' + b"[" * 50 + b"0," * 700_000 + b"0" + b"]" * 50 + b"}"
    raw = make_config([]).raw.replace(b'"config":{}', b'"config":' + deep)
    items = json.dumps([{"Config": "c", "RepoTags": None, "Layers": []}]).encode()
    make_tar(tmp_path / "x.tar", {"manifest.json": items, "c": raw})
    out = imgpack_here("inspect", "--json", "x.tar").ok()
    assert len(out) < 3 * len(raw)
    assert json.loads(out)["images"][0]["runtime"] == json.loads(deep)


def test_verify_reads_every_layer_and_says_so(
    image: Image, imgpack_here: InProcess, tmp_path: Path
) -> None:
    """A changed byte in a layer is found with --verify, and not without."""
    assert b"verified: 2 layers" in imgpack_here("inspect", "--verify", "a.tar").ok()
    raw = bytearray((tmp_path / "a.tar").read_bytes())
    raw[-1500] ^= 1
    (tmp_path / "a.tar").write_bytes(raw)
    imgpack_here("inspect", "a.tar").ok()
    line = imgpack_here("inspect", "--verify", "a.tar").failed(12)
    assert str(image.manifest.layers[1].digest) in line
    assert "a.tar" in line


def test_configurations_and_empty_layers_are_shown(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Env, labels and ports as people write them; an empty layer has no size."""
    source = Memory()
    config = build_config(
        Platform(),
        [],
        [History(created_by="ENTRYPOINT\x1b[31m", empty_layer=True)],
        created="2020-01-02T03:04:05Z",
        author="me <me@example.org>",
        runtime=Runtime(
            env=("A=1", "B=2"),
            exposed_ports=(Ports(80, 80),),
            labels=(("k", "v\x1b]0;evil\x07"),),
            entrypoint=("/bin/sh", "-c"),
        ),
    )
    source.add(config.raw)
    kind = make_image(source, docker=False).manifest
    manifest = build_manifest(
        Descriptor(kind.config.media_type, config.digest, len(config.raw)), [], kind.media_type
    )
    write_image(tmp_path / "a.tar", Image(manifest, config, source))
    out = imgpack_here("inspect", "a.tar").ok().decode()
    for shown in ("me@example.org", "A=1", "B=2", "80/tcp", '["/bin/sh", "-c"]', "in 0 layers"):
        assert shown in out
    assert "\x1b" not in out
    assert r"\x1b" in out


def test_every_document_is_printed_byte_for_byte(image: Image, imgpack_here: InProcess) -> None:
    """No newline is added."""
    assert imgpack_here("manifest", "a.tar").ok() == image.manifest.raw
    assert imgpack_here("manifest", "layout/").ok() == image.manifest.raw
    assert imgpack_here("manifest", "--config", "a.tar").ok() == image.config.raw
    payload = build_schema1(image.manifest, image.config, "library/foo", "1").payload
    assert imgpack_here("manifest", "--schema1", "--unsigned", "a.tar").ok() == payload
    assert imgpack_here("manifest", "--schema1", "--unsigned", "layout/").ok() == payload


SEVERAL = ("inspect", "manifest", "digest", "flatten -o x.tar", "copy")


@pytest.mark.parametrize("command", SEVERAL)
@pytest.mark.parametrize("place", ["a.tar", "./lay", "lay/"])
def test_one_of_several_is_path_and_name(
    image: Image, imgpack_here: InProcess, command: str, place: str
) -> None:
    """As --image says it; and what is not there is told with what is."""
    for name, tree in ("srv:1", "one"), ("localhost:5000/x:2", "two"):
        path = imgpack_here.directory / tree
        path.mkdir()
        (path / name.partition(":")[0].replace("/", "-")).write_text(name)
        imgpack_here("build", tree, "-t", name, "-o", "lay/").ok()
    (imgpack_here.directory / "a.tar").unlink()
    imgpack_here("copy", "lay/", "a.tar").ok()
    words = [*command.split(), *(["y.tar"] if command == "copy" else [])]
    for name in "srv:1", "localhost:5000/x:2":
        at = words[0], f"{place}:{name}", *words[1:]
        if command in ("inspect", "manifest", "digest"):
            said = imgpack_here(words[0], place, "--image", name).ok()
            assert imgpack_here(*at).ok() == said
        else:
            assert name in imgpack_here(*at).ok().decode()
    at = words[0], f"{place}:none:1", *words[1:]
    line = imgpack_here(*at).failed(20)
    assert "holds no image 'none:1'; choose one with --image" in line
    both = imgpack_here(*at, "--image", "srv:1").failed(2)
    assert f"{place}:none:1 names an image, and --image, too; name it once" in both


def test_schema1_can_be_for_another_of_the_names(image: Image, imgpack_here: InProcess) -> None:
    """The name and tag are in the payload."""
    other = build_schema1(image.manifest, image.config, "bar/foo", "v2").payload
    command = ("manifest", "--schema1", "--unsigned", "a.tar")
    assert imgpack_here(*command, "--image", "localhost:5000/bar/foo:v2").ok() == other
    assert imgpack_here(*command, "--name", "localhost:5000/bar/foo:v2").ok() == other


def test_schema1_is_signed_by_a_new_key_or_the_given_one(
    image: Image, imgpack_here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature verifies, and its time is SOURCE_DATE_EPOCH."""
    import base64

    from cryptography.hazmat.primitives import serialization

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    payload = build_schema1(image.manifest, image.config, "library/foo", "1").payload
    signed = imgpack_here("manifest", "--schema1", "a.tar").ok()
    assert verify(signed).payload == payload
    (signature,) = json.loads(signed)["signatures"]
    protected = json.loads(base64.urlsafe_b64decode(signature["protected"] + "=="))
    assert protected["time"] == "1970-01-02T00:00:00Z"
    key = SigningKey.generate()
    pem = key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "key.pem").write_bytes(pem)
    signed = imgpack_here("manifest", "--schema1", "--signing-key", "key.pem", "a.tar").ok()
    assert json.loads(signed)["signatures"][0]["header"]["jwk"]["kid"] == key.key_id


def test_keys_and_times_that_are_none_are_refused(
    image: Image, imgpack_here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names the file or the variable."""
    command = ("manifest", "--schema1", "a.tar")
    assert "no.pem" in imgpack_here(*command, "--signing-key", "no.pem").failed(13)
    (tmp_path / "bad.pem").write_bytes(b"not a key")
    assert "bad.pem" in imgpack_here(*command, "--signing-key", "bad.pem").failed(13)
    os.mkfifo(tmp_path / "pipe.pem")  # which nobody waits for
    assert "not a regular file" in imgpack_here(*command, "--signing-key", "pipe.pem").failed(13)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "SOURCE_DATE_EPOCH" in imgpack_here(*command).failed(7)


@pytest.mark.parametrize(
    "options",
    [
        ("--schema1", "--config"),
        ("--unsigned",),
        ("--name", "x"),
        ("--schema1", "--unsigned", "--signing-key", "x"),
    ],
)
def test_options_that_contradict_each_other_are_usage_errors(
    image: Image, imgpack_here: InProcess, options: tuple[str, ...]
) -> None:
    """Exit code 2."""
    imgpack_here("manifest", "a.tar", *options).failed(2)


def test_a_nameless_image_has_no_schema1_without_a_name(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """The hint says how to give one."""
    write_image(tmp_path / "n.tar", make_image(Memory()), ())
    assert "--name" in imgpack_here("manifest", "--schema1", "n.tar").failed(9)
    imgpack_here("manifest", "--schema1", "n.tar", "--name", "x:1").ok()
    assert b"(no name)" in imgpack_here("inspect", "n.tar").ok()


def test_a_schema1_that_contradicts_its_archive_is_not_signed(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Nobody signs other layers than those of the image."""
    source = Memory()
    image = make_image(source)
    evil = make_image(source, [tar_of({"evil": b"1"}), LAYERS[0]])
    raw = write_image(tmp_path / "a.tar", image).read_bytes()
    good = build_schema1(image.manifest, image.config, "library/foo", "1").payload
    bad = build_schema1(evil.manifest, evil.config, "library/foo", "1").payload
    assert len(good) == len(bad)
    (tmp_path / "a.tar").write_bytes(raw.replace(good, bad))
    assert "ambiguous" in imgpack_here("manifest", "--schema1", "a.tar").failed(11)


def test_a_platform_is_chosen_out_of_several(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Without a choice the index is printed; what needs one image asks for it."""
    image = make_multi(Memory(), "linux/amd64", "linux/arm64/v8")
    write_image(tmp_path / "m.tar", image)
    assert imgpack_here("manifest", "m.tar").ok() == image.index.raw
    chosen = imgpack_here("manifest", "m.tar", "--platform", "linux/arm64").ok()
    assert chosen == image.members[1].manifest.raw
    assert "linux/arm64/v8" in imgpack_here("manifest", "m.tar", "--config").failed(25)
    line = imgpack_here("manifest", "m.tar", "--platform", "linux/s390x").failed(20)
    assert "linux/amd64, linux/arm64/v8" in line
    out = imgpack_here("inspect", "m.tar").ok().decode()
    assert str(image.index.descriptor.digest) in out
    assert "linux/arm64/v8" in out
    document = json.loads(imgpack_here("inspect", "--json", "m.tar").ok())
    assert len(document["images"][0]["images"]) == 2


def test_what_is_no_image_is_shown_as_what_it_is(tmp_path: Path, imgpack_here: InProcess) -> None:
    """An index in an index with its images, and a chart beside it, to people and to programs."""
    source = Memory()
    outer = make_nested(source)
    inner, chart = outer.members
    assert isinstance(inner, ImageIndex)
    assert isinstance(chart, Artifact)
    write_image(tmp_path / "m.tar", outer)
    out = imgpack_here("inspect", "--verify", "m.tar").ok().decode()
    for one in walk(outer):
        assert str(one.document.descriptor.digest) in out
    for heading in ("index", "linux/amd64", "linux/arm64", "artifact"):
        assert f"\n\n{heading}\n" in out
    assert f"Artifact     {chart.type}" in out

    (one_json,) = json.loads(imgpack_here("inspect", "--json", "m.tar").ok())["images"]
    nested, artifact = one_json["images"]
    assert nested["index"]["digest"] == str(inner.index.descriptor.digest)
    assert [each["platform"]["architecture"] for each in nested["images"]] == ["amd64", "arm64"]
    assert artifact["artifactType"] == chart.type
    assert artifact["layers"] == [layer.as_json() for layer in chart.manifest.layers]

    write_image(tmp_path / "chart.tar", chart)
    assert imgpack_here("manifest", "chart.tar").ok() == chart.manifest.raw
    assert chart.type in imgpack_here("manifest", "chart.tar", "--config").failed(9)
    chosen = imgpack_here("manifest", "m.tar", "--platform", "linux/arm64").ok()
    assert chosen == inner.members[1].document.raw


def test_any_blob_is_streamed_and_verified(
    image: Image, imgpack_here: InProcess, tmp_path: Path
) -> None:
    """A layer, the configuration, the manifest; from an archive or a layout, to a file too."""
    layer = image.manifest.layers[0]
    raw = b"".join(image.source.read_blob(layer))
    assert imgpack_here("blob", f"a.tar@{layer.digest}").ok() == raw
    assert imgpack_here("blob", f"layout/@{layer.digest}").ok() == raw
    assert imgpack_here("blob", f"a.tar@{image.config.digest}").ok() == image.config.raw
    assert imgpack_here("blob", f"a.tar@{layer.digest}", "-o", "layer").ok() == b""
    assert (tmp_path / "layer").read_bytes() == raw


def test_a_blob_goes_through_a_descriptor(imgpack: Imgpack, image: Image, tmp_path: Path) -> None:
    """The file behind it is not replaced."""
    layer = image.manifest.layers[0]
    (tmp_path / "log").write_bytes(b"before")
    imgpack(
        "blob", f"a.tar@{layer.digest}", "-o", "/dev/stdout",
        prefix=("sh", "-c", 'exec "$@" >>log', "sh"),
    ).ok()  # fmt: skip

    assert (tmp_path / "log").read_bytes() == b"before" + b"".join(image.source.read_blob(layer))


def test_a_blob_is_not_written_to_a_terminal(image: Image, imgpack: Imgpack) -> None:
    """As ``build -o -`` refuses it."""
    main, side = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "imgpack", "blob", f"./a.tar@{image.manifest.layers[0].digest}"],
            stdout=side, stderr=subprocess.PIPE, cwd=imgpack.directory, check=False, timeout=30,
        )  # fmt: skip
    finally:
        os.close(main)
        os.close(side)

    assert done.returncode == 2
    assert b"a blob is no text for a terminal" in done.stderr


def test_an_archive_is_read_from_standard_input(
    image: Image, imgpack: Imgpack, tmp_path: Path
) -> None:
    """A pipe, compressed or not; nothing stays behind in the directory for scratch files."""
    raw = (tmp_path / "a.tar").read_bytes()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for data in (raw, gzip.compress(raw)):
        env = {"TMPDIR": str(scratch)}
        shown = imgpack("inspect", "--verify", "-", stdin=data, env=env).ok()
        assert str(image.manifest.descriptor.digest).encode() in shown
        imgpack("copy", "-", "copy.tar", stdin=data, env=env).ok()
        assert (tmp_path / "copy.tar").read_bytes() == raw
        assert list(scratch.iterdir()) == []
    line = imgpack("inspect", "-", stdin=b"").failed(ArchiveError.exit_code)
    assert "imgpack: error: standard input: it is empty" in line


def test_a_damaged_blob_is_an_error_and_no_file(
    image: Image, imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Nothing of it is kept."""
    raw = bytearray((tmp_path / "a.tar").read_bytes())
    raw[-1500] ^= 1
    (tmp_path / "a.tar").write_bytes(raw)
    digest = image.manifest.layers[1].digest
    assert str(digest) in imgpack_here("blob", f"a.tar@{digest}", "-o", "out").failed(12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "layout"]


def test_a_blob_that_is_not_there_and_a_digest_that_is_none(
    image: Image, imgpack_here: InProcess
) -> None:
    """Each has its own exit code."""
    missing = Digest.of(b"missing")
    assert str(missing) in imgpack_here("blob", f"a.tar@{missing}").failed(20)
    imgpack_here("blob", "a.tar@sha256:xyz").failed(6)
    imgpack_here("blob", "a.tar").failed(2)


def test_what_is_no_archive_is_one_line(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Missing, no image, or no such name."""
    assert "gone.tar does not exist" in imgpack_here("inspect", "gone.tar").failed(3)
    assert "./gone does not exist" in imgpack_here("inspect", "./gone").failed(3)
    (tmp_path / "text").write_text("x" * 1000)
    assert "not a tar archive" in imgpack_here("inspect", "text").failed(11)
    assert "no such file" in imgpack_here("inspect", "Not/A/Name").failed(6)


def test_a_closed_pipe_ends_quietly(tmp_path: Path, imgpack: Imgpack) -> None:
    """``imgpack blob … | head``."""
    image = make_image(Memory(), [tar_of({"big": b"x" * 5_000_000})], compress=False)
    write_image(tmp_path / "a.tar", image)
    with imgpack.start("blob", f"a.tar@{image.manifest.layers[0].digest}") as process:
        assert process.stdout and process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("x.tar", True),
        ("./x", True),
        ("../x", True),
        ("/x", True),
        ("x/", True),
        ("debian", False),
        ("debian:12", False),
        ("localhost:5000/x", False),
        ("quay.io/x/y@sha256:" + "0" * 64, False),
    ],
)
def test_paths_and_references_are_told_apart_by_form(text: str, path: bool) -> None:
    """No such file exists here; a file of that name would make any of them a path."""
    assert is_path(text) is path


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_are_short(size: int, shown: str) -> None:
    """Binary units."""
    assert human_size(size) == shown


def test_control_characters_never_reach_the_terminal() -> None:
    """Nor do characters that turn the direction of the text."""
    assert one_line("a\nb\x1b[1m\x07\u202e") == "a b\\x1b[1m\\x07\\u202e"


def test_an_error_quotes_no_control_sequence(tmp_path: Path, imgpack_here: InProcess) -> None:
    """A layer's name in an archive is the archive's choice."""
    items = json.dumps([{"Config": "c", "Layers": ["\x1b[2Jevil"]}]).encode()
    config = make_image(Memory(), [LAYERS[0]]).config.raw
    make_tar(tmp_path / "x.tar", {"manifest.json": items, "c": config, "\x1b[2Jevil": b"evil"})
    line = imgpack_here("inspect", "x.tar").failed(12)
    assert "\x1b" not in line
    assert "evil" in line


def test_the_beginning_of_a_digest_is_enough_where_only_one_has_it(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """For blobs, and for ``--image`` the manifest's and the image ID's."""
    images = [make_image(Memory(), [tar_of({"file": text})]) for text in (b"one", b"two")]
    write_all(tmp_path / "a.tar", *(Named(one, NAMES[i : i + 1]) for i, one in enumerate(images)))
    for image in images:
        for digest, raw in (
            (image.config.digest, image.config.raw),
            (image.manifest.descriptor.digest, image.manifest.raw),
        ):
            short = str(digest)[:19]
            assert imgpack_here("blob", f"a.tar@{short}").ok() == raw
            chosen = imgpack_here("manifest", "a.tar", "--image", short).ok()
            assert chosen == image.manifest.raw
            out = imgpack_here("inspect", "a.tar", "--json", "--image", short).ok()
            assert str(image.manifest.descriptor.digest).encode() in out
    absent = "sha256:000000000000"
    assert f"has no blob {absent}" in imgpack_here("blob", f"a.tar@{absent}").failed(20)
    assert f"no image '{absent}'" in imgpack_here("inspect", "a.tar", "--image", absent).failed(20)


def test_the_beginning_of_several_digests_lists_them(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Seventeen blobs have one first digit in common at least."""
    image = make_image(Memory(), [tar_of({"file": bytes([n])}) for n in range(17)])
    write_image(tmp_path / "a.tar", image)
    firsts = Counter(layer.digest.hex[0] for layer in image.manifest.layers)
    first = firsts.most_common(1)[0][0]
    problem = imgpack_here("blob", f"a.tar@sha256:{first}").failed(25)
    assert f"blobs sha256:{first}…; say more of it: sha256:{first}" in problem


@pytest.mark.parametrize("place", ["a.tar", "host.example/app"])
def test_what_is_no_digest_is_told_in_one_line(
    imgpack_here: InProcess, tmp_path: Path, place: str
) -> None:
    """As it was written; a registry takes no beginning of one."""
    write_image(tmp_path / "a.tar", make_image(Memory()))
    problem = imgpack_here("blob", f"{place}@abc").failed(6)
    assert "invalid digest 'abc'; a digest is sha256: and 64" in problem
    if place != "a.tar":
        problem = imgpack_here("blob", f"{place}@sha256:1a2b").failed(6)
        assert "invalid digest 'sha256:1a2b'; a digest is sha256: and 64" in problem
