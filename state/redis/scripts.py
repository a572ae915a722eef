"""Lua scripts by their digests; a server that was never told one, or has forgotten it, is told."""

from collections.abc import Awaitable, Sequence
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
    """Files of the folder `lua`, one behind the other.

    names: without their suffix; several scripts may begin alike.
    """

    def __init__(self, *names: str) -> None:
        files = [(_FOLDER / f"{name}.lua").read_text(encoding="utf-8") for name in names]
        self.text = "\n".join(files)
        # Redis names scripts by SHA-1; nothing is secured by it.
        self._sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, ask: Ask, keys: Sequence[str | bytes], values: Sequence[str | int]) -> Any:
        """Run it and return its answer; raises as `ask`."""
        try:
            return await ask("EVALSHA", self._sha, len(keys), *keys, *values)
        except NoScriptError:
            # Never told, or forgotten in a restart (F71).
            return await ask("EVAL", self.text, len(keys), *keys, *values)
