"""Payments over HTTP: begin one, see how it stands, ask for the money back; webhooks."""
