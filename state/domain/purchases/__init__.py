"""The money side of one hold: its statuses, its values, its questions, and its life."""
