"""The booking queue with all that is around it: gRPC before it, and a log behind."""
