import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from infra.process.environment import BadSetting, Environment
from streams.gateways.mock import open_mock
from streams.gateways.protocol import Gateway
from streams.gateways.registry import (
    GROUP,
    BadGateway,
    Gateways,
    gateway_names,
    known_gateways,
    opened,
)

NOTHING: Mapping[str, str] = {}


class Paystack:
    """A third party's gateway, as far as its name."""

    name = "paystack"


def open_paystack(read: Environment) -> Gateway:
    read("PAYSTACK_KEY", str, "")
    return Paystack()  # type: ignore[return-value]


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_ours_are_known() -> None:
    assert "mock" in known_gateways([])
    assert known_gateways([]).open("mock", Environment(NOTHING)).name == "mock"


def test_s001_9_a_gateway_is_added_at_run_time() -> None:
    gateways = Gateways()
    gateways.register("paystack", open_paystack)
    read = Environment(NOTHING)
    assert gateways.open("paystack", read).name == "paystack"
    assert "PAYSTACK_KEY" in read.names


def test_a_package_s_entry_point_is_opened_by_its_name() -> None:
    gateways = known_gateways([entry("another", "streams.gateways.mock:open_mock")])
    assert "another" in gateways
    with pytest.raises(BadGateway, match="another calls itself 'mock'"):
        gateways.open("another", Environment(NOTHING))


def test_s001_9_an_installed_package_of_a_third_party_brings_a_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip leaves it: a module, and beside it what the distribution says of itself."""
    (tmp_path / "their_package.py").write_text(
        "class Theirs:\n"
        "    name = 'theirs'\n"
        "    def __init__(self, key):\n"
        "        self.key = key\n"
        "def open_gateway(read):\n"
        "    return Theirs(read.secret('THEIRS_KEY', str, ''))\n",
        encoding="utf-8",
    )
    about = tmp_path / "their_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n", encoding="utf-8"
    )
    (about / "entry_points.txt").write_text(
        "[seatstream.gateways]\ntheirs = their_package:open_gateway\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    gateways = known_gateways()
    assert set(gateways.names()) >= {"mock", "stripe", "theirs", "toss"}
    gateway = gateways.open("theirs", Environment({"THEIRS_KEY": "k"}))
    assert (gateway.name, vars(gateway)) == ("theirs", {"key": "k"})


def test_stripe_s_package_is_needed_by_who_opens_it_and_by_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "stripe", None)
    monkeypatch.delitem(sys.modules, "streams.gateways.stripe", raising=False)
    gateways = known_gateways([])
    assert gateways.open("mock", Environment(NOTHING)).name == "mock"
    with pytest.raises(BadGateway, match=r"gateway stripe: .* cannot be imported: .*stripe"):
        gateways.open("stripe", Environment(NOTHING))


def test_a_package_that_cannot_be_imported_is_told_of_when_its_gateway_is_opened() -> None:
    gateways = known_gateways([entry("broken", "no_such_package:open")])
    with pytest.raises(BadGateway, match="no_such_package:open cannot be imported"):
        gateways.open("broken", Environment(NOTHING))


@pytest.mark.parametrize(
    "name", ["", "Mock", "a b", "../x", "-a", "1a", "a_b", "x" * 33, "mock\n", "möck"]
)
def test_a_name_is_small_letters_digits_and_dashes(name: str) -> None:
    with pytest.raises(BadGateway, match="is no gateway's name"):
        Gateways().register(name, open_mock)


def test_two_of_one_name_are_refused() -> None:
    gateways = Gateways()
    gateways.register("paystack", open_paystack)
    with pytest.raises(BadGateway, match="two gateways are called paystack"):
        gateways.register("paystack", open_paystack)


@pytest.mark.parametrize(
    ("name", "why"),
    [("twice", "two gateways are called twice.*third:open"), ("Bad_Name", "is no gateway's name")],
)
def test_a_package_with_a_bad_or_taken_name_keeps_nobody_else_from_starting(
    name: str, why: str
) -> None:
    once = "streams.gateways.mock:open_mock"
    installed = [entry("twice", once), entry("Bad_Name", once), entry("twice", "third:open")]
    gateways = known_gateways(installed)
    assert gateways.open("mock", Environment(NOTHING)).name == "mock"
    assert gateways.names() == ("mock", "stripe", "toss")
    assert name not in gateways
    with pytest.raises(BadGateway, match=why):
        gateways.open(name, Environment(NOTHING))


@pytest.mark.parametrize("raised", ["RuntimeError('no')", "SystemExit(3)", "SyntaxError('no')"])
def test_whatever_a_package_raises_while_it_is_imported_names_its_gateway(
    raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raising_package.py").write_text(f"raise {raised}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    gateways = known_gateways([entry("raising", "raising_package:open")])
    with pytest.raises(BadGateway, match="raising_package:open cannot be imported"):
        gateways.open("raising", Environment(NOTHING))


def test_an_unknown_gateway_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadGateway, match=r"no gateway 'paypal'; known are .*mock"):
        known_gateways([]).open("paypal", Environment(NOTHING))


def test_the_setting_names_gateways_in_order() -> None:
    assert gateway_names("mock") == ("mock",)
    assert gateway_names("stripe, mock") == ("stripe", "mock")


@pytest.mark.parametrize("text", ["", ",", "mock,", "mock,mock", "Mock", "a b"])
def test_a_setting_with_a_bad_name_or_one_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no gateway's name|listed twice"):
        gateway_names(text)


def test_gateways_are_opened_by_name_or_all_that_is_wrong_is_told() -> None:
    assert list(opened(("mock",), NOTHING)) == ["mock"]
    with pytest.raises(BadGateway, match="there is no gateway 'nobody'"):
        opened(("mock", "nobody"), NOTHING)
    with pytest.raises(BadSetting, match="MOCK_GATEWAY_URL"):
        opened(("mock",), {"MOCK_GATEWAY_URL": "ftp://x"})
