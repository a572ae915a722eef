"""The path of the method is what a realtime service answers at."""

from typing import Any

from schemas.proto.realtime_pb2_grpc import RealtimeServiceStub


class Channel:
    """Notes which methods a stub asks for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def unary_unary(self, path: str, **_: Any) -> None:
        self.paths.append(path)


def test_a_stub_calls_by_the_path_of_the_service() -> None:
    channel: Any = Channel()
    RealtimeServiceStub(channel)  # type: ignore[no-untyped-call]
    assert channel.paths == ["/seatstream.realtime.v1.RealtimeService/NotifyQueue"]
