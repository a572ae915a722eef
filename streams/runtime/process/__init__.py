"""The worker as a process: how it is watched, what it says, how it ends."""
