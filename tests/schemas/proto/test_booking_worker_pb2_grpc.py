"""The service is that of source document 004, and answers one stream."""

from schemas.proto import booking_worker_pb2 as messages
from schemas.proto.booking_worker_pb2_grpc import BookingWorkerServiceStub


def test_s004_1_the_service_has_the_methods_of_the_document() -> None:
    service = messages.DESCRIPTOR.services_by_name["BookingWorkerService"]
    assert service.full_name == "seatstream.booking.v1.BookingWorkerService"
    streams = {method.name: method.server_streaming for method in service.methods}
    assert streams == {
        "EnqueueBooking": False,
        "GetQueuePosition": False,
        "GetQueueStatus": False,
        "CancelQueueItem": False,
        "WatchPosition": True,
    }
    assert not any(method.client_streaming for method in service.methods)
    assert BookingWorkerServiceStub.__name__ == f"{service.name}Stub"
