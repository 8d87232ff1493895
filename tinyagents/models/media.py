"""Pictures and documents on their way to a provider."""

from __future__ import annotations

import base64

from tinyagents.errors import ConfigError
from tinyagents.messages import Document, Image

__all__ = ["encoded", "plain_text"]


def encoded(part: Image | Document) -> str:
    """The bytes of a picture or document in base64.

    Raises:
        ConfigError: It has neither bytes nor a URL.
    """
    return base64.b64encode(_bytes_of(part)).decode()


def plain_text(document: Document) -> str:
    """The text of a document whose media type is `text/…`.

    Raises:
        ConfigError: It has no bytes, or they are not UTF-8.
    """
    try:
        return _bytes_of(document).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Document {document.name!r} is {document.media_type} but not UTF-8 ({error}); "
            "decode it and give its text"
        ) from error


def _bytes_of(part: Image | Document) -> bytes:
    if part.data is None:
        kind = type(part).__name__
        raise ConfigError(
            f"this {kind} has no data: give {kind}(data=..., media_type=...) or {kind}(url=...)"
        )
    return part.data
