"""The waiting room of an event over HTTP: enter, where do I stand, leave; how it is run."""
