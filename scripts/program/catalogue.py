"""Every command of `seatstream`: its words, what it does, and the module that does it.

Only names stand here. A module is imported when its command is run, so that `--help` is quick.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Command(NamedTuple):
    """One command.

    words:   as they are typed behind `seatstream`.
    summary: one line that `--help` and docs/commands.md share.
    target:  `module:name`: a `main(arguments)` that returns an exit code and reads its own
             arguments; or a command of click's, where `is_ours`.
    given:   arguments that go before those that are typed.
    replaces: True where the target takes this process over, as a worker does.
    codes:   what the target's exit codes are told as, where they are not 0, 1 and 2 already.
    example: arguments that may follow the words; a command of click's has its own in its help.
    """

    words: tuple[str, ...]
    summary: str
    target: str
    given: tuple[str, ...] = ()
    is_ours: bool = False
    replaces: bool = False
    codes: tuple[tuple[int, int], ...] = ()
    example: str = ""

    @property
    def name(self) -> str:
        """Return the words as they are typed."""
        return " ".join(self.words)


DONE, FOUND, CANNOT = 0, 1, 2
"""Exit codes of every command: done; something was found; it could not be done."""

GROUPS = {
    "topics": "Create topics, and compare them with the list.",
    "schemas": "Check, compare, register and release the schemas.",
    "dead-letters": "Look at records that nobody could decide, and send them back.",
    "inspect": "Show what lies in the log now, or lay there at an earlier time.",
    "explain": "Say from the log alone why something is as it is.",
    "lookup": "What is free, by the log and as pods answer it.",
    "commands": "What became of the commands of sections and payments.",
    "events": "Open events for sale.",
    "offsets": "Show where the workers' group stands, and move it.",
    "tables": "The tables that a back office asks.",
    "waiting-room": "Put back a line that Redis has lost, and show that nobody chose its order.",
    "booking-queue": "Show how the booking queue stands, and what to do with items that failed.",
    "transactions": "Find transactions that nobody ends, and end one.",
}
"""Words that have commands below them, and what `--help` says of each."""

COMMANDS = (
    Command(
        ("topics", "plan"),
        "Say what topics lack; change nothing.",
        "scripts.create_topics:main",
        ("--dry-run",),
        example="--replication 3",
    ),
    Command(
        ("topics", "apply"),
        "Create topics, and mend their configs.",
        "scripts.create_topics:main",
        example="--replication 3 --apply-configs",
    ),
    Command(
        ("topics", "rebuild"),
        "Write section-status anew while seats are sold, also to another topic, and verify it.",
        "scripts.rebuilding.rebuild:rebuild",
        is_ours=True,
    ),
    Command(
        ("topics", "recreate"),
        "Delete and create section-status; workers write it again, and that is verified.",
        "scripts.rebuilding.commands:recreate_topic",
        is_ours=True,
    ),
    Command(
        ("topics", "verify"),
        "Compare every section's status with its state.",
        "scripts.rebuilding.commands:verify",
        is_ours=True,
    ),
    Command(("schemas", "lint"), "Check the schema files.", "scripts.lint_schemas:main"),
    *(
        Command(("schemas", word), summary, "scripts.register_schemas:main", (word,), example=more)
        for word, summary, more in (
            (
                "check",
                "Say whether all released versions and the present one read each other.",
                "",
            ),
            ("diff", "Compare a registry with the present schemas.", "--wait 60"),
            ("register", "Register the present schemas.", "--dry-run"),
            ("release", "Keep the present schemas as a version.", "v9 --dry-run"),
        )
    ),
    Command(
        ("schemas", "versions"),
        "List the versions of our subjects that a registry has.",
        "scripts.contracts.commands:versions",
        is_ours=True,
    ),
    Command(
        ("schemas", "promote"),
        "Carry all versions from one registry to another, or none.",
        "scripts.contracts.commands:promote_schemas",
        is_ours=True,
    ),
    Command(
        ("dead-letters", "list"),
        "List dead letters, by cause, topic, time or key.",
        "scripts.letters.commands:list_letters",
        is_ours=True,
    ),
    Command(
        ("dead-letters", "show"),
        "Show one dead letter: its headers, and its value decoded or as a hexdump.",
        "scripts.letters.commands:show_letter",
        is_ours=True,
    ),
    Command(
        ("dead-letters", "redrive"),
        "Send dead letters back to their topics, each once.",
        "scripts.letters.commands:redrive",
        is_ours=True,
    ),
    Command(
        ("inspect", "section"),
        "Show the seat map of a section, now or at an offset or time.",
        "scripts.history.commands:inspect_section",
        is_ours=True,
    ),
    Command(
        ("inspect", "reservation"),
        "Show a reservation as it is stored.",
        "scripts.history.commands:inspect_reservation",
        is_ours=True,
    ),
    Command(
        ("inspect", "store"),
        "Count what the changelog of seats holds, by partition and kind.",
        "scripts.history.commands:inspect_store",
        is_ours=True,
    ),
    Command(
        ("explain", "seat"),
        "Say who had a seat, from when to when, by which command and rules.",
        "scripts.history.commands:explain_seat",
        is_ours=True,
    ),
    Command(
        ("explain", "reservation"),
        "Say what was asked for a reservation, and what was decided and why.",
        "scripts.history.commands:explain_reservation",
        is_ours=True,
    ),
    Command(
        ("lookup", "availability"),
        "Say what is free in an event or a section, as pods read it from the log.",
        "scripts.lookups.commands:availability",
        is_ours=True,
    ),
    Command(
        ("lookup", "pods"),
        "Compare what pods answer about an event with what the log says.",
        "scripts.lookups.commands:pods",
        is_ours=True,
    ),
    Command(
        ("audit",),
        "Judge the whole log of seats and money.",
        "scripts.audit:main",
        codes=((3, CANNOT),),
        example="--json",
    ),
    Command(
        ("replay",),
        "Decide the commands of seats again, and compare outcomes and state.",
        "scripts.replaying.commands:replay",
        is_ours=True,
    ),
    Command(
        ("commands", "skip-lost"),
        "Give up commands that retention removed.",
        "scripts.skip_lost_commands:main",
        example="--role seats --dry-run",
    ),
    Command(
        ("offsets", "show"),
        "Show where the workers' group stands in each partition.",
        "scripts.offsets.commands:show",
        is_ours=True,
    ),
    Command(
        ("offsets", "set"),
        "Move the workers' group, which has no members; say first what that means.",
        "scripts.offsets.commands:set_offsets",
        is_ours=True,
    ),
    Command(
        ("reset",),
        "Have the state of a role made anew from its commands, while no worker runs.",
        "scripts.offsets.reset:reset",
        is_ours=True,
    ),
    Command(
        ("tables", "rebuild"),
        "Write the tables of a back office anew, from what workers have stored.",
        "scripts.tables.commands:rebuild",
        is_ours=True,
    ),
    Command(
        ("waiting-room", "rebuild"),
        "Put the line of an event back into a Redis that has lost it.",
        "scripts.rebuilding.waiting_room:rebuild_line",
        is_ours=True,
    ),
    Command(
        ("waiting-room", "verify"),
        "Show from the topic alone that nobody chose the order of who came before the opening.",
        "scripts.auditing.waiting.lots:verify_lots",
        is_ours=True,
    ),
    *(
        Command(("booking-queue", word), summary, f"scripts.booking.commands:{name}", is_ours=True)
        for word, summary, name in (
            ("stats", "Show how long the queue is, how old, and what became of items.", "stats"),
            ("dead", "List items that failed for good, with the reason.", "list_dead"),
            ("requeue", "Have dead items tried anew, at the end of the line.", "requeue"),
            ("remove", "Forget dead items.", "remove"),
            ("cleanup", "End what is over, and give back what dead workers had.", "cleanup"),
        )
    ),
    Command(
        ("transactions", "list"),
        "List open transactions.",
        "scripts.hanging_transactions:main",
        codes=((3, FOUND),),
    ),
    Command(
        ("transactions", "abort"),
        "Abort the transaction that begins at TOPIC-PARTITION:OFFSET, given with --at.",
        "scripts.hanging_transactions:main",
        ("--end", "abort"),
        example="--at reservation-outcomes-7:123456 --dry-run",
    ),
    Command(
        ("transactions", "commit"),
        "Commit the transaction that begins at TOPIC-PARTITION:OFFSET, given with --at.",
        "scripts.hanging_transactions:main",
        ("--end", "commit"),
        example="--at reservation-outcomes-7:123456 --dry-run",
    ),
    Command(
        ("events", "open"),
        "Open an event by its seating plan.",
        "scripts.open_event:main",
        codes=((3, CANNOT),),
        example="scripts/sale/arena.json --event-id 1",
    ),
    Command(
        ("load",),
        "Drive commands and measure their outcomes.",
        "scripts.load_test:main",
        codes=((3, CANNOT),),
        example="--event-id 9 --rate 5000 --commands 100000",
    ),
    Command(
        ("token",),
        "Issue a development token.",
        "scripts.issue_token:main",
        example="--user alice --role buyer",
    ),
    Command(
        ("topology",),
        "Print routes and topics.",
        "scripts.show_topology:main",
        example="--format mermaid",
    ),
    Command(
        ("worker",),
        "Run a worker.",
        "faust:main",
        ("-A", "topology", "worker"),
        replaces=True,
        example="--loglevel info",
    ),
    Command(("pod",), "Run an API pod.", "api:main", replaces=True),
)


def below(words: tuple[str, ...]) -> Iterator[str]:
    """Yield the next words that may follow these, each once, in the order of the list."""
    seen = set()
    for command in COMMANDS:
        if command.words[: len(words)] == words and len(command.words) > len(words):
            word = command.words[len(words)]
            if word not in seen:
                seen.add(word)
                yield word


def command_at(words: tuple[str, ...]) -> Command | None:
    """Return the command of exactly these words."""
    return next((command for command in COMMANDS if command.words == words), None)
