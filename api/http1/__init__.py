"""A server of HTTP/1.1: bytes of a connection in, requests of ASGI out, one at a time."""
