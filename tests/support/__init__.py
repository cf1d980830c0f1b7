"""What several tests share: exchanges without a socket, settings, a server process."""
