"""Which requests are being answered."""

import contextlib

from shared.under_way import alone, answering


def test_which_requests_are_under_way() -> None:
    """What is done without a thread would keep nobody else waiting."""
    with answering():
        assert alone()
        with contextlib.suppress(RuntimeError), answering():
            assert not alone()
            raise RuntimeError
        assert alone()
