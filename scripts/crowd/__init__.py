"""A crowd before a waiting room: it enters, is let in, buys; and whether that was fair."""
