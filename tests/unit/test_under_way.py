"""Which requests are being answered."""

import contextlib

from shared.under_way import ANSWERING, alone


def test_which_requests_are_under_way() -> None:
    """What is done without a thread would keep nobody else waiting."""
    with ANSWERING:
        assert alone()
        with contextlib.suppress(RuntimeError), ANSWERING:
            assert not alone()
            raise RuntimeError
        assert alone()
