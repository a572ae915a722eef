"""Runs Lua scripts by their digests, and sends a script to a server that does not have it."""

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, Protocol

from redis.exceptions import NoScriptError

_FOLDER: Final = Path(__file__).parent / "lua"


class Ask(Protocol):
    """Sends one command and returns its answer: `RedisLine.ask`, or a client's `execute_command`.

    What it raises where nobody answers is its own.
    """

    def __call__(self, *command: Any) -> Awaitable[Any]: ...


class Script:
    """Files of the folder `lua`, put together as one script.

    names: of the files, without suffix; scripts may share files.
    """

    def __init__(self, *names: str) -> None:
        files = [(_FOLDER / f"{name}.lua").read_text(encoding="utf-8") for name in names]
        self.text = "\n".join(files)
        # Redis names scripts by SHA-1; nothing is secured by it.
        self._sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(
        self, ask: Ask, keys: Sequence[str | bytes], values: Sequence[str | int | bytes]
    ) -> Any:
        """Run it and return its answer; raises as `ask`."""
        try:
            return await ask("EVALSHA", self._sha, len(keys), *keys, *values)
        except NoScriptError:
            # The server never had it, or lost it in a restart.
            return await ask("EVAL", self.text, len(keys), *keys, *values)


@contextmanager
def read_as(unreadable: type[Exception]) -> Iterator[None]:
    """Raise this error where an answer cannot be read: a stranger's bytes lie under our key."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise unreadable(str(error)) from error
