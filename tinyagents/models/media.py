"""Pictures and documents on their way to a provider; both are given by their bytes here."""

from __future__ import annotations

import base64

from tinyagents.errors import ConfigError
from tinyagents.messages import Document, Image

__all__ = ["encoded", "plain_text"]


def encoded(part: Image | Document) -> str:
    """The bytes of a picture or document in base64."""
    return base64.b64encode(part.data or b"").decode()


def plain_text(document: Document) -> str:
    """The text of a document whose media type is `text/…`.

    Raises:
        ConfigError: Its bytes are not UTF-8.
    """
    try:
        return (document.data or b"").decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Document {document.name!r} is {document.media_type} but not UTF-8 ({error}); "
            "decode it and give its text"
        ) from error
