"""What a worker that does one thing for each event needs: an inbox, retries, one call outside.

`route.work_route` makes a route of a `Work`; nothing here knows of seats.
"""
