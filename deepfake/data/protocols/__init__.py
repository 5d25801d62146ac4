"""Protocols: named, versioned, hashed lists of videos that are measured together."""

from deepfake.data.protocols.lists import Protocol, ProtocolError, find_protocol, verify

__all__ = ["Protocol", "ProtocolError", "find_protocol", "verify"]
