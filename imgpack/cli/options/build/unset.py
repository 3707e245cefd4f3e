"""What an image takes from its base's configuration: the options beside those that set it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import click

from imgpack import api
from imgpack.cli.options.build.config import RuntimeFlags, ports
from imgpack.cli.options.parameters import gathered
from imgpack.errors import ConfigError

_CLEARED: Final = {
    "clear_entrypoint": "entrypoint",
    "clear_cmd": "cmd",
    "clear_healthcheck": "healthcheck_cmd",
    "clear_user": "user",
    "clear_workdir": "workdir",
}
"""The option that sets again what each of these clears."""
_FIELDS: Final = {"healthcheck_cmd": "healthcheck", "workdir": "working_dir"}


@dataclass(frozen=True, slots=True)
class UnsetFlags:
    """What is taken from a base, as it was written."""

    unset_env: tuple[str, ...] = ()
    unset_label: tuple[str, ...] = ()
    unset_expose: tuple[str, ...] = ()
    unset_volume: tuple[str, ...] = ()
    clear_entrypoint: bool = False
    clear_cmd: bool = False
    clear_healthcheck: bool = False
    clear_user: bool = False
    clear_workdir: bool = False
    ignore_onbuild: bool = False
    base_labels: bool = False

    def check_base(self) -> None:
        """Refuse them all where there is no base. Raises ``UsageError``."""
        given = [each.name for each in fields(self) if getattr(self, each.name)]
        if given:
            raise click.UsageError(
                f"{_option(given[0])} is about a base image, and there is none; add --from BASE"
            )

    def changes(self, runtime: RuntimeFlags) -> api.RuntimeChanges:
        """What these and ``runtime`` make of a base's configuration.

        Variables in ``--env`` are expanded, each as one ``ENV``; a ``--workdir`` may be
        relative. Raises ``UsageError``, ``ConfigError`` and ``LimitError``.
        """
        for clearing, setting in _CLEARED.items():
            if getattr(self, clearing) and getattr(runtime, setting) is not None:
                raise click.UsageError(
                    f"{_option(clearing)} and {_option(setting)} contradict each other"
                )
        relative = runtime.workdir if not (runtime.workdir or "/").startswith("/") else None
        if relative is not None and ".." in relative.split("/"):
            raise ConfigError(f"--workdir {relative!r} has .. in it", "write it without")
        absolute = runtime if relative is None else replace(runtime, workdir=f"/{relative}")
        given = absolute.runtime()
        return api.RuntimeChanges(
            replace(given, env=runtime.env, working_dir="" if relative else given.working_dir),
            unset_env=_env_names(self.unset_env),
            unset_labels=_names(self.unset_label, "--unset-label"),
            unset_ports=ports(self.unset_expose, "--unset-expose"),
            unset_volumes=_names(self.unset_volume, "--unset-volume"),
            cleared=frozenset(
                _FIELDS.get(name, name) for each, name in _CLEARED.items() if getattr(self, each)
            ),
            relative_dir=relative or "",
            expand=True,
            ignore_onbuild=self.ignore_onbuild,
        )


unset_options = gathered(
    "unset",
    UnsetFlags,
    click.option("--unset-env", multiple=True, metavar="NAME", help="Drop a variable of the base."),
    click.option("--unset-label", multiple=True, metavar="KEY", help="Drop a label of the base."),
    click.option("--unset-expose", multiple=True, metavar="PORT[-LAST][/PROTO]",
                 help="Drop a port of the base, or a range."),
    click.option("--unset-volume", multiple=True, metavar="PATH",
                 help="Drop a volume of the base."),
    click.option("--clear-entrypoint", is_flag=True, help="Drop the base's entrypoint."),
    click.option("--clear-cmd", is_flag=True, help="Drop the base's default arguments."),
    click.option("--clear-healthcheck", is_flag=True, help="Drop the base's health check."),
    click.option("--clear-user", is_flag=True, help="Drop the base's user: root again."),
    click.option("--clear-workdir", is_flag=True, help="Drop the base's working directory."),
    click.option("--ignore-onbuild", is_flag=True, help="Drop the base's ONBUILD triggers."),
    click.option("--base-labels", is_flag=True,
                 help="Record the base's name and digest in labels as well."),
)  # fmt: skip


clearing_options = gathered(
    "unset",
    UnsetFlags,
    click.option("--unset-env", multiple=True, metavar="NAME", help="Drop a variable."),
    click.option("--unset-label", multiple=True, metavar="KEY", help="Drop a label."),
    click.option("--unset-expose", multiple=True, metavar="PORT[-LAST][/PROTO]",
                 help="Drop a port, or a range."),
    click.option("--unset-volume", multiple=True, metavar="PATH", help="Drop a volume."),
    click.option("--clear-entrypoint", is_flag=True, help="Drop the entrypoint."),
    click.option("--clear-cmd", is_flag=True, help="Drop the default arguments."),
    click.option("--clear-healthcheck", is_flag=True, help="Drop the health check."),
    click.option("--clear-user", is_flag=True, help="Drop the user: root again."),
    click.option("--clear-workdir", is_flag=True, help="Drop the working directory."),
    click.option("--clear-onbuild", "ignore_onbuild", is_flag=True, help="Drop the triggers."),
)  # fmt: skip
"""The same for an image that is changed itself."""


def _env_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    if valued := [text for text in texts if "=" in text]:
        raise ConfigError(f"--unset-env {valued[0]!r} has a value", "write the NAME alone")
    return _names(texts, "--unset-env")


def _names(texts: tuple[str, ...], option: str) -> tuple[str, ...]:
    if "" in texts:
        raise ConfigError(f"{option} is empty", "leave it out, or say what it is")
    return tuple(dict.fromkeys(texts))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
