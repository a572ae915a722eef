"""Payment gateways: one protocol, and what speaks it to whom."""
