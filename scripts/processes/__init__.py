"""Workers and pods that a script starts and never leaves behind."""
