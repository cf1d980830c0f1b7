"""A service beside wrong settings."""

from seawall import Service

service = Service("wrong")
