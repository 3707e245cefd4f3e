"""Runtime configurations on those of a base: what BuildKit makes of the same instructions."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Healthcheck, Ports, Runtime, RuntimeChanges
from imgpack.errors import ConfigError, DocumentError, LimitError, Remedy, UnsupportedError
from imgpack.spec.merge.changes import DEFAULT_PATH, MergedRuntime, changed, merge
from tests.strategies import json_objects, runtimes

BASE: dict[str, Any] = {
    "Hostname": "",
    "User": "app",
    "Env": ["PATH=/usr/bin:/bin", "LANG=C", "BARE"],
    "Cmd": ["serve"],
    "ArgsEscaped": True,
    "Image": "sha256:00",
    "Volumes": {"/data/": {}},
    "WorkingDir": "/srv",
    "Entrypoint": ["/init"],
    "OnBuild": None,
    "Labels": {"b": "1", "a": "2"},
    "ExposedPorts": {"80": {}, "53/udp": {}},
    "Healthcheck": {"Test": ["CMD", "old"], "Interval": 10**9, "StartInterval": 10**9},
    "StopSignal": "SIGTERM",
    "Shell": ["/bin/sh", "-c"],
    "com.example": {"kept": [1, 2.5]},
}


def merged(changes: RuntimeChanges | None = None, /, **runtime: Any) -> MergedRuntime:
    """What comes of settings, or other changes, on the base."""
    return merge(BASE, changes or RuntimeChanges(Runtime(**runtime), expand=True))


def differences(found: MergedRuntime) -> dict[str, Any]:
    """The keys that are not what they were; ``None`` for one that is gone."""
    keys = dict.fromkeys((*BASE, *found.config))
    return {key: found.config.get(key) for key in keys if found.config.get(key) != BASE.get(key)}


@pytest.mark.parametrize(
    ("runtime", "changed"),
    [
        ({}, {}),
        ({"env": ("LANG=D",)}, {"Env": ["PATH=/usr/bin:/bin", "LANG=D", "BARE"]}),
        (
            {"env": ("Z=1", "BARE=x", "A=2")},
            {"Env": ["PATH=/usr/bin:/bin", "LANG=C", "BARE=x", "Z=1", "A=2"]},
        ),
        ({"cmd": ("x",)}, {"Cmd": ["x"]}),
        ({"cmd": ()}, {"Cmd": []}),
        ({"entrypoint": ("/x",)}, {"Entrypoint": ["/x"], "Cmd": None}),
        ({"entrypoint": ()}, {"Entrypoint": [], "Cmd": None}),
        ({"entrypoint": ("/x",), "cmd": ("y",)}, {"Entrypoint": ["/x"], "Cmd": ["y"]}),
        ({"entrypoint": ("/init",), "cmd": ("serve",)}, {}),
        ({"labels": (("a", "3"), ("c", "4"))}, {"Labels": {"b": "1", "a": "3", "c": "4"}}),
        (
            {"exposed_ports": (Ports(80, 81), Ports(53, 53))},
            {"ExposedPorts": {"80": {}, "53/udp": {}, "53/tcp": {}, "81/tcp": {}}},
        ),
        ({"volumes": ("/data", "/x")}, {"Volumes": {"/data/": {}, "/x": {}}}),
        ({"user": "0"}, {"User": "0"}),
        ({"working_dir": "/x"}, {"WorkingDir": "/x"}),
        ({"stop_signal": "9"}, {"StopSignal": "9"}),
        ({"healthcheck": Healthcheck(("NONE",))}, {"Healthcheck": {"Test": ["NONE"]}}),
        ({"healthcheck": Healthcheck(("CMD", "n"))}, {"Healthcheck": {"Test": ["CMD", "n"]}}),
        ({"shell": ("/bin/bash",)}, {"Shell": ["/bin/bash"]}),
        ({"onbuild": ("RUN x",)}, {"OnBuild": ["RUN x"]}),
    ],
)
def test_settings_merge_as_those_of_a_dockerfile(
    runtime: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Nothing else changes; the base itself never does."""
    before = copy.deepcopy(BASE)
    found = merged(**runtime)
    assert differences(found) == changed
    assert before == BASE


def test_a_dropped_cmd_is_told() -> None:
    """Only where there was one, and no other is given."""
    assert merged(entrypoint=("/x",)).remarks == (
        'the base\'s CMD ["serve"] is dropped: an entrypoint is given',
    )
    assert merged(entrypoint=("/x",), cmd=()).remarks == ()
    assert merge({"Cmd": None}, RuntimeChanges(Runtime(entrypoint=("/x",)))).remarks == ()


@pytest.mark.parametrize(
    ("base", "relative", "joined"),
    [
        ("/srv", "a/b", "/srv/a/b"),
        ("/srv/", "./a", "/srv/a"),
        ("", "a", "/a"),
        ("srv", ".", "/srv"),
        ("//", "a", "/a"),
    ],
)
def test_a_relative_directory_joins_the_bases(base: str, relative: str, joined: str) -> None:
    """Which is the root if it says none."""
    found = merge({"WorkingDir": base}, RuntimeChanges(relative_dir=relative))
    assert (found.config, found.set.working_dir) == ({"WorkingDir": joined}, joined)


@pytest.mark.parametrize(
    ("changes", "changed", "unset"),
    [
        (
            RuntimeChanges(unset_env=("LANG", "BARE")),
            {"Env": ["PATH=/usr/bin:/bin"]},
            ("ENV LANG", "ENV BARE"),
        ),
        (RuntimeChanges(unset_labels=("a",)), {"Labels": {"b": "1"}}, ("LABEL a",)),
        (
            RuntimeChanges(unset_ports=(Ports(79, 81), Ports(53, 53, "udp"))),
            {"ExposedPorts": None},
            ("EXPOSE 79-81/tcp", "EXPOSE 53/udp"),
        ),
        (RuntimeChanges(unset_volumes=("/data",)), {"Volumes": None}, ('VOLUME ["/data"]',)),
        (
            RuntimeChanges(cleared=frozenset({"entrypoint", "healthcheck"})),
            {"Entrypoint": None, "Healthcheck": None},
            ("ENTRYPOINT", "HEALTHCHECK"),
        ),
        (
            RuntimeChanges(cleared=frozenset({"cmd", "user", "working_dir"})),
            {"Cmd": None, "User": None, "WorkingDir": None},
            ("CMD", "USER", "WORKDIR"),
        ),
        (
            RuntimeChanges(Runtime(entrypoint=("/x",)), cleared=frozenset({"cmd"})),
            {"Cmd": None, "Entrypoint": ["/x"]},
            ("CMD",),
        ),
    ],
)
def test_what_is_unset_is_gone(
    changes: RuntimeChanges, changed: dict[str, Any], unset: tuple[str, ...]
) -> None:
    """Without a word beyond the history's."""
    found = merged(changes)
    assert (differences(found), found.unset, found.remarks) == (changed, unset, ())


def test_what_is_not_there_to_unset_is_told() -> None:
    """It may be a mistyped name, and it may be a base that has moved on."""
    found = merge(
        {"Cmd": [], "Labels": None},
        RuntimeChanges(
            unset_env=("A\n",),
            unset_labels=("a",),
            unset_ports=(Ports(80, 80),),
            unset_volumes=("/x",),
            cleared=frozenset({"cmd"}),
        ),
    )
    assert found.unset == ()
    names = ("CMD", r"ENV A\n", "LABEL a", "EXPOSE 80/tcp", 'VOLUME ["/x"]')
    assert found.remarks == tuple(f"the base has no {name} to unset" for name in names)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"set": Runtime(env=("B=1", "A=1")), "unset_env": ("B", "A")}, "ENV A"),
        ({"set": Runtime(labels=(("a", "1"),)), "unset_labels": ("a",)}, "LABEL a"),
        ({"set": Runtime(exposed_ports=(Ports(1, 2),)), "unset_ports": (Ports(1, 2),)}, "EXPOSE 1"),
        ({"set": Runtime(volumes=("/a/",)), "unset_volumes": ("/./a",)}, "VOLUME /a"),
        ({"set": Runtime(cmd=()), "cleared": frozenset({"cmd"})}, "CMD"),
        ({"relative_dir": "a", "cleared": frozenset({"working_dir"})}, "WORKDIR"),
    ],
)
def test_what_is_set_and_unset_at_once_is_refused(changes: dict[str, Any], named: str) -> None:
    """No order would say which of them is meant; the first by name is told."""
    with pytest.raises(ConfigError, match=f"^{named}.* is both set and unset"):
        RuntimeChanges(**changes)


def test_only_some_settings_can_be_cleared() -> None:
    """The others are unset by name, or replaced."""
    with pytest.raises(ConfigError, match="'labels' cannot be cleared"):
        RuntimeChanges(cleared=frozenset({"labels"}))


def test_variables_are_those_of_the_base_and_of_what_was_set_before() -> None:
    """A variable is unset at the end, so another can still take its value."""
    changes = RuntimeChanges(
        Runtime(env=("PATH=/opt/bin:$PATH", "A=$PATH", "A=$A!", "B=$LANG")),
        unset_env=("LANG",),
        expand=True,
    )
    path = "/opt/bin:/usr/bin:/bin"
    found = merged(changes)
    assert found.config["Env"] == [f"PATH={path}", "BARE", f"A={path}!", "B=C"]
    assert found.set.env == (f"PATH={path}", f"A={path}", f"A={path}!", "B=C")
    assert found.remarks == ()


def test_variables_that_are_not_there_are_told() -> None:
    """By their name and that of the variable they are in, never by its value."""
    found = merged(env=("A=secret$NONE",))
    assert found.config["Env"][-1] == "A=secret"
    assert found.remarks == ("NONE in the value of A is not set: it is empty",)
    with pytest.raises(ConfigError, match=r"the value of A: there is a \$\{ without its }"):
        merged(env=("A=secret${B",))


def test_without_expansion_a_dollar_sign_is_one() -> None:
    """As it always is in an image without a base."""
    changes = RuntimeChanges(Runtime(env=("A=$PATH",)))
    assert merged(changes).config["Env"][-1] == "A=$PATH"


def test_a_path_that_the_base_lacks_is_what_engines_take() -> None:
    """On Windows there is none to take; and nobody writes it down for nothing."""
    changes = RuntimeChanges(Runtime(env=("PATH=/opt/bin:$PATH",)), expand=True)
    assert merge({}, changes).config == {"Env": [f"PATH=/opt/bin:{DEFAULT_PATH}"]}
    assert merge({}, changes, "windows").config == {"Env": ["PATH=/opt/bin:"]}
    assert merge({}, RuntimeChanges(expand=True)).config == {}


def test_triggers_are_refused_by_name_or_dropped() -> None:
    """They are for a build that runs them; an image's own are its own."""
    triggers = [f"RUN step {number}" for number in range(7)]
    with pytest.raises(UnsupportedError, match="RUN step 4 and 2 more") as caught:
        merge({"OnBuild": triggers}, RuntimeChanges())
    assert caught.value.hint == Remedy.IGNORE_ONBUILD()
    ignoring = RuntimeChanges(Runtime(onbuild=("RUN y",)), ignore_onbuild=True)
    assert merge({"OnBuild": triggers}, ignoring).config == {"OnBuild": ["RUN y"]}
    found = merge({"OnBuild": ["RUN x"]}, RuntimeChanges(ignore_onbuild=True))
    assert (found.config, found.unset) == ({}, ("ONBUILD",))
    assert merge({"OnBuild": []}, RuntimeChanges(ignore_onbuild=True)).unset == ()


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ({"Env": "A=1"}, RuntimeChanges()),
        ({"Env": [1]}, RuntimeChanges()),
        ({"OnBuild": [{}]}, RuntimeChanges()),
        ({"Labels": []}, RuntimeChanges(unset_labels=("a",))),
        ({"Volumes": "/x"}, RuntimeChanges(Runtime(volumes=("/y",)))),
        ({"WorkingDir": 1}, RuntimeChanges(relative_dir="a")),
        ({"entrypoint": ["/x"]}, RuntimeChanges()),
    ],
)
def test_a_malformed_base_is_refused(base: dict[str, Any], changes: RuntimeChanges) -> None:
    """Also one whose keys are what only some readers take them for."""
    with pytest.raises(DocumentError):
        merge(base, changes)


@pytest.mark.parametrize(
    "key",
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "Volumes", "WorkingDir",
     "OnBuild", "Labels", "StopSignal", "Shell"],
)  # fmt: skip
def test_a_key_in_another_case_is_refused(key: str) -> None:
    """Go's readers take it for the one that they know."""
    with pytest.raises(DocumentError, match=f"take the key '{key.lower()}' for '{key}'"):
        merge({key.lower(): None}, RuntimeChanges())


def test_a_value_from_the_base_is_checked_as_any_other() -> None:
    """No program can be given a NUL, and none a value without end."""
    changes = RuntimeChanges(Runtime(env=("B=$A",)), expand=True)
    with pytest.raises(ConfigError, match="NUL"):
        merge({"Env": ["A=\0"]}, changes)
    doubling = RuntimeChanges(Runtime(env=("A=$A$A",) * 40), expand=True)
    with pytest.raises(LimitError, match="the value of A: its variables make it too long"):
        merge({"Env": ["A=a"]}, doubling)


@given(json_objects(), runtimes())
def test_merging_nothing_changes_nothing(unknown: dict[str, Any], runtime: Runtime) -> None:
    """Neither what is known nor what is not, nor its order."""
    known = {key: value for key, value in runtime.as_json().items() if key != "OnBuild"}
    base = {f"x-{key}": value for key, value in unknown.items()} | known
    found = merge(base, RuntimeChanges())
    assert list(found.config.items()) == list(base.items())
    assert (found.set, found.unset, found.remarks) == (Runtime(), (), ())


@given(runtimes())
def test_merging_into_nothing_is_what_is_set(runtime: Runtime) -> None:
    """So an image without a base is what it always was, to the order of its keys."""
    found = merge({}, RuntimeChanges(runtime))
    assert list(found.config.items()) == list(runtime.as_json().items())
    assert found.set == runtime


@given(runtimes(), runtimes(), st.booleans())
def test_merging_twice_is_merging_once(base: Runtime, runtime: Runtime, expand: bool) -> None:
    """What is said again changes nothing, with triggers aside and variables written out."""
    changes = RuntimeChanges(runtime, expand=expand, ignore_onbuild=True)
    try:
        once = merge(base.as_json(), changes)
    except ConfigError:
        return
    twice = merge(once.config, RuntimeChanges(once.set, ignore_onbuild=True))
    assert twice.config == once.config


@given(json_objects(), runtimes())
def test_what_is_set_a_second_time_is_no_change(extra: dict[str, Any], runtime: Runtime) -> None:
    """Whatever it is, and whatever else there is; a new variable is one."""
    runtime = replace(runtime, cmd=runtime.cmd or ())
    once = merge(BASE | {"X": extra}, RuntimeChanges(runtime), own=True).config
    again = merge(once, RuntimeChanges(runtime), own=True)
    assert again.config == once
    assert changed(once, again) == Runtime()
    more = replace(runtime, env=(*runtime.env, "_NEW=1"))
    assert changed(once, merge(once, RuntimeChanges(more), own=True)) == Runtime(env=("_NEW=1",))
