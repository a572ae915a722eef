"""The console program `seatstream`: every command of an operator under one name."""
