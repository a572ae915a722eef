"""What every handler of commands needs, whatever its commands are about.

A handler's own fold extends `Fold`, and its handler is `fold_batch` with three functions: what
decides new records, over `each_command`; what tells rewound ones again; what is stored at the end.
`pass_over` and `progress_of` are for the route's `refuse` and `progress`. Nothing here knows of
seats.
"""
