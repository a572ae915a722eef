import asyncio
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from infra.gateway.books import Books, ChargeRequest, Entry, Outcome, RefundRequest, Refusal
from infra.gateway.ledger import CorruptLedger, Ledger, read_ledger

pytestmark = pytest.mark.timeout(600)

ORDERS = st.sampled_from(["o1", "o2"])
KEYS = st.sampled_from(["k1", "k2", "k3"])
AMOUNTS = st.sampled_from([100, 200])
OUTCOMES = st.sampled_from([Outcome.CAPTURED, Outcome.DECLINED, Outcome.PENDING])


class AnyInterleaving(RuleBasedStateMachine):
    """Charges, repeats, refunds and crashes in any order, against what was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.file = Path(self.opened.enter_context(tempfile.TemporaryDirectory())) / "ledger"
        self.loop = self.opened.enter_context(asyncio.Runner())
        self.ledger = Ledger(self.file)
        self.books = Books(self.ledger.content.entries)
        self.answers: dict[tuple[str, object], Entry] = {}
        self.first_request: dict[str, object] = {}
        self.now_ms = 0

    def told(self, key: str, request: object, decided: Entry | Refusal) -> None:
        """Do as the server does; then compare with all that was ever answered to the key."""
        if isinstance(decided, Refusal):
            return
        if self.books.is_new(decided):
            self.ledger.append(decided)
            self.books.keep(decided)
        self.loop.run(self.ledger.durable())
        assert self.first_request.setdefault(key, request) == request
        assert self.answers.setdefault((key, repr(request)), decided) == decided

    @rule(order=ORDERS, key=KEYS, amount=AMOUNTS, outcome=OUTCOMES)
    def charge(self, order: str, key: str, amount: int, outcome: Outcome) -> None:
        self.now_ms += 1
        request = ChargeRequest(
            order_id=order, amount=amount, currency="EUR", method="card", parameters={}
        )
        self.told(key, request, self.books.charge(request, key, self.now_ms, outcome))

    @rule(order=ORDERS, key=KEYS, amount=AMOUNTS)
    def refund(self, order: str, key: str, amount: int) -> None:
        self.now_ms += 1
        request = RefundRequest(order_id=order, amount=amount, currency="EUR")
        self.told(key, request, self.books.refund(request, key, self.now_ms))

    @rule(order=ORDERS, outcome=st.sampled_from([Outcome.CAPTURED, Outcome.DECLINED]))
    def settle(self, order: str, outcome: Outcome) -> None:
        decided = self.books.settle(order, self.now_ms, outcome)
        if isinstance(decided, Entry):
            self.ledger.append(decided)
            self.books.keep(decided)
            self.loop.run(self.ledger.durable())

    @rule(cut=st.integers(0, 300), order=ORDERS)
    def crash_in_a_write(self, cut: int, order: str) -> None:
        """End with part of a line that nobody was told of, and start again."""
        request = ChargeRequest(
            order_id=order, amount=7, currency="EUR", method="card", parameters={}
        )
        unheard = self.books.charge(request, "never heard of", self.now_ms)
        torn = unheard.line()[:-1][:cut] if isinstance(unheard, Entry) else b""
        self.ledger.__exit__(None, None, None)
        with self.file.open("ab") as file:
            file.write(torn)
        assert read_ledger(self.file).torn_bytes == len(torn)
        self.ledger = Ledger(self.file)
        assert self.ledger.content.torn_bytes == len(torn)
        self.books = Books(self.ledger.content.entries)

    @invariant()
    def no_order_is_captured_twice_and_no_more_goes_back_than_came(self) -> None:
        content = read_ledger(self.file)
        captured = {entry.order_id: entry for entry in content.captures}
        assert len(captured) == len(content.captures)
        refunds = Counter(entry.order_id for entry in content.refunds)
        assert all(times == 1 for times in refunds.values())
        for entry in content.refunds:
            paid = captured[entry.order_id]
            assert (entry.amount, entry.currency) == (paid.amount, paid.currency)

    @invariant()
    def each_key_stands_in_the_ledger_once(self) -> None:
        keys = [use.key for use in read_ledger(self.file).keys]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        self.ledger.__exit__(None, None, None)
        self.opened.close()


test_i11_any_interleaving_keeps_one_capture_an_order_and_one_answer_a_key = (
    AnyInterleaving.TestCase
)
# Each step writes to the disk, which may be slow; two orders and three keys meet soon.
AnyInterleaving.TestCase.settings = settings(stateful_step_count=12)


def entry(number: int) -> Entry:
    request = ChargeRequest(
        order_id=f"o{number}", amount=100, currency="EUR", method="card", parameters={}
    )
    decided = Books().charge(request, f"k{number}", 5)
    assert isinstance(decided, Entry)
    return Entry.of(decided.line().replace(b'"number":1', b'"number":%d' % number))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with Ledger(tmp_path / "new" / "ledger") as ledger:
        for number in (1, 2):
            ledger.append(entry(number))
    content = read_ledger(tmp_path / "new" / "ledger")
    assert content.entries == (entry(1), entry(2))
    assert [use.key for use in content.keys] == ["k1", "k2"]
    assert [(paid.order_id, paid.amount) for paid in content.captures] == [
        ("o1", 100),
        ("o2", 100),
    ]
    assert content.refunds == ()


def test_there_is_nothing_in_no_ledger(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none").entries == ()


def test_a_torn_last_line_is_cut_off_and_the_next_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    file.write_bytes(entry(1).line() + entry(2).line()[:30])
    with Ledger(file) as ledger:
        assert ledger.content.torn_bytes == 30
        ledger.append(entry(2))
    assert read_ledger(file).entries == (entry(1), entry(2))


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b'{"number":1}\n',
        entry(1).line().replace(b"captured", b"stolen"),
        entry(2).line(),
    ],
)
def test_other_damage_is_refused(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "ledger"
    file.write_bytes(damage + entry(2).line())
    for read in (read_ledger, Ledger):
        with pytest.raises(CorruptLedger, match="line 1"):
            read(file)


def test_a_ledger_has_one_writer(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger"), pytest.raises(BlockingIOError):
        Ledger(tmp_path / "ledger")
    Ledger(tmp_path / "ledger").__exit__(None, None, None)


def test_all_who_wait_are_served(tmp_path: Path) -> None:
    async def test(ledger: Ledger) -> None:
        async def one(number: int) -> None:
            ledger.append(entry(number))
            await ledger.durable()

        await asyncio.gather(*(one(number) for number in range(1, 21)))

    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(test(ledger))
    assert len(read_ledger(tmp_path / "ledger").entries) == 20
