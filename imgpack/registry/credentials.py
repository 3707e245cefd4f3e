"""Credentials."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """A user's secret for a registry; its repr shows no secret."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything in it that must not be shown."""
        return tuple(s for s in (self.password, self.identity_token, self.registry_token) if s)
