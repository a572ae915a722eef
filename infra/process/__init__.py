"""What every process of the product stands on: settings, log lines, metrics, TLS, test faults."""
