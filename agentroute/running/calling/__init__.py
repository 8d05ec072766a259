"""One door to model providers: deadlines, retries, caps, prices."""
