"""`edge-sdk doctor`: why nothing arrives. One file a check; each says what to do."""
