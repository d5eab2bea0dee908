"""What ends a host before it has started."""


class HostError(Exception):
    """The host cannot start; the text is one line for the user."""
