"""The fault library: one small module per injection, over real servers and real processes.

A module offers plain functions or context managers. It takes what it hurts (a proxy, a pid, a
directory, an address), hurts it, and makes it whole again at the end of the block where that can
be done. It asserts nothing and knows no topology, so that any test combines it with any load:

    with broker_behind_proxy("tests-x", {}) as (stack, proxy), fleet.load(1_000):
        with proxy.cut(Way.TO_CLIENT), file_size_limit(worker.process.pid, 64 * 1024):
            ...

| Module | Injects |
| --- | --- |
| `group_answers` | errors in place of what a group has committed |
| `hanging_transaction` | transactions that nobody ends |
| `proxy` | late requests, lost or rewritten answers, a link that is cut in one direction |
| `blocked_loop` | a worker whose event loop stands still at a chosen place |
| `limits` | a full disk and too little memory, of a running process |
| `small_disk` | a disk of one's own that can be filled; needs root |
| `empty_fetches` | fetches without the records that there are |

To add one: a module with one injection, its row above, and a test that shows that it hurts.
What the demo draws from (`scripts/demo_faults.py`: damaged, lost and older stores) is imported
from there: scripts import no tests.
"""
