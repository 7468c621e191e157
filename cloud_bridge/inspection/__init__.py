"""What a bridge's folder holds, for an operator: read without touching it, judged, and shown."""
