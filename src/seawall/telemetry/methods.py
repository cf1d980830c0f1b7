"""The methods that are told apart; a caller can make up as many others as it likes."""

__all__ = ["METHODS", "OTHER"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
OTHER = "_OTHER"
"""What OpenTelemetry calls a method that is none of HTTP's; here also a status that is none."""
