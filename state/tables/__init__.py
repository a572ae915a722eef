"""What was bought, as tables of a PostgreSQL that a back office asks; never the truth."""
