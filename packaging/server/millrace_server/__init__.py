"""Carries the service's folders. Nothing is imported from here: `millrace` puts this folder first on a child's path."""
