"""What was asked, answered and paid, on the disk before it counts."""
