"""What HTTP needs, whatever is asked: requests, problems, documents, log lines, metrics."""
