"""The booking queue: admitted requests for seats, carried out in the order in which they came."""
