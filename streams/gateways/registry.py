"""All gateways by name: ours, and those of installed packages.

A package adds a gateway by an entry point of the group `seatstream.gateways`:

    [project.entry-points."seatstream.gateways"]
    paystack = "their_package:open_gateway"

where `open_gateway(read)` is a `GatewayFactory`. Only when somebody opens the gateway is the
package imported, or a bad name refused. So a package that nobody uses cannot keep a worker from
starting.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeAlias

from infra.process.environment import Environment
from streams.gateways.mock import open_mock
from streams.gateways.protocol import GATEWAY_NAME, Gateway
from streams.gateways.toss import open_toss

GROUP: Final = "seatstream.gateways"

SETTING: Final = "SEATSTREAM_GATEWAYS"
"""Setting that names the gateways, the usual one first. Workers and pods all need the same."""

DEFAULT: Final = ("mock",)

_STRIPE: Final = EntryPoint("stripe", "streams.gateways.stripe:open_stripe", GROUP)

GatewayFactory: TypeAlias = Callable[[Environment], Gateway]
"""Makes a gateway from its settings, without connecting anywhere yet.

It reads its settings through the argument, and secrets by the argument's `secret`. The argument
collects bad settings, so that a process names all of its bad settings at once.
"""


class BadGateway(ValueError):
    """A gateway cannot be registered or opened; the message says which and why.

    Operator action: correct the gateway's name, or remove one of two packages that bring it.
    """


def gateway_names(text: str) -> tuple[str, ...]:
    """Parse the setting: different names, separated by commas. ValueError for anything else."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not GATEWAY_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no gateway's name")
        if names.count(name) > 1:
            raise ValueError(f"{name} is listed twice")
    return names


class Gateways:
    """The known gateways by name."""

    def __init__(self) -> None:
        self._factories: dict[str, GatewayFactory] = {}
        self._refused: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._factories and name not in self._refused

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._factories.keys() - self._refused.keys()))

    def register(self, name: str, factory: GatewayFactory) -> None:
        """Add a gateway; BadGateway where the name is taken, or cannot be a gateway's name."""
        if not GATEWAY_NAME.fullmatch(name):
            raise BadGateway(
                f"{name[:64]!r} is no gateway's name: small letters, digits and dashes, "
                "a letter first, at most 32"
            )
        if name in self._factories:
            raise BadGateway(f"two gateways are called {name}; a name stands for one")
        self._factories[name] = factory

    def refuse(self, name: str, why: str) -> None:
        """Let nobody open a gateway of this name, even if one is registered."""
        self._refused[name] = why

    def open(self, name: str, read: Environment) -> Gateway:
        """Make a gateway from its settings; the caller then checks `read` and closes the gateway.

        Raises BadGateway where no gateway has that name, or more than one.
        """
        if name in self._refused:
            raise BadGateway(self._refused[name])
        factory = self._factories.get(name)
        if factory is None:
            known = ", ".join(self.names())
            raise BadGateway(f"there is no gateway {name[:64]!r}; known are {known}")
        gateway = factory(read)
        if gateway.name != name:
            raise BadGateway(f"the gateway registered as {name} calls itself {gateway.name!r}")
        return gateway


def opened(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, Gateway]:
    """Open the gateways of these names with their settings; the caller closes them.

    Raises BadSetting, which names all bad settings, or BadGateway for a bad name.
    """
    known, read = known_gateways(), Environment(environ)
    gateways = {name: known.open(name, read) for name in names}
    read.check()
    return gateways


def _imported_when_opened(entry_point: EntryPoint) -> GatewayFactory:
    def factory(read: Environment) -> Gateway:
        try:
            load: GatewayFactory = entry_point.load()
        # SystemExit too: a stranger's module may raise anything.
        except (Exception, SystemExit) as error:
            raise BadGateway(
                f"gateway {entry_point.name}: {entry_point.value} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        return load(read)

    return factory


def known_gateways(installed: Iterable[EntryPoint] | None = None) -> Gateways:
    """Return our gateways and those of installed packages.

    A gateway with a bad name is refused when somebody opens it. Of two gateways with one name both
    are refused, since nobody knows which one is meant.
    """
    gateways = Gateways()
    gateways.register("mock", open_mock)
    gateways.register("toss", open_toss)
    # Stripe's package is an optional extra, and takes a third of a second to import.
    gateways.register("stripe", _imported_when_opened(_STRIPE))
    for entry_point in entry_points(group=GROUP) if installed is None else installed:
        try:
            gateways.register(entry_point.name, _imported_when_opened(entry_point))
        except BadGateway as error:
            gateways.refuse(entry_point.name, f"{error} ({entry_point.value})")
    return gateways
