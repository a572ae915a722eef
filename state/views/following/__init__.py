"""How a topic is followed: its records in order, its end, and how sure that is."""
