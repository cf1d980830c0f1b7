"""The HTTP transport: everything between an ASGI server and a plan."""
