"""The fault library: one small module per injection, over real servers and real processes.

A module offers plain functions or context managers. It takes what it hurts (a proxy, a pid, a
directory, an address), hurts it, and makes it whole again at the end of the block where that can
be done. It asserts nothing and knows no topology, so that any test combines it with any load:

    with broker_behind_proxy("tests-x", {}) as (stack, proxy), fleet.load(1_000):
        with proxy.cut(Way.TO_CLIENT), file_size_limit(worker.process.pid, 64 * 1024):
            ...

| Module | Injects |
| --- | --- |
| `broker_answers` | error codes in place of answers, of a whole request or of one partition |
| `group_answers` | errors in place of what a group has committed |
| `hanging_transaction` | transactions that nobody ends |
| `proxy` | late requests, lost or rewritten answers, a link that is cut in one direction |
| `append_times` | append times that leap, as of a broker whose clock is wrong |
| `blocked_loop` | a worker whose event loop stands still at a chosen place |
| `limits` | a full disk and too little memory, of a running process |
| `small_disk` | a disk of one's own that can be filled; needs root |
| `empty_fetches` | fetches without the records that there are |
| `foreign_producer` | records as no library of ours would write them |
| `foreign_changelog` | records of another partition in a changelog |
| `lost_records` | records that are removed before anybody has read them |
| `lost_topic` | a topic that is deleted with all that it holds |
| `restored_backup` | a broker whose data is put back to what it was |
| `swapped_registry` | a registry that gives the ids of one schema to another |
| `wrong_clock` | a worker whose clock is slow, fast or jumps |

To add one: a module with one injection, its row above, a test that shows that it hurts, and a
function in `tests/integration/test_chaos_of_all_faults.py`, or there the reason why not.
What the demo draws from (`scripts/sale/faults.py`: damaged, lost and older stores) is imported
from there: scripts import no tests.
"""
