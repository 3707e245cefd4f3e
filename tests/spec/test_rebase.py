"""A configuration on another base: what comes of three documents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Digest, ImageConfig
from imgpack.errors import DocumentError
from imgpack.spec.json import decode, encode
from imgpack.spec.manifest import BASE_DIGEST, BASE_NAME
from imgpack.spec.merge.rebase import rebase_config

RECORDED = {BASE_NAME: "new:1", BASE_DIGEST: "sha256:new"}


def document(
    config: dict[str, Any], layers: tuple[str, ...] = (), history: Any = None, **more: Any
) -> ImageConfig:
    """A configuration with the layers that some letters stand for, an entry for each."""
    if history is None:
        history = [{"created_by": f"layer {layer}"} for layer in layers]
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(layer.encode())) for layer in layers]}
    own = {"architecture": "amd64", "os": "linux", "config": config}
    return ImageConfig.parse(encode(own | {"rootfs": rootfs, "history": history} | more))


def merged(own: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The ``config`` of an image on its new base."""
    return dict(rebase_config(document(own), document(old), document(new), RECORDED).config.config)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # the image's, the old base's, the new base's: the result
    "a variable of the base is the new base's": (
        {"Env": ["PATH=/a", "V=1", "MINE=x"]},
        {"Env": ["PATH=/a", "V=1"]},
        {"Env": ["V=2", "PATH=/b", "NEW=n"]},
        {"Env": ["V=2", "PATH=/b", "NEW=n", "MINE=x"]},
    ),
    "a variable that the image changed is its own": (
        {"Env": ["PATH=/a:/mine"]},
        {"Env": ["PATH=/a"]},
        {"Env": ["PATH=/b"]},
        {"Env": ["PATH=/a:/mine"]},
    ),
    "a variable that the image took away stays away": (
        {"Env": ["A=1"]},
        {"Env": ["A=1", "B=1"]},
        {"Env": ["B=2", "A=1"]},
        {"Env": ["A=1"]},
    ),
    "labels, ports and volumes one by one": (
        {"Labels": {"a": "1", "m": ""}, "ExposedPorts": {"1/tcp": {}}, "Volumes": {"/m": {}}},
        {"Labels": {"a": "1"}, "ExposedPorts": {"1/tcp": {}}},
        {"Labels": {"a": "2"}, "ExposedPorts": {"2/tcp": {}}, "Volumes": None},
        {
            "Labels": {"a": "2", "m": ""},
            "ExposedPorts": {"2/tcp": {}},
            "Volumes": {"/m": {}},
        },
    ),
    "a port that the image took away stays away": (
        {"ExposedPorts": {}},
        {"ExposedPorts": {"1/tcp": {}}},
        {"ExposedPorts": {"1/tcp": {}}},
        {"ExposedPorts": {}},
    ),
    "everything else as a whole": (
        {"User": "app", "WorkingDir": "/old", "StopSignal": "INT", "Unknown": 1},
        {"User": "", "WorkingDir": "/old", "StopSignal": "INT", "Unknown": 1},
        {"User": "other", "WorkingDir": "/new", "Unknown": 2},
        {"User": "app", "WorkingDir": "/new", "Unknown": 2},
    ),
    "the image's entrypoint keeps its cmd, which the base had as well": (
        {"Entrypoint": ["/app"], "Cmd": ["sh"]},
        {"Cmd": ["sh"]},
        {"Cmd": ["bash"]},
        {"Entrypoint": ["/app"], "Cmd": ["sh"]},
    ),
    "the image's entrypoint has no cmd of any base": (
        {"Entrypoint": ["/app"], "Cmd": None},
        {"Cmd": ["sh"]},
        {"Cmd": ["bash"]},
        {"Entrypoint": ["/app"], "Cmd": None},
    ),
    "both of the base are the new base's": (
        {"Entrypoint": ["/init"], "Cmd": ["sh"]},
        {"Entrypoint": ["/init"], "Cmd": ["sh"]},
        {"Entrypoint": ["/tini"]},
        {"Entrypoint": ["/tini"]},
    ),
    "triggers are never taken over": ({"OnBuild": None}, {}, {"OnBuild": ["RUN x"]},
                                      {"OnBuild": None}),
    "labels say what it is on": (
        {"Labels": {BASE_NAME: "old:1"}}, {}, {}, {"Labels": RECORDED},
    ),
    "labels of the base's own base are none of it": (
        {}, {}, {"Labels": {BASE_NAME: "lower:1", "a": "1"}}, {"Labels": {"a": "1"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_three_configurations_make_one(case: str) -> None:
    """What the image has as its old base had it is the new base's."""
    own, old, new, expected = CASES[case]
    assert merged(own, old, new) == expected


def test_the_platform_is_the_new_base_s_and_the_rest_the_image_s() -> None:
    """Variant and features too; unknown keys are merged, cache metadata is dropped."""
    own = document({}, created="c", author="me", x=1, variant="v7", **{"moby.buildkit.cache": "x"})
    old = document({}, created="o", author="old", x=1, variant="v7")
    new = document({}, created="n", x=2, y=[3], variant="v8", **{"os.features": ["f"]})
    found = decode(rebase_config(own, old, new, {}).config.raw)
    assert {key: found.get(key) for key in ("created", "author", "x", "y")} == {
        "created": "c", "author": "me", "x": 2, "y": [3]
    }  # fmt: skip
    assert (found["variant"], found["os.features"]) == ("v8", ["f"])
    assert "moby.buildkit.cache" not in found


def test_history_and_layers_are_the_new_base_s_and_then_the_image_s() -> None:
    """With the keys that nobody knows, and with times that are null."""
    new = document({}, ("n", "m"), [{"created": None, "x": 1}, {"created_by": "m"}])
    own_step = {"created_by": "RUN mine", "y": 2}
    end = {"created_by": "CMD", "empty_layer": True}
    below = [{"created_by": "layer o"}, end]
    old, own = document({}, ("o",), below), document({}, ("o", "p"), [*below, own_step, end])
    found = rebase_config(own, old, new, {})
    history = decode(found.config.raw)["history"]
    assert history == [{"created": None, "x": 1}, {"created_by": "m"}, own_step, end]
    assert found.config.diff_ids == (*new.diff_ids, own.diff_ids[1])
    assert found.remarks == ()


def test_a_history_that_is_not_the_base_s_is_cut_by_its_layers() -> None:
    """And what is missing is made up, so that every entry is about its own layer."""
    old, new = document({}, ("o",)), document({}, ("n",), [])
    other = [{"created_by": "x"}, {"empty_layer": True}, {"created_by": "mine"}]
    found = rebase_config(document({}, ("o", "p"), other), old, new, {})
    missing = {"comment": "history missing in base"}
    assert decode(found.config.raw)["history"] == [missing, {"empty_layer": True}, other[2]]
    assert "does not begin with its base's" in found.remarks[0]

    found = rebase_config(document({}, ("o", "p"), []), document({}, ("o",), []), new, {})
    assert decode(found.config.raw)["history"] == [missing, missing]


def test_what_both_changed_is_told() -> None:
    """The image's is kept, and who knows better can say so."""
    own = document({"Env": ["A=2"], "User": "b", "Entrypoint": ["x"], "Labels": {"l": "2"}})
    old = document({"Env": ["A=1"], "User": "a", "Labels": {"l": "1"}})
    new = document({"Env": ["A=3"], "User": "c", "Entrypoint": ["y"], "Labels": {"l": "3"}})
    said = "image and new base changed it, and the image's is kept"
    assert sorted(rebase_config(own, old, new, {}).remarks) == [
        f"ENTRYPOINT: {said}", f"ENV A: {said}", f"LABEL l: {said}", f"config User: {said}"
    ]  # fmt: skip
    found = rebase_config(document({"Cmd": ["mine"]}), document({}), new, {})
    assert found.remarks == ("the image's CMD is passed to the new base's ENTRYPOINT, another",)


@pytest.mark.parametrize(
    ("config", "problem"),
    [({"Env": "A=1"}, "'Env'"), ({"Env": [1]}, "not a string"), ({"Labels": []}, "'Labels'")],
)
def test_a_malformed_document_is_refused(config: dict[str, Any], problem: str) -> None:
    """Whichever of the three it is."""
    for place in range(3):
        configs = [config if place == number else {} for number in range(3)]
        with pytest.raises(DocumentError, match=problem):
            merged(*configs)


_KEYS = [
    *((key, name) for key in ("Env", "Labels", "Volumes") for name in "AB"),
    *((key, "") for key in ("Entrypoint", "Cmd", "User", "Unknown")),
]
_Flat = dict[tuple[str, str], str]


def _flat(value: str) -> st.SearchStrategy[_Flat]:
    """Some of the keys, each with ``value``; a volume has none."""
    return st.sets(st.sampled_from(_KEYS)).map(
        lambda keys: {key: "" if key[0] == "Volumes" else value for key in keys}
    )


def _config(flat: _Flat) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (key, name), value in flat.items():
        if key == "Env":
            found.setdefault(key, []).append(f"{name}={value}")
        elif name:
            found.setdefault(key, {})[name] = value or {}
        else:
            found[key] = [value] if key in ("Entrypoint", "Cmd") else value
    return found


@st.composite
def _three(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    """An image, its base, and another one that has nothing alike with what the image changed."""
    old, new = draw(_flat("o")), draw(_flat("n"))
    own: _Flat = {}
    for key in _KEYS:
        states = {old.get(key), None, "" if key[0] == "Volumes" else "x"}
        states -= {new.get(key)} - {old.get(key)}
        state = draw(st.sampled_from(sorted(states, key=str)))
        if state is not None:
            own[key] = state
    return _config(own), _config(old), _config(new)


def _said(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` without what is empty, and without the order of its variables."""
    return {key: sorted(said) if key == "Env" else said for key, said in config.items() if said}


@given(_three())
def test_there_and_back_is_where_it_was(three: tuple[dict[str, Any], ...]) -> None:
    """Nothing is lost or gained on the way, where image and other base are not alike by chance."""
    own, old, new = three
    there = merged(own, old, new)
    assert _said(merged(there, new, old)) == _said(own)


@given(_flat("o"), _flat("n"))
def test_the_base_itself_becomes_the_other_base(low: _Flat, other: _Flat) -> None:
    """An image that adds nothing is its base."""
    old, new = _config(low), _config(other)
    assert _said(merged(old, old, new)) == _said(new)
