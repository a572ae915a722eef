"""The booking queue over gRPC."""
