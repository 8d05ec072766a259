"""What agents scored, and whether a router is worth it."""
