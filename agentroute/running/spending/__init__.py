"""Money, requests, tokens and seconds: reserved before a call, settled after it."""
