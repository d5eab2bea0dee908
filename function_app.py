"""Where the Functions host looks for the app."""

from shared.app import app as app
