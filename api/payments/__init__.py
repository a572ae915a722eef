"""Payments over HTTP: buyers begin them, look at them and ask for refunds; gateways' webhooks."""
