"""What measurements are taken with: load, clocks, figures, the state of the machine."""
