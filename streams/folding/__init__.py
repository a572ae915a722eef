"""What every handler of commands needs, whatever its commands are about.

A handler extends `Fold` and calls `fold_batch` with three functions of its own. One decides new
records, which `each_command` gives it; one publishes the outcomes of rewound records again; one
stores what the batch has changed. The route takes its `refuse` from `pass_over` and its `progress`
from `progress_of`. Nothing in this folder knows of seats.
"""
