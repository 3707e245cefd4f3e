"""Where credentials are kept, as the variables of an environment say that is given.

Sources: containers-auth.json(5); Docker's ``docker login``, "Configure the credential store";
GitLab's ``DOCKER_AUTH_CONFIG``. Without ``HOME`` no file of a home directory is looked for.
"""

import os
from collections.abc import Mapping

from imgpack.credentials.lookup import CredentialFile, CredentialStore, Given


def credential_store(environment: Mapping[str, str], given: Given | None = None) -> CredentialStore:
    """What docker, podman and their helpers know, by the ``environment``; first what is ``given``.

    Helper programs are looked for in its ``PATH``, and get it. Nothing is read before a
    credential is asked for.
    """
    return CredentialStore(
        credential_files(environment),
        given,
        search_path=environment.get("PATH", ""),
        environment=tuple(environment.items()),
    )


def credential_files(environment: Mapping[str, str]) -> tuple[CredentialFile, ...]:
    """The credential files in the order in which they count."""
    files = []
    if path := environment.get("REGISTRY_AUTH_FILE"):
        files.append(CredentialFile(path, required=True))
    if text := environment.get("DOCKER_AUTH_CONFIG"):
        files.append(CredentialFile("DOCKER_AUTH_CONFIG", text=text))
    if path := environment.get("XDG_RUNTIME_DIR"):
        files.append(CredentialFile(os.path.join(path, "containers", "auth.json")))
    home = environment.get("HOME")
    configuration = environment.get("XDG_CONFIG_HOME") or (home and os.path.join(home, ".config"))
    if configuration:
        files.append(CredentialFile(os.path.join(configuration, "containers", "auth.json")))
    if path := docker_config(environment):
        files.append(CredentialFile(path))
    if home:
        files.append(CredentialFile(os.path.join(home, ".dockercfg"), legacy=True))
    return tuple(files)


def docker_config(environment: Mapping[str, str]) -> str | None:
    """The path of Docker's ``config.json``; ``None`` without a home."""
    directory, home = environment.get("DOCKER_CONFIG"), environment.get("HOME")
    if not directory and not home:
        return None
    return os.path.join(directory or os.path.join(home or "", ".docker"), "config.json")
