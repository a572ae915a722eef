"""How a process follows a topic: it reads the records in order, and knows how old its copy is."""
