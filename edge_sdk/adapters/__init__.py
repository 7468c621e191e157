"""What implements a port with a library. Import each by its own path."""
