"""How many requests this process is answering.

What takes a millisecond of the processor is done sooner in the event loop than by way of a thread: a quarter of a
millisecond where processors have to be woken. It may stay there as long as nobody else waits for an answer.
"""


class _Answering:
    """Around the answer to a request."""

    requests = 0

    def __enter__(self) -> None:
        self.requests += 1

    def __exit__(self, *_: object) -> None:
        self.requests -= 1


ANSWERING = _Answering()


def alone() -> bool:
    """Whether there is no request besides the one that asks."""
    return ANSWERING.requests <= 1
