"""The HTTP side of the daemon: webhooks, health and metrics."""
