"""Environment variables in, checked values out; the settings of every process are read here.

A variable that is empty counts as unset. All that cannot be used are refused at once, each by its
name and with what would do, so that nobody mends one only to be told of the next.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

Value = TypeVar("Value")
Number = TypeVar("Number", int, float)


class BadSetting(ValueError):
    """Environment variables are unknown or cannot be used; the message has a line for each.

    Operator action: correct the variables that the message names.
    """


@dataclass(frozen=True, slots=True)
class Variable:
    """Where a setting is read from; of a secret also a file, and it is never shown."""

    name: str
    parse: Callable[[str], Any]
    is_secret: bool


_VARIABLE: Final = "variable"


def setting(
    name: str, parse: Callable[[str], Value], default: Value, *, is_secret: bool = False
) -> Value:
    """Return a field of a dataclass of settings, which `Environment.values_of` reads.

    parse: raises ValueError where the text of the variable cannot be used.
    """
    variable = Variable(name, parse, is_secret)
    made: Value = field(default=default, repr=not is_secret, metadata={_VARIABLE: variable})
    return made


class Environment:
    """Reads variables, each with its parser and default, and remembers their names.

    faults: why what was read so far cannot be used; `check` raises them all.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.names: set[str] = set()
        self.faults: list[str] = []

    def __call__(self, name: str, parse: Callable[[str], Value], default: Value) -> Value:
        """Return the parsed variable; a fault and the default where `parse` raises ValueError."""
        text = self._text(name)
        return self._parsed(text, parse, default, lambda error: f"{name}={text!r}: {error}")

    def secret(self, name: str, parse: Callable[[str], Value], default: Value) -> Value:
        """Return a variable whose text no fault repeats, or what the file in NAME_FILE holds."""
        text = self._text(name)
        in_file = f"{name}_FILE"
        from_file = self(in_file, text_in, "")
        if text and from_file:
            self.refuse(f"{name} and {in_file} are both set: unset one of them")
        told, by = (from_file, in_file) if from_file else (text, name)
        return self._parsed(
            told, parse, default, lambda error: f"{by}: {str(error).replace(told, '...')}"
        )

    def values_of(self, settings: type[Any]) -> dict[str, Any]:
        """Return the values of all fields of a dataclass that `setting` has made, by field."""
        values: dict[str, Any] = {}
        for one in fields(settings):
            variable: Variable | None = one.metadata.get(_VARIABLE)
            if variable is not None:
                read = self.secret if variable.is_secret else self
                values[one.name] = read(variable.name, variable.parse, one.default)
        return values

    def _parsed(
        self,
        text: str,
        parse: Callable[[str], Value],
        default: Value,
        fault: Callable[[ValueError], str],
    ) -> Value:
        """Return the parsed text; the default where it is empty, or a fault refuses it.

        fault: returns how to tell of what `parse` raised.
        """
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(fault(error))
            return default

    def _text(self, name: str) -> str:
        self.names.add(name)
        return self._environ.get(name, "")

    def refuse(self, why: str) -> None:
        """Note why settings cannot be used, by the names of their variables."""
        self.faults.append(why)

    def check(self) -> None:
        """Raise BadSetting with every fault that was found, a line for each."""
        if self.faults:
            raise BadSetting("\n".join(self.faults))

    def refuse_unknown(self, prefix: str, foreign: str = "") -> None:
        """Refuse variables with our prefix that nobody read.

        foreign: prefix of variables that another kind of process reads; empty for none.
        """
        unknown = {
            name
            for name in self._environ
            if name.startswith(prefix) and not (foreign and name.startswith(foreign))
        } - self.names
        if unknown:
            known = ", ".join(sorted(name for name in self.names if name.startswith(prefix)))
            self.refuse(f"unknown setting {', '.join(sorted(unknown))}; known are {known}")


def file(text: str) -> str:
    """Return the path of a file that can be read."""
    try:
        with Path(text).open("rb"):
            return text
    except OSError as error:
        raise ValueError(error.strerror) from None


def text_in(path: str) -> str:
    """Return what a file holds, without the end of its last line."""
    try:
        content = Path(file(path)).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        # Its message would show a byte.
        raise ValueError("not UTF-8 text") from None
    text = content.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("the file is empty")
    return text


def brokers(text: str) -> str:
    """Parse host:port, separated by commas."""
    for address in text.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit():
            message = f"{address!r} is not host:port"
            raise ValueError(message)
    return ",".join(address.strip() for address in text.split(","))


def redis_address(text: str) -> str:
    if urlsplit(text).scheme not in {"redis", "rediss", "unix"}:
        message = "not a redis://, rediss:// or unix:// address"
        raise ValueError(message)
    return text


def lease_servers(text: str) -> tuple[str, ...]:
    """Parse the addresses of one Redis, or of three or five that are independent of each other."""
    urls = tuple(redis_address(part.strip()) for part in text.split(","))
    if len(set(urls)) not in {1, 3, 5} or len(set(urls)) != len(urls):
        message = "not 1, 3 or 5 different addresses: with others no majority is safer"
        raise ValueError(message)
    return urls


def database_address(text: str) -> str:
    if urlsplit(text).scheme not in {"postgresql", "postgres"}:
        message = "not a postgresql:// address"
        raise ValueError(message)
    return text


def host(text: str) -> str:
    """Parse a host name or address without a port."""
    # An address of IPv6 has colons; brackets and ports belong elsewhere.
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", text):
        message = "not a host name or address"
        raise ValueError(message)
    return text


def name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        message = "letters, digits, dot, dash and underscore only, at most 100"
        raise ValueError(message)
    return text


def flag(text: str) -> bool:
    flags = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in flags:
        message = "use true or false"
        raise ValueError(message)
    return flags[text.lower()]


def whole(low: int, high: int) -> Callable[[str], int]:
    return _within(int, low, high)


def between(low: float, high: float) -> Callable[[str], float]:
    return _within(float, low, high)


def _within(read: Callable[[str], Number], low: Number, high: Number) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        number = read(text)
        # NaN lies nowhere.
        if not low <= number <= high:
            message = f"not between {low} and {high}"
            raise ValueError(message)
        return number

    return parse


def megabytes(text: str) -> int:
    return whole(1, 1 << 20)(text) << 20


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            message = f"use one of {', '.join(choices)}"
            raise ValueError(message)
        return text

    return parse


def without_password(url: str) -> str:
    """Return an address without the secrets that it may carry."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    place = parts.netloc.rpartition("@")[2]
    query = "..." if parts.query else ""
    return urlunsplit(parts._replace(netloc=place, query=query))
