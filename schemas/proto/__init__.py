"""What is said over gRPC: .proto files, and the code that is generated of them."""
