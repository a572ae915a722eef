"""Payment gateways: one protocol, and a client for each gateway."""
