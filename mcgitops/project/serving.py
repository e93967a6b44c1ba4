"""`x-mcgitops` of a service that serves: what switches it, and what must answer before it may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcgitops.project.base import Spec
from mcgitops.typed.model import after, key, whole


class Proxy(Spec):
    """This service is an HAProxy, and mcgitops switches what is behind it by its runtime API."""

    switches: tuple[str, ...] = key(
        min_length=1,
        description="Services whose containers are taken in and out, each with a backend of the "
        "same name that has a `server-template`.",
    )
    admin: str = key(
        default="127.0.0.1:9999",
        description="Where the runtime API listens inside the proxy's container (`stats socket "
        "ipv4@127.0.0.1:9999 level admin`).",
    )

    @after("admin")
    @staticmethod
    def _admin_is_an_address(admin: str) -> str:
        name, separator, port = admin.rpartition(":")
        if not separator or not name or not port.isdigit():
            raise ValueError(f'"{admin}" is not an address. Write 127.0.0.1:9999.')
        return admin


class Inference(Spec):
    """The service speaks the Open Inference Protocol v2, and must say that it is ready.

    Asked before a container gets traffic: `/v2/health/ready` and `/v2/models/NAME/ready`.
    """

    port: int = key(ge=1, le=65535, description="The port inside the container.")
    models: tuple[str, ...] = key(default=(), description="Models that must be ready, by name.")


class Smoke(Spec):
    """A request that each new container must answer as expected before it gets traffic."""

    port: int = key(ge=1, le=65535, description="The port inside the container.")
    path: str = key(default="/", pattern=r"^/", description="The path, with its query.")
    body: Any = key(default=None, description="A JSON body; with one the method is POST.")
    status: int = key(default=200, ge=100, le=599, description="The status code that is expected.")
    expect: Any = key(
        default=None,
        description="The JSON that is expected. Of a mapping only keys given here are compared.",
    )
    tolerance: float = key(
        default=0.0, ge=0, description="How far a number may be from the expected one, absolutely."
    )


class ServingSpec(Spec):
    """`x-mcgitops` of a service that is deployed: a proxy, or what must answer before traffic."""

    proxy: Proxy | None = key(
        default=None, description="The service is an HAProxy that is switched explicitly."
    )
    inference: Inference | None = key(
        default=None, description="Readiness by the Open Inference Protocol v2."
    )
    smoke: tuple[Smoke, ...] = key(default=(), description="Predictions with expected answers.")

    @whole
    def _says_something(self) -> None:
        if self.proxy is None and self.inference is None and not self.smoke:
            raise ValueError("names nothing. Give proxy, inference or smoke.")

    @property
    def has_gates(self) -> bool:
        """Whether containers must answer before they get traffic."""
        return self.inference is not None or bool(self.smoke)


def is_serving(keys: object) -> bool:
    """Whether a service's `x-mcgitops` is of one that serves; else it makes the service a stage."""
    return isinstance(keys, Mapping) and bool(keys.keys() & ServingSpec.model_keys())
